import type { X509Certificate } from 'node:crypto';
import { AgentError, errorText } from '../../errors.ts';
import { onceMore } from '../host/login-outcome.ts';
import { findModule } from '../modules/find-module.ts';
import { findCertificate } from './objects.ts';
import type { TokenOptions } from './token-key.ts';
import { awaitToken } from '../token/session.ts';
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
    async (error) => {
      await (await options.hosts.get(modulePath)).stop(`was replaced: ${errorText(error)}`);
    },
  );
}

async function readAt(modulePath: string, uri: Pkcs11Uri, options: TokenOptions): Promise<X509Certificate> {
  const token = await awaitToken(options.hosts, modulePath, uri);
  const host = await options.hosts.get(modulePath);
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
