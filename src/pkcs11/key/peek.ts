import type { KeyObject, X509Certificate } from 'node:crypto';
import { errorCode } from '../../errors.ts';
import type { SeenToken } from '../host/session.ts';
import type { Tokens } from '../token/tokens.ts';
import type { Pkcs11Uri } from '../uri.ts';
import { findChosenCertificate, findChosenHalf, findChosenKey, type Words } from './chosen.ts';
import { offered } from './offer.ts';

/** What a token shows of a key to this process, which may be logged in or not. */
export interface PeekedKey {
  /** Undefined where the private key is not shown. */
  readonly privateKey: { readonly alwaysAuthenticate: boolean } | undefined;
  readonly publicKey: KeyObject | undefined;
  readonly certificates: readonly X509Certificate[];
  /** CKM_* that the token lists, and the key allows where it is shown. */
  readonly mechanisms: ReadonlySet<number>;
  /** CKM_* that the key allows; undefined where it is not shown, or allows all. */
  readonly allowed: ReadonlySet<number> | undefined;
}

/** Where to look, and for what. */
export interface PeekOptions {
  readonly tokens: Tokens;
  readonly modulePath: string;
  readonly token: SeenToken;
  readonly uri: Pkcs11Uri;
  readonly words?: Words;
}

/**
 * What a token shows of the key that a URI and words name, without a login.
 * @throws AgentError ERR_KEY_AMBIGUOUS, ERR_CERTIFICATE_* by words, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function peekAtKey({ tokens, modulePath, token, uri, words }: PeekOptions): Promise<PeekedKey> {
  return await tokens.read(modulePath, token, async (at) => {
    const mechanisms = new Set(await at.host.call('mechanisms', { slot: at.token.slot }));
    const privateKey = await findChosenKey(at, uri, words).catch((error: unknown) => {
      if (errorCode(error) === 'ERR_KEY_NOT_FOUND') return undefined;
      throw error;
    });
    const { publicKey, certificates } = privateKey ?? (await findChosenHalf(at, uri, words));
    const allowed = privateKey?.allowedMechanisms;
    return { privateKey, publicKey, certificates, mechanisms: offered({ listed: mechanisms, allowed }), allowed };
  });
}

/**
 * The certificate that a URI and words name, without a login.
 * @throws AgentError ERR_CERTIFICATE_*, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function peekAtCertificate({
  tokens,
  modulePath,
  token,
  uri,
  words,
}: PeekOptions): Promise<X509Certificate> {
  return await tokens.read(modulePath, token, (at) => findChosenCertificate(at, uri, words));
}
