import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { onceMore } from '../host/login-outcome.ts';
import { inSession } from '../host/session.ts';
import { findModule } from '../modules/find-module.ts';
import { findCertificate } from './objects.ts';
import type { TokenOptions } from './token-key.ts';
import { takeStep } from '../token/recovery.ts';
import { pkcs11UriName, type Pkcs11Uri } from '../uri.ts';

/**
 * Reads a certificate from a token; logs in only if it can't be seen without.
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*
 */
export async function readTokenCertificate(uri: Pkcs11Uri, options: TokenOptions): Promise<X509Certificate> {
  if (uri.type !== undefined && uri.type !== 'cert') {
    throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} names no certificate`, { hint: 'say type=cert' });
  }
  const modulePath = await findModule(uri, options.defaultModule);
  return await onceMore(
    () => readAt(modulePath, uri, options),
    (error) => takeStep('start a new module host', undefined, () => options.tokens.module(modulePath), error),
  );
}

async function readAt(modulePath: string, uri: Pkcs11Uri, options: TokenOptions): Promise<X509Certificate> {
  const { tokens, pin } = options;
  const token = await tokens.await(uri, modulePath);
  const host = await tokens.module(modulePath);
  return await inSession(host, token, (at) =>
    findCertificate(at, uri).catch(async (error: unknown) => {
      await pin.login(host, at.session, token);
      return await findCertificate(at, uri).catch(() => {
        throw error;
      });
    }),
  );
}
