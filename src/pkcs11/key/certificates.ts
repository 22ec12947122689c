import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { onceMore } from '../host/login-outcome.ts';
import { findModule } from '../modules/find-module.ts';
import { findChosenCertificate, narrowed, type Words } from './chosen.ts';
import { tokenChain } from './token-chain.ts';
import type { TokenOptions } from './token-key.ts';
import { takeStep } from '../token/recovery.ts';
import { pkcs11UriName, type Pkcs11Uri } from '../uri.ts';

/**
 * Reads a certificate from a token, and those that lead from it to its root; logs in only if it can't be seen without.
 * @throws AgentError ERR_CERTIFICATE_*, ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*
 */
export async function readTokenCertificates(
  uri: Pkcs11Uri,
  options: TokenOptions & { readonly words?: Words },
): Promise<[X509Certificate, ...X509Certificate[]]> {
  if (uri.type !== undefined && uri.type !== 'cert') {
    throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} names no certificate`, { hint: 'say type=cert' });
  }
  const modulePath = await findModule(uri, options.defaultModule);
  return await onceMore(
    () => readAt(modulePath, uri, options),
    (error) => takeStep('start a new module host', undefined, () => options.tokens.module(modulePath), error),
  );
}

async function readAt(
  modulePath: string,
  uri: Pkcs11Uri,
  { tokens, pin, words }: Parameters<typeof readTokenCertificates>[1],
): ReturnType<typeof readTokenCertificates> {
  const seen = await tokens.await(await narrowed(uri, modulePath, tokens, words), modulePath);
  return await tokens.read(modulePath, seen, async (at, isLoggedIn) => {
    const find = (): Promise<X509Certificate> => findChosenCertificate(at, uri, words);
    const certificate = await find().catch(async (error: unknown) => {
      if (isLoggedIn) throw error;
      await pin.login(at.host, at.session, at.token);
      return await find().catch(() => {
        throw error;
      });
    });
    return await tokenChain(at, certificate);
  });
}
