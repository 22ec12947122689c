// Keys and certificates in a token: finding them, their public halves, and how they sign. For those that open keys by URI,
// and for a check that may not log in.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { keyKind } from '../../signing/public-key.ts';
import type { SignatureRequest } from '../../signing/request.ts';
import type { Availability, RawSignature, Signer } from '../../signing/signer.ts';
import { isMechanismUnsuited } from '../host/failures.ts';
import { canSignBy, noWay, signingWays, type SigningWay } from './mechanisms.ts';
import { findModule } from '../modules/find-module.ts';
import { findKey, type KeyObjects } from './objects.ts';
import type { OpenSession } from '../token/open-session.ts';
import type { Tokens } from '../token/tokens.ts';
import type { TokenUse, TokenUser } from '../token/token-user.ts';
import { formatPkcs11Uri, pkcs11UriName, type Pkcs11Uri } from '../uri.ts';

/** How to open a key or certificate on a token. */
export interface TokenOptions extends TokenUse {
  readonly tokens: Tokens;
  /** The module for URIs that name none. */
  readonly defaultModule?: string;
}

/** How to open a key. */
export interface TokenKeyOptions extends TokenOptions {
  /** The key's certificate, for tokens that tell neither a public key nor a certificate. */
  readonly certificate?: X509Certificate;
}

/** What a key may refuse apart from everything else: ykcs11 takes PSS with SHA-1 and not with SHA-224. */
const wayId = ({ name, mechanism }: SigningWay): string => `${name} ${JSON.stringify(mechanism.pss ?? null)}`;

/** A private key in a PKCS#11 token. */
export class TokenKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #uri: Pkcs11Uri;
  readonly #options: TokenKeyOptions;
  readonly #token: TokenUser;
  /** Ways of signing that this key refused while another one worked: not tried again. */
  readonly #unsuited = new Set<string>();
  /** Ways by which it has signed without the PIN: extra sessions get no others. */
  readonly #proven = new Set<string>();
  /** Its objects, by the session that they were found in. */
  readonly #objects = new WeakMap<OpenSession, Promise<KeyObjects>>();
  #mechanisms: ReadonlySet<number>;

  private constructor(
    uri: Pkcs11Uri,
    options: TokenKeyOptions,
    token: TokenUser,
    { at, objects }: { at: OpenSession; objects: KeyObjects },
  ) {
    this.#uri = uri;
    this.#options = options;
    this.#token = token;
    this.#objects.set(at, Promise.resolve(objects));
    this.#mechanisms = at.mechanisms;
    this.name = formatPkcs11Uri({
      token: at.token.label,
      ...(objects.label !== '' && { object: objects.label }),
      ...(objects.id.length > 0 && { id: objects.id }),
    });
    const publicKey = objects.publicKey ?? options.certificate?.publicKey;
    if (!publicKey) {
      throw new AgentError(
        'ERR_KEY_UNSUPPORTED',
        `the token tells neither the public key nor a certificate of ${this.name}`,
        { hint: 'its certificate is needed', reason: 'no-public-key' },
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
    const token = await options.tokens.open(uri, await findModule(uri, options.defaultModule), options);
    try {
      const found = await token.run(async (at) => ({ at, objects: await findKey(at, uri) }));
      return new TokenKey(uri, options, token, found);
    } catch (error) {
      await token[Symbol.asyncDispose]();
      throw error;
    }
  }

  async sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature> {
    const ways = signingWays(request, keyKind(this.publicKey));
    const signedBeside = this.#signBeside(ways, signal);
    const early = signedBeside && (await signedBeside);
    if (early) return early;
    const refused = new Set<string>();
    const signature = await this.#token.run((at) => this.#signAt(at, request, ways, refused, signal));
    for (const way of refused) this.#unsuited.add(way);
    return signature;
  }

  /** Signs in an extra session of the token, if there is one with less to do. */
  #signBeside(
    ways: readonly SigningWay[],
    signal: AbortSignal | undefined,
  ): Promise<RawSignature | undefined> | undefined {
    const way = ways.find((each) => this.#proven.has(wayId(each)));
    if (!way) return undefined;
    const { name, mechanism, data } = way;
    return this.#token.runBeside(async (at) => {
      const { handle: key, alwaysAuthenticate } = await this.#objectsAt(at);
      if (alwaysAuthenticate) throw new AgentError('ERR_PIN_REQUIRED', `${this.name} wants the PIN now`);
      return {
        bytes: await at.host.sign({ session: at.session, key, mechanism, slot: at.token.slot }, data(), { signal }),
        mechanism: name,
      };
    });
  }

  /** By the mechanisms that the token lists. */
  canSign(request: SignatureRequest): boolean {
    return canSignBy(this.#mechanisms, keyKind(this.publicKey), request);
  }

  /** Its token may be pulled. */
  get availability(): Availability {
    return this.#token;
  }

  /** @param refused is told what the key refused, over all tries: some modules leave an operation active that they refused */
  async #signAt(
    at: OpenSession,
    request: SignatureRequest,
    ways: readonly SigningWay[],
    refused: Set<string>,
    signal: AbortSignal | undefined,
  ): Promise<RawSignature> {
    const { host, session, mechanisms, token } = at;
    const { pin } = this.#options;
    const { handle, alwaysAuthenticate } = await this.#objectsAt(at);
    this.#mechanisms = mechanisms;
    for (const way of ways) {
      const { name, mechanism, data } = way;
      const id = wayId(way);
      if (!mechanisms.has(mechanism.type) || this.#unsuited.has(id) || refused.has(id)) continue;
      try {
        const params = { session, key: handle, mechanism, ...(!alwaysAuthenticate && { slot: token.slot }) };
        const bytes = alwaysAuthenticate
          ? await pin.sign(host, token, params, data(), signal)
          : await host.sign(params, data(), { signal });
        if (!alwaysAuthenticate) this.#proven.add(id);
        return { bytes, mechanism: name };
      } catch (error) {
        if (!isMechanismUnsuited(error)) throw error;
        refused.add(id);
      }
    }
    throw noWay(request, ways, mechanisms, this.name);
  }

  async #objectsAt(at: OpenSession): Promise<KeyObjects> {
    let objects = this.#objects.get(at);
    if (!objects) {
      objects = this.#find(at);
      this.#objects.set(at, objects);
      // those that wait for it fail with it, the next one looks anew
      objects.catch(() => this.#objects.delete(at));
    }
    return await objects;
  }

  async #find(at: OpenSession): Promise<KeyObjects> {
    const objects = await findKey(at, this.#uri);
    if (objects.publicKey && !objects.publicKey.equals(this.publicKey)) {
      throw new AgentError('ERR_KEY_NOT_FOUND', `${this.name} is another key than before`, { hint: 'restart pksigd' });
    }
    return objects;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#token[Symbol.asyncDispose]();
  }
}
