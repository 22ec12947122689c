import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { keyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import type { RawSignature, Signer } from '../signing/signer.ts';
import { CKF } from './constants.ts';
import type { TokenEventListener } from './events.ts';
import { isMechanismUnsuited, isWorthReopening } from './failures.ts';
import { noWay, signingWays } from './mechanisms.ts';
import { findModule } from './module-path.ts';
import type { ModuleHost } from './module-host.ts';
import type { ModuleHosts } from './module-hosts.ts';
import { findKey, type KeyObjects, type Session } from './objects.ts';
import type { Pin } from './pin.ts';
import type { TokenInfo } from './protocol.ts';
import { findToken } from './token.ts';
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
  readonly onEvent?: TokenEventListener;
  /** Milliseconds between looks at the token; without it, its removal is noticed by the next signature only. */
  readonly watchInterval?: number | undefined;
}

interface OpenKey extends Session {
  readonly token: TokenInfo;
  readonly objects: KeyObjects;
  /** CKM_* that the token lists. */
  readonly mechanisms: ReadonlySet<number>;
}

/** What to try, in this order, when a token fails: each step forgets more than the one before. */
const LADDER = [
  'reopen the session',
  'log out and in',
  'finalize and initialize the module',
  'start a new module host',
] as const;
/** The steps that a token which is away is looked for with: the middle one helps where the module keeps an old slot list. */
const SEARCH_STEPS = [0, 2, 3] as const;
/** A module host that grew beyond this is replaced when nothing is under way. */
const MAX_HOST_BYTES = 512 * 1024 * 1024;

async function openObjects(uri: Pkcs11Uri, host: ModuleHost, pin: Pin, serial?: string): Promise<OpenKey> {
  const token = await findToken(host, serial === undefined ? uri : { ...uri, serial });
  const mechanisms = new Set(await host.call('mechanisms', { slot: token.slot }));
  const session = await host.call('openSession', { slot: token.slot });
  try {
    const objects = await logInAndFind(uri, { host, session }, token, pin);
    return { host, session, token, objects, mechanisms };
  } catch (error) {
    await host.call('closeSession', { session }).catch(() => undefined);
    throw error;
  }
}

async function logInAndFind(uri: Pkcs11Uri, at: Session, token: TokenInfo, pin: Pin): Promise<KeyObjects> {
  if ((token.flags & CKF.LOGIN_REQUIRED) === 0) return await findKey(at, uri);
  if ((token.flags & CKF.PROTECTED_AUTHENTICATION_PATH) !== 0) {
    // gnome-keyring says so of keys that need no login at all: don't send anybody to a keypad for nothing
    const visible = await findKey(at, uri).catch(() => undefined);
    if (visible) return visible;
  }
  await pin.login(at.host, at.session, token);
  return await findKey(at, uri);
}

/** A private key in a PKCS#11 token. Opens itself anew after its module host, its session or its token was lost. */
export class TokenKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #uri: Pkcs11Uri;
  readonly #modulePath: string;
  readonly #options: TokenKeyOptions;
  /** A token that is put back must be the same one: another would be sent this one's PIN. */
  readonly #serial: string;
  /** Ways of signing that this key refused while another one worked: not tried again. */
  readonly #unsuited = new Set<string>();
  readonly #lostListeners = new Set<() => void>();
  #open: OpenKey | undefined;
  #opening: Promise<OpenKey> | undefined;
  #busy = 0;
  #watch: NodeJS.Timeout | undefined;
  #away: PromiseWithResolve | undefined;
  #searchStep = 0;

  private constructor(uri: Pkcs11Uri, modulePath: string, options: TokenKeyOptions, open: OpenKey) {
    this.#uri = uri;
    this.#modulePath = modulePath;
    this.#options = options;
    this.#open = open;
    const { token, objects } = open;
    this.#serial = token.serial;
    this.name = formatPkcs11Uri({
      token: token.label,
      ...(objects.label !== '' && { object: objects.label }),
      ...(objects.id.length > 0 && { id: objects.id }),
    });
    const publicKey = objects.publicKey ?? options.certificate?.publicKey;
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
    this.#scheduleWatch();
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
    const host = await options.hosts.get(modulePath);
    return new TokenKey(uri, modulePath, options, await openObjects(uri, host, options.pin));
  }

  async sign(request: SignatureRequest): Promise<RawSignature> {
    this.#busy++;
    try {
      return await this.#signWithLadder(request);
    } catch (error) {
      if (isWorthReopening(error)) this.#lose(error);
      throw error;
    } finally {
      this.#busy--;
    }
  }

  async ready(): Promise<void> {
    await this.#away?.promise;
  }

  onLost(listener: () => void): void {
    this.#lostListeners.add(listener);
  }

  async #signWithLadder(request: SignatureRequest): Promise<RawSignature> {
    for (let step = 0; ; step++) {
      const before = this.#open;
      try {
        return await this.#signNow(await this.#reopened(), request);
      } catch (error) {
        if (step === LADDER.length || !isWorthReopening(error)) throw error;
        // a host that died leaves nothing but a new one to try
        if (errorCode(error) === 'ERR_MODULE_DIED') step = LADDER.length - 1;
        if (before !== undefined && this.#open !== before) continue; // another request has climbed in the meantime
        this.#options.onEvent?.({
          type: 'recovering',
          key: this.name,
          step: LADDER[step] ?? '',
          error: errorText(error),
        });
        await this.#climb(step, error);
      }
    }
  }

  async #signNow(open: OpenKey, request: SignatureRequest): Promise<RawSignature> {
    const { host, session, mechanisms, objects, token } = open;
    const pin = objects.alwaysAuthenticate ? await this.#options.pin.secret(token) : undefined;
    const ways = signingWays(request, keyKind(this.publicKey));
    const possible = ways.filter(({ name, mechanism }) => mechanisms.has(mechanism.type) && !this.#unsuited.has(name));
    const refused: string[] = [];
    for (const { name, mechanism, data } of possible) {
      try {
        const bytes = await host.sign({ session, key: objects.handle, mechanism }, data(), pin);
        for (const other of refused) this.#unsuited.add(other);
        return { bytes, mechanism: name };
      } catch (error) {
        if (!isMechanismUnsuited(error)) throw this.#options.pin.refuse(error, token);
        refused.push(name);
      }
    }
    throw noWay(request, ways, mechanisms, this.name);
  }

  /** The key as it is open, or opened anew. */
  async #reopened(): Promise<OpenKey> {
    if (this.#open?.host.isAlive === true) return this.#open;
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  async #reopen(): Promise<OpenKey> {
    const host = await this.#options.hosts.get(this.#modulePath);
    const open = await openObjects(this.#uri, host, this.#options.pin, this.#serial);
    if (open.objects.publicKey && !open.objects.publicKey.equals(this.publicKey)) {
      throw new AgentError('ERR_KEY_NOT_FOUND', `${this.name} is another key than before`, { hint: 'restart pksigd' });
    }
    this.#open = open;
    this.#find();
    return open;
  }

  /** Prepares the next try: what is open is dropped, and more with each step. Never throws. */
  async #climb(step: number, error: unknown): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    try {
      const host = open?.host ?? (await this.#options.hosts.get(this.#modulePath));
      if (step === 3) host.kill(`was replaced: ${errorText(error)}`);
      else if (step === 2) await host.call('reinitialize', {});
      else if (open) await this.#close(open, step === 1);
    } catch {
      // what is broken can't be closed properly
    }
  }

  async #close({ host, session }: OpenKey, logOut: boolean): Promise<void> {
    if (logOut) await host.call('logout', { session }).catch(() => undefined);
    await host.call('closeSession', { session });
  }

  #lose(error: unknown): void {
    if (this.#away) return;
    this.#away = promiseWithResolve();
    this.#options.onEvent?.({ type: 'lost', key: this.name, error: errorText(error) });
    for (const listener of this.#lostListeners) listener();
  }

  #find(): void {
    if (!this.#away) return;
    this.#away.resolve();
    this.#away = undefined;
    this.#searchStep = 0;
    this.#options.onEvent?.({ type: 'found', key: this.name });
  }

  #scheduleWatch(): void {
    const { watchInterval } = this.#options;
    if (watchInterval === undefined) return;
    this.#watch = setTimeout(() => {
      void this.#look().finally(() => {
        if (this.#watch) this.#scheduleWatch();
      });
    }, watchInterval);
    this.#watch.unref();
  }

  /** One look at the token: is it still there, or there again? Polling, since few modules tell (facts differ by vendor). */
  async #look(): Promise<void> {
    if (this.#busy > 0) return;
    try {
      if (this.#away) {
        await this.#climb(SEARCH_STEPS[this.#searchStep++ % SEARCH_STEPS.length] ?? 0, 'its token is away');
        await this.#reopened();
        return;
      }
      const open = await this.#reopened();
      const { tokens, rss } = await open.host.call('tokens', {});
      if (!tokens.some(({ serial, slot }) => serial === this.#serial && slot === open.token.slot)) {
        throw new AgentError('ERR_TOKEN_ABSENT', `token '${open.token.label}' was removed`);
      }
      await open.host.call('sessionInfo', { session: open.session });
      if (rss > MAX_HOST_BYTES) open.host.kill(`was replaced: it grew to ${rss} bytes`);
    } catch (error) {
      // a call that took too long has cost its host already
      if (this.#away || this.#busy > 0 || errorCode(error) === 'ERR_MODULE_TIMEOUT') return;
      // a session that was lost while the token stays is opened anew, and nobody need know
      await this.#climb(0, error);
      await this.#reopened().catch((reason: unknown) => {
        this.#lose(reason);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#watch);
    this.#watch = undefined;
    const open = this.#open;
    this.#open = undefined;
    if (open?.host.isAlive === true) await this.#close(open, false).catch(() => undefined);
  }
}

interface PromiseWithResolve {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function promiseWithResolve(): PromiseWithResolve {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
