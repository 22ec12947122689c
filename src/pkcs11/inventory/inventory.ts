// What is in modules and tokens, for a person who looks for a key: `pksigd keys`. It opens sessions of its own, and leaves
// nothing open.
import { AgentError } from '../../errors.ts';
import { isText, listKeys, type ListedKey } from './key-list.ts';
import { whyNotLoaded, type ModuleName } from '../modules/find-module.ts';
import { inSession, type SeenToken } from '../host/session.ts';
import type { Pin } from '../pins/pin.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { fittingTokens } from '../token/token.ts';
import type { Tokens } from '../token/tokens.ts';
import { pinState } from '../pins/pin-state.ts';
import type { Pkcs11Uri } from '../uri.ts';

/** A token that was found, before it was looked into. */
export interface FoundToken extends SeenToken {
  readonly module: ModuleName;
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

/** A module, and its tokens or why there are none. */
export interface FoundModule {
  readonly module: ModuleName;
  readonly tokens: readonly FoundToken[];
  readonly error?: unknown;
}

async function findIn(module: ModuleName, tokens: Tokens, uri: Pkcs11Uri): Promise<FoundModule> {
  try {
    const host = await tokens.module(module.path);
    const { present, fitting } = await fittingTokens(uri, host);
    return { module, tokens: fitting.map((seen) => ({ ...seen, module, uri: tokenUri(seen.info, present) })) };
  } catch (error) {
    return { module, tokens: [], error: await whyNotLoaded(module.path, error) };
  }
}

/**
 * The tokens in some modules that a URI fits. Never rejects: what keeps a module from telling its tokens stands beside it.
 * Where there would be nothing to show, it looks again for two seconds.
 */
export async function findTokens(
  modules: readonly ModuleName[],
  tokens: Tokens,
  uri: Pkcs11Uri,
): Promise<FoundModule[]> {
  return await tokens.lookAgain(
    modules.map(({ path }) => path),
    () => Promise.all(modules.map((module) => findIn(module, tokens, uri))),
    (all) => all.some((module) => module.tokens.length > 0) || all.every(({ error }) => error !== undefined),
  );
}

/**
 * The one token that a PIN is for: on any other it would be a wrong one, and cost a try.
 * @returns undefined if none wants a PIN
 * @throws AgentError ERR_TOKEN_AMBIGUOUS
 */
export function tokenForPin(tokens: readonly FoundToken[]): FoundToken | undefined {
  const [token, ...others] = tokens.filter(({ info }) => pinState(info).needsLogin);
  if (others.length === 0) return token;
  const names = [token, ...others].map(
    (other) => `'${other?.info.label ?? ''}' (serial ${other?.info.serial ?? ''}) in ${other?.module.path ?? ''}`,
  );
  throw new AgentError('ERR_TOKEN_AMBIGUOUS', `one PIN for several tokens: ${names.join(', ')}`, {
    hint: "name one, as in pksigd keys 'pkcs11:token=…;serial=…?module-path=…'",
  });
}

/**
 * What a token shows of the keys that a URI fits.
 * @param pin logs in with it; without one it shows what everybody may see
 * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
 */
export async function listToken(token: FoundToken, uri: Pkcs11Uri, pin: Pin | undefined): Promise<ListedToken> {
  const { host, info } = token;
  const mechanisms = new Set(await host.call('mechanisms', { slot: info.slot }));
  const keys = await inSession(token, async (at) => {
    if (pin) await pin.login(host, at.session, info);
    return await listKeys(at, uri, pin !== undefined || !pinState(info).needsLogin);
  });
  return { keys, mechanisms };
}
