import { AgentError } from '../../errors.ts';
import { isText, listKeys, type ListedKey } from './key-list.ts';
import type { ModuleName } from '../modules/find-module.ts';
import type { ModuleHost } from '../host/module-host.ts';
import type { ModuleHosts } from '../host/module-hosts.ts';
import type { Pin } from '../pins/pin.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { matchesToken } from '../token/token.ts';
import { needsLogin } from '../pins/pin-state.ts';
import type { Pkcs11Uri } from '../uri.ts';

/** A token that was found, before anybody looked into it. */
export interface FoundToken {
  readonly module: ModuleName;
  readonly host: ModuleHost;
  readonly info: TokenInfo;
  /** What of a URI names it among its module's tokens. */
  readonly uri: Pick<Pkcs11Uri, 'token' | 'serial'>;
}

/** A token and what it shows. */
export interface ListedToken {
  readonly keys: readonly ListedKey[];
  /** CKM_* that it lists. */
  readonly mechanisms: ReadonlySet<number>;
}

function tokenUri(info: TokenInfo, tokens: readonly TokenInfo[]): FoundToken['uri'] {
  const label = isText(info.label) && { token: info.label };
  const isUnique = tokens.filter((other) => other.label === info.label).length === 1;
  return label && isUnique ? label : { ...label, ...(isText(info.serial) && { serial: info.serial }) };
}

/**
 * The tokens in a module that a URI fits.
 * @throws AgentError ERR_MODULE_*, ERR_TOKEN_FAILED, ERR_PKCS11JS_MISSING
 */
export async function findTokens(module: ModuleName, hosts: ModuleHosts, uri: Pkcs11Uri): Promise<FoundToken[]> {
  const host = await hosts.get(module.path);
  const { tokens } = await host.call('tokens', {});
  return tokens
    .filter((info) => matchesToken(uri, info))
    .map((info) => ({ module, host, info, uri: tokenUri(info, tokens) }));
}

/**
 * The one token that a PIN is for: on any other it would be a wrong one, and cost a try.
 * @returns undefined if none wants a PIN
 * @throws AgentError ERR_TOKEN_AMBIGUOUS
 */
export function tokenForPin(tokens: readonly FoundToken[]): FoundToken | undefined {
  const [token, ...others] = tokens.filter(({ info }) => needsLogin(info));
  if (others.length === 0) return token;
  const names = [token, ...others].map((other) => `'${other?.info.label ?? ''}' in ${other?.module.path ?? ''}`);
  throw new AgentError('ERR_TOKEN_AMBIGUOUS', `one PIN for several tokens: ${names.join(', ')}`, {
    hint: "name one, as in pksigd keys 'pkcs11:token=…?module-path=…'",
  });
}

/**
 * What a token shows of the keys that a URI fits.
 * @param pin logs in with it; without one it shows what everybody may see
 * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
 */
export async function listToken(
  { host, info }: FoundToken,
  uri: Pkcs11Uri,
  pin: Pin | undefined,
): Promise<ListedToken> {
  const mechanisms = new Set(await host.call('mechanisms', { slot: info.slot }));
  const session = await host.call('openSession', { slot: info.slot });
  try {
    if (pin) await pin.login(host, session, info);
    return { keys: await listKeys({ host, session }, uri, pin !== undefined || !needsLogin(info)), mechanisms };
  } finally {
    await host.call('closeSession', { session }).catch(() => undefined);
  }
}
