// Keys and certificates in a token: finding them, their public halves, and how they sign. For those that open keys by URI,
// and for a check that may not log in.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { keyKind, type KeyKind } from '../../signing/public-key.ts';
import type { SignatureRequest } from '../../signing/request.ts';
import {
  type Availability,
  type RawSignature,
  type Signer,
  VerifiedSignature,
  verifySignature,
} from '../../signing/signer.ts';
import { isMechanismUnsuited, isUnlistedRefused } from '../host/failures.ts';
import { canSignBy, noWay, signingWays, type SigningWay } from './mechanisms.ts';
import { findModule } from '../modules/find-module.ts';
import { findChosenKey, narrowed, type Words } from './chosen.ts';
import { byPartner, findCertificates, findKey, type KeyObjects } from './objects.ts';
import { offered, waysInTurn, type Offer } from './offer.ts';
import { rawEcdsaReadings } from './raw-ecdsa.ts';
import { WayMemory } from './way-memory.ts';
import { tokenChain } from './token-chain.ts';
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
  /** Which of several keys, by what their certificates say. */
  readonly words?: Words;
}

/** One request while it is signed. */
interface Task {
  readonly request: SignatureRequest;
  readonly kind: KeyKind;
  readonly ways: readonly SigningWay[];
  /** Ids of the ways that the key refused or got wrong, over all tries: some modules leave an operation active that they refused. */
  readonly refused: Set<string>;
  readonly signal: AbortSignal | undefined;
}

/** A private key in a PKCS#11 token. */
export class TokenKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #uri: Pkcs11Uri;
  /** What names this key, though others may have come that the URI fits. */
  readonly #own: Pkcs11Uri;
  readonly #options: TokenKeyOptions;
  readonly #token: TokenUser;
  readonly #memory = new WayMemory();
  /** Ids of ways by which it has signed without the PIN: extra sessions get no others. */
  readonly #proven = new Set<string>();
  /** Its objects, by the session that they were found in. */
  readonly #objects = new WeakMap<OpenSession, Promise<KeyObjects>>();
  #offer: Offer;
  /** CKA_ALWAYS_AUTHENTICATE: it wants the PIN with each signature. */
  readonly alwaysAuthenticate: boolean;

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
    this.#offer = { listed: at.mechanisms, allowed: objects.allowedMechanisms };
    this.alwaysAuthenticate = objects.alwaysAuthenticate;
    const { label, id } = objects;
    const own = { ...(label !== '' && { object: label }), ...(id.length > 0 && { id }) };
    this.#own = Object.keys(own).length > 0 ? own : uri;
    this.name = formatPkcs11Uri({ token: at.token.label, ...own });
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
    const { tokens, words } = options;
    const modulePath = await findModule(uri, options.defaultModule);
    const token = await tokens.open(await narrowed(uri, modulePath, tokens, words), modulePath, options);
    try {
      const found = await token.run(async (at) => ({ at, objects: await findChosenKey(at, uri, words) }));
      return new TokenKey(uri, options, token, found);
    } catch (error) {
      await token[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Signs, and verifies: what a mechanism gets wrong another one may get right. @returns a {@link VerifiedSignature} */
  async sign(request: SignatureRequest, signal?: AbortSignal): Promise<VerifiedSignature> {
    const kind = keyKind(this.publicKey);
    const task = { request, kind, ways: signingWays(request, kind), refused: new Set<string>(), signal };
    const signedBeside = this.#signBeside(task);
    const early = signedBeside && (await signedBeside);
    if (early) return early;
    const signature = await this.#token.run((at) => this.#signAt(at, task));
    this.#memory.dismiss(task.refused);
    return signature;
  }

  /** Signs in an extra session of the token, if there is one with less to do. */
  #signBeside(task: Task): Promise<VerifiedSignature | undefined> | undefined {
    const way = task.ways.find(({ id }) => this.#proven.has(id));
    if (!way) return undefined;
    const { name, mechanism, data } = way;
    return this.#token.runBeside(async (at) => {
      const { handle: key, alwaysAuthenticate } = await this.#objectsAt(at);
      if (alwaysAuthenticate) throw new AgentError('ERR_PIN_REQUIRED', `${this.name} wants the PIN now`);
      const params = { session: at.session, key, mechanism, slot: at.token.slot };
      const bytes = await at.host.sign(params, data(), { signal: task.signal });
      return verifySignature(this, task.request, this.#reading(task, { bytes, mechanism: name }));
    });
  }

  /** Looks for its certificate anew: that may be another one since, or gone. */
  async readCertificates(): Promise<readonly X509Certificate[]> {
    return await this.#token.run(async (at) => {
      const certificate = (await this.#sameCertificate(at)) ?? (await this.#findAnew(at)).certificates[0];
      return certificate ? await tokenChain(at, certificate) : [];
    });
  }

  /** The certificate that was with the key before, if there is no newer one: then nobody need look for the key itself. */
  async #sameCertificate(at: OpenSession): Promise<X509Certificate | undefined> {
    const objects = await this.#objectsAt(at);
    const [before] = objects.certificates;
    if (this.#options.words || !before) return undefined;
    const [newest] = await findCertificates(at, byPartner(objects));
    return newest?.raw.equals(before.raw) === true ? newest : undefined;
  }

  async #findAnew(at: OpenSession): Promise<KeyObjects> {
    const objects = this.#checked(await findChosenKey(at, this.#uri, this.#options.words));
    this.#objects.set(at, Promise.resolve(objects));
    return objects;
  }

  /** By the mechanisms that the token lists and the key allows, and by what has worked. */
  canSign(request: SignatureRequest): boolean {
    const kind = keyKind(this.publicKey);
    return canSignBy(offered(this.#offer), kind, request) || this.#memory.hasWorkedUnlisted(signingWays(request, kind));
  }

  /** What the token does not list is tried once. */
  maySign(request: SignatureRequest): boolean {
    const ways = waysInTurn(signingWays(request, keyKind(this.publicKey)), this.#offer);
    return ways.some((way) => !this.#memory.isUnsuited(way) && !this.#memory.hasFailedUnlisted(way));
  }

  /** Its token may be pulled. */
  get availability(): Availability {
    return this.#token;
  }

  async #signAt(at: OpenSession, task: Task): Promise<VerifiedSignature> {
    const { request, ways, refused } = task;
    const { allowedMechanisms: allowed } = await this.#objectsAt(at);
    const offer = (this.#offer = { listed: at.mechanisms, allowed });
    let wrong: RawSignature | undefined;
    const signBy = async (way: SigningWay): Promise<VerifiedSignature | undefined> => {
      const signature = this.#reading(task, await this.#signBy(way, at, task));
      const verified = VerifiedSignature.of(signature, request, this.publicKey);
      if (!verified) wrong ??= signature;
      return verified;
    };
    for (const way of waysInTurn(ways, offer)) {
      if (this.#memory.isUnsuited(way) || refused.has(way.id)) continue;
      const isListed = offer.listed.has(way.mechanism.type);
      try {
        const signature = isListed ? await signBy(way) : await this.#memory.tryUnlisted(way, () => signBy(way));
        if (signature) return signature;
      } catch (error) {
        if (!isMechanismUnsuited(error) && (isListed || !isUnlistedRefused(error))) throw error;
      }
      refused.add(way.id);
    }
    if (wrong) return verifySignature(this, request, wrong);
    throw noWay(request, ways, offered(offer), this.name);
  }

  async #signBy({ id, name, mechanism, data }: SigningWay, at: OpenSession, { signal }: Task): Promise<RawSignature> {
    const { host, session } = at;
    const { handle: key, alwaysAuthenticate } = await this.#objectsAt(at);
    const { token } = at;
    if (alwaysAuthenticate) {
      const params = { session, key, mechanism };
      return { bytes: await this.#options.pin.sign(host, token, params, data(), signal), mechanism: name };
    }
    const bytes = await host.sign({ session, key, mechanism, slot: token.slot }, data(), { signal });
    this.#proven.add(id);
    return { bytes, mechanism: name };
  }

  /** What a module may have meant by a signature that is too short. */
  #reading({ request, kind }: Task, { bytes, mechanism }: RawSignature): RawSignature {
    if (request.scheme !== 'ECDSA' || kind.type !== 'EC' || bytes.length >= 2 * kind.orderBytes)
      return { bytes, mechanism };
    for (const reading of rawEcdsaReadings(bytes, kind.orderBytes)) {
      const verified = VerifiedSignature.of({ bytes: reading, mechanism }, request, this.publicKey);
      if (verified) return verified;
    }
    return { bytes, mechanism };
  }

  async #objectsAt(at: OpenSession): Promise<KeyObjects> {
    let objects = this.#objects.get(at);
    if (!objects) {
      objects = findKey(at, this.#own).then((found) => this.#checked(found));
      this.#objects.set(at, objects);
      // those that wait for it fail with it, the next one looks anew
      objects.catch(() => this.#objects.delete(at));
    }
    return await objects;
  }

  /** @throws AgentError ERR_KEY_NOT_FOUND for another key */
  #checked(objects: KeyObjects): KeyObjects {
    if (objects.publicKey && !objects.publicKey.equals(this.publicKey)) {
      throw new AgentError('ERR_KEY_NOT_FOUND', `${this.name} is another key than before`, {
        hint: 'restart pksigd',
        reason: 'key-changed',
      });
    }
    return objects;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#token[Symbol.asyncDispose]();
  }
}
