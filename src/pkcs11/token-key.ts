import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError, errorText } from '../errors.ts';
import { keyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import type { RawSignature, Signer } from '../signing/signer.ts';
import { isMechanismUnsuited, isWorthReopening } from './failures.ts';
import { noWay, signingWays } from './mechanisms.ts';
import { findModule } from './module-path.ts';
import type { ModuleHosts } from './module-hosts.ts';
import { findCertificate, findKey, type KeyObjects, type Session } from './objects.ts';
import { findToken, openSession, type Pin } from './token.ts';
import { formatPkcs11Uri, pkcs11UriName, type Pkcs11Uri } from './uri.ts';

/** How to open a key or certificate on a token. */
export interface TokenOptions {
  readonly hosts: ModuleHosts;
  /** The module for URIs that name none. */
  readonly defaultModule?: string;
  /** Shared by whatever lies on one token, so that a wrong PIN is tried once. */
  readonly pin: Pin;
}

/** How to open a key. */
export interface TokenKeyOptions extends TokenOptions {
  /** The key's certificate, for tokens that tell neither a public key nor a certificate. */
  readonly certificate?: X509Certificate;
}

interface OpenKey extends Session {
  readonly handle: string;
  /** CKM_* that the token lists. */
  readonly mechanisms: ReadonlySet<number>;
}

async function openObjects(
  uri: Pkcs11Uri,
  modulePath: string,
  hosts: ModuleHosts,
  pin: Pin,
): Promise<{ open: OpenKey; objects: KeyObjects; tokenLabel: string }> {
  const host = await hosts.get(modulePath);
  const token = await findToken(host, uri);
  const mechanisms = new Set(await host.call('mechanisms', { slot: token.slot }));
  const session = await openSession(host, token, pin);
  try {
    const objects = await findKey({ host, session }, uri);
    return { open: { host, session, handle: objects.handle, mechanisms }, objects, tokenLabel: token.label };
  } catch (error) {
    await host.call('closeSession', { session }).catch(() => undefined);
    throw error;
  }
}

/** A private key in a PKCS#11 token. Opens itself anew after its module host, its session or its token was lost. */
export class TokenKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #uri: Pkcs11Uri;
  readonly #modulePath: string;
  readonly #hosts: ModuleHosts;
  readonly #pin: Pin;
  /** Ways of signing that this key refused while another one worked: not tried again. */
  readonly #unsuited = new Set<string>();
  #open: OpenKey | undefined;
  #opening: Promise<OpenKey> | undefined;

  private constructor(
    uri: Pkcs11Uri,
    modulePath: string,
    { hosts, pin, certificate }: TokenKeyOptions,
    { open, objects, tokenLabel }: Awaited<ReturnType<typeof openObjects>>,
  ) {
    this.#uri = uri;
    this.#modulePath = modulePath;
    this.#hosts = hosts;
    this.#pin = pin;
    this.#open = open;
    this.name = formatPkcs11Uri({
      token: tokenLabel,
      ...(objects.label !== '' && { object: objects.label }),
      ...(objects.id.length > 0 && { id: objects.id }),
    });
    const publicKey = objects.publicKey ?? certificate?.publicKey;
    if (!publicKey) {
      throw new AgentError(
        'ERR_KEY_UNSUPPORTED',
        `the token tells neither the public key nor a certificate of ${this.name}`,
        {
          hint: 'give --cert',
        },
      );
    }
    keyKind(publicKey); // refuses kinds that can't be used
    this.publicKey = publicKey;
    this.certificates = objects.certificates;
  }

  /**
   * Opens the key that a URI names: loads the module in its host, finds the token, logs in, finds the key.
   * @throws AgentError ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*, ERR_KEY_*
   */
  static async open(uri: Pkcs11Uri, options: TokenKeyOptions): Promise<TokenKey> {
    if (uri.type !== undefined && uri.type !== 'private') {
      throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} names no private key`, { hint: 'leave out type=' });
    }
    const modulePath = await findModule(uri, options.defaultModule);
    return new TokenKey(uri, modulePath, options, await openObjects(uri, modulePath, options.hosts, options.pin));
  }

  async sign(request: SignatureRequest): Promise<RawSignature> {
    try {
      return await this.#signNow(request);
    } catch (error) {
      if (!isWorthReopening(error)) throw error;
      // a lost session, a card put back, a module that crashed: a new host starts from nothing, and OpenVPN still waits
      this.#open?.host.kill(`was replaced: ${errorText(error)}`);
      return await this.#signNow(request);
    }
  }

  async #signNow(request: SignatureRequest): Promise<RawSignature> {
    const open = await this.#ready();
    const ways = signingWays(request, keyKind(this.publicKey));
    const possible = ways.filter(
      ({ name, mechanism }) => open.mechanisms.has(mechanism.type) && !this.#unsuited.has(name),
    );
    const refused: string[] = [];
    for (const { name, mechanism, data } of possible) {
      try {
        const bytes = await open.host.sign({ session: open.session, key: open.handle, mechanism }, data());
        for (const other of refused) this.#unsuited.add(other);
        return { bytes, mechanism: name };
      } catch (error) {
        if (!isMechanismUnsuited(error)) throw error;
        refused.push(name);
      }
    }
    throw noWay(request, ways, this.name);
  }

  async #ready(): Promise<OpenKey> {
    if (this.#open?.host.isAlive === true) return this.#open;
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  async #reopen(): Promise<OpenKey> {
    const { open, objects } = await openObjects(this.#uri, this.#modulePath, this.#hosts, this.#pin);
    if (objects.publicKey && !objects.publicKey.equals(this.publicKey)) {
      throw new AgentError('ERR_KEY_NOT_FOUND', `${this.name} is another key than before`, { hint: 'restart pksigd' });
    }
    this.#open = open;
    return open;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open?.host.isAlive === true) {
      await open.host.call('closeSession', { session: open.session }).catch(() => undefined);
    }
  }
}

/**
 * Reads a certificate from a token; logs in only if it can't be seen without.
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*
 */
export async function readTokenCertificate(uri: Pkcs11Uri, options: TokenOptions): Promise<X509Certificate> {
  if (uri.type !== undefined && uri.type !== 'cert') {
    throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} names no certificate`, { hint: 'say type=cert' });
  }
  const host = await options.hosts.get(await findModule(uri, options.defaultModule));
  const token = await findToken(host, uri);
  const session = await host.call('openSession', { slot: token.slot });
  try {
    return await findCertificate({ host, session }, uri).catch(async (error: unknown) => {
      await options.pin.login(host, session, token);
      return await findCertificate({ host, session }, uri).catch(() => {
        throw error;
      });
    });
  } finally {
    await host.call('closeSession', { session }).catch(() => undefined);
  }
}
