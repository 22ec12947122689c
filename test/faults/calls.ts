import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FaultRule } from '../tokens/setup/fault.ts';
import { CKR } from '../tokens/support/numbers.ts';
import { RETURN_VALUES } from './return-values.ts';
import type { World } from './world.ts';

/** What the module does in place of returning, at a call. */
const DEEDS: Readonly<Record<string, FaultRule>> = {
  'a hang': { hang: true },
  'a crash': { crash: true },
  'an end of its process': { exit: true },
  'garbage in the pipe to the agent': { pipe: 'ffffffffffffffff' },
};

/** All that can go wrong at a call, by its name in docs/RELIABILITY.md. */
const TROUBLES: Readonly<Record<string, FaultRule>> = {
  ...Object.fromEntries(Object.entries(RETURN_VALUES).map(([name, rv]) => [name, { rv }])),
  ...DEEDS,
};

/** When a module is called so: */
type Occasion =
  /** a host is started, the token opened anew, and a signature made; */
  | 'opening'
  /** when a signature has failed, and the token is to recover; */
  | 'recovery'
  /** every two seconds. */
  | 'watch';

export const CALLS: Readonly<Record<string, Occasion>> = {
  C_Initialize: 'opening',
  C_GetSlotList: 'opening',
  C_GetTokenInfo: 'opening',
  C_GetMechanismList: 'opening',
  C_OpenSession: 'opening',
  C_Login: 'opening',
  C_FindObjectsInit: 'opening',
  C_FindObjects: 'opening',
  C_FindObjectsFinal: 'opening',
  C_GetAttributeValue: 'opening',
  C_SignInit: 'opening',
  C_Sign: 'opening',
  C_CloseSession: 'recovery',
  C_Logout: 'recovery',
  C_Finalize: 'recovery',
  C_GetSessionInfo: 'watch',
};

/** How long the trouble lasts. */
export type Span = 'once' | 'always';

/** Those that are tried once too: of each kind that the agent tells apart, and some that it does not. */
export const TRIED_ONCE: readonly string[] = [
  'CKR_HOST_MEMORY',
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
  'CKR_DEVICE_ERROR',
  'CKR_DEVICE_REMOVED',
  'CKR_KEY_HANDLE_INVALID',
  'CKR_MECHANISM_INVALID',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'a vendor’s own',
  'a crash',
];

/**
 * What is tried at a call always: all, but of looks, each of which has to be waited for until it returns, and of logins, each of
 * which takes a person to remove its record.
 */
export function triedAlways(call: string): readonly string[] {
  const all = Object.keys(TROUBLES);
  if (CALLS[call] === 'watch') return TRIED_ONCE.filter((trouble) => !(trouble in DEEDS));
  return call === 'C_Login' ? all.filter((name) => TRIED_ONCE.includes(name) || /^CKR_(?:PIN|USER)_/.test(name)) : all;
}

/** What came of one trouble at one call. */
export interface CallOutcome {
  /** {@link SIGNED}, or the code of the empty block. */
  readonly daemon: string;
  readonly other: string;
  /** What comes when the module works again. */
  readonly after: 'signed' | 'signed when a person has removed the PIN’s record' | 'not signed';
}

/** Milliseconds in which a daemon is served again when the module works. */
const RECOVERED_WITHIN = 10_000;
/** Milliseconds for the first look whether it does so by itself. */
const BY_ITSELF_WITHIN = 1_000;

async function provoke(world: World, call: string, rule: FaultRule): Promise<void> {
  const { bed } = world;
  const occasion = CALLS[call];
  if (occasion === 'recovery') await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times: 3 });
  if (occasion === 'opening') await endHosts(world);
  await bed.fault(call, rule);
  if (occasion === 'watch') await world.lookedAt();
}

/** A host that ended is a trouble of its own: here it is over when the next begins. */
async function endHosts(world: World): Promise<void> {
  const from = world.mark();
  for (const host of world.hosts) {
    process.kill(host, 'SIGKILL');
    await world.logged(from, new RegExp(`"pid":${host},.*"module host ended"`));
  }
}

/** The code of the request that was not signed. */
async function codeOf(world: World, from: number): Promise<string> {
  const line = await world.agent.until('its outcome', () =>
    world.agent.lines.slice(from).findLast((each) => /"tunnel":"hit".*"outcome":"(?:failed|refused)"/.test(each)),
  );
  const { code } = JSON.parse(line) as { code?: string };
  // whose time is over first is chance
  return code === 'ERR_KEY_TIMEOUT' ? 'ERR_MODULE_TIMEOUT' : String(code);
}

async function forgetPins(world: World): Promise<void> {
  const folder = world.bench.path('state');
  const records = (await readdir(folder)).filter((name) => !name.startsWith('audit') && !name.endsWith('.lock'));
  for (const name of records) await rm(join(folder, name));
}

/** Lets a call go wrong, once or until both daemons have their answer. */
export async function tryCall(world: World, call: string, trouble: string, span: Span): Promise<CallOutcome> {
  const { bed, hit, other } = world;
  const rule = TROUBLES[trouble];
  const from = world.mark();
  await provoke(world, call, span === 'once' ? { ...rule, times: 1 } : { ...rule });
  const [answer, second] = await Promise.all([hit.ask(), other.ask()]);
  const daemon = answer === 'empty block' ? await codeOf(world, from) : answer;
  await bed.heal();
  if (call !== 'C_Login') {
    const after = (await hit.askUntilSigned(RECOVERED_WITHIN)) ? 'signed' : 'not signed';
    return { daemon, other: second, after };
  }
  if (await hit.askUntilSigned(BY_ITSELF_WITHIN)) return { daemon, other: second, after: 'signed' };
  await forgetPins(world);
  const after = (await hit.askUntilSigned(RECOVERED_WITHIN))
    ? 'signed when a person has removed the PIN’s record'
    : 'not signed';
  return { daemon, other: second, after };
}
