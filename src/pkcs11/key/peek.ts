import type { KeyObject, X509Certificate } from 'node:crypto';
import { errorCode } from '../../errors.ts';
import type { Module } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { inSession } from '../host/session.ts';
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
}

/**
 * What a token shows of the key that a URI and words name, without a login.
 * @throws AgentError ERR_KEY_AMBIGUOUS, ERR_CERTIFICATE_* by words, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function peekAtKey(host: Module, token: TokenInfo, uri: Pkcs11Uri, words?: Words): Promise<PeekedKey> {
  const mechanisms = new Set(await host.call('mechanisms', { slot: token.slot }));
  return await inSession(host, token, async (at) => {
    const privateKey = await findChosenKey(at, uri, words).catch((error: unknown) => {
      if (errorCode(error) === 'ERR_KEY_NOT_FOUND') return undefined;
      throw error;
    });
    const { publicKey, certificates } = privateKey ?? (await findChosenHalf(at, uri, words));
    const offer = { listed: mechanisms, allowed: privateKey?.allowedMechanisms };
    return { privateKey, publicKey, certificates, mechanisms: offered(offer) };
  });
}

/**
 * The certificate that a URI and words name, without a login.
 * @throws AgentError ERR_CERTIFICATE_*, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function peekAtCertificate(
  host: Module,
  token: TokenInfo,
  uri: Pkcs11Uri,
  words?: Words,
): Promise<X509Certificate> {
  return await inSession(host, token, (at) => findChosenCertificate(at, uri, words));
}
