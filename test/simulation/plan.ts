// What a seed makes: tunnels, keys, tokens, an audit log, and a list of mishaps. All of chance that decides on these is drawn
// here, before the world begins, so that one mishap can be left out and the others stay.
import type { HostCall } from '../../src/pkcs11/host/protocol.ts';
import type { RelayRights } from '../../src/management/index.ts';
import type { HostEffect } from './module-host.ts';
import { Random } from './random.ts';
import type { Ckr } from './module.ts';

export interface KeyPlan {
  readonly name: string;
  /** In which of the modules' tokens it is; undefined for one in a file. */
  readonly token: number | undefined;
  /** Which of the simulated keys. */
  readonly key: number;
  readonly waitsForToken: boolean;
}

export interface TunnelPlan {
  readonly name: string;
  readonly key: number;
  readonly isTcp: boolean;
  readonly isClient: boolean;
  readonly isHeld: boolean;
  readonly hasPassword: boolean;
  readonly relay: RelayRights | undefined;
  readonly keepsRelay: boolean;
}

export interface TokenPlan {
  readonly module: number;
  readonly key: number;
  readonly isRemovable: boolean;
  readonly alwaysAuthenticates: boolean;
  /** Its flags say how many tries its PIN has left. */
  readonly showsTries: boolean;
}

export interface AuditPlan {
  readonly sync: 'each' | 'interval';
  readonly onFailure: 'refuse' | 'continue';
  readonly rotateSize: number | undefined;
}

/** What a power cut may wait for: a file that was written or synced, a name that was given or taken, a C_Login. */
export type Moment = 'write' | 'sync' | 'rename' | 'folder sync' | 'login';
const MOMENTS: readonly Moment[] = ['write', 'sync', 'rename', 'rename', 'folder sync', 'login', 'login'];

/** Something that goes wrong, or that somebody does. Times are in milliseconds. */
export type Mishap = { readonly at: number } & (
  | { readonly type: 'cut' | 'restart' | 'repeat' | 'half request' | 'nonsense'; readonly tunnel: number }
  | { readonly type: 'cut after'; readonly tunnel: number; readonly bytes: number }
  | { readonly type: 'deaf'; readonly tunnel: number; readonly lasts: number }
  | { readonly type: 'daemon down'; readonly tunnel: number; readonly lasts: number; readonly isTidy: boolean }
  | {
      readonly type: 'host';
      readonly effect: HostEffect;
      readonly call: HostCall | undefined;
      readonly milliseconds: number;
      /** One after the other. */
      readonly times?: number;
    }
  | { readonly type: 'ckr'; readonly module: number; readonly method: string; readonly ckr: Ckr }
  | { readonly type: 'wrong signature'; readonly module: number }
  | { readonly type: 'pull' | 'swap'; readonly token: number; readonly lasts: number }
  | { readonly type: 'tries spent'; readonly token: number }
  | { readonly type: 'wrong PIN' | 'no PIN'; readonly token: number; readonly lasts: number }
  | { readonly type: 'disk full'; readonly lasts: number }
  | { readonly type: 'syncs fail' | 'writes fail'; readonly times: number }
  | { readonly type: 'disk hangs'; readonly lasts: number; readonly hang: number }
  | { readonly type: 'clock jumps'; readonly by: number }
  | { readonly type: 'reload'; readonly variant: number }
  | { readonly type: 'stop' | 'kill' | 'power loss'; readonly lasts: number }
  /** A stop as soon as so many entries of the audit log are behind its last checkpoint; much is signed until then. */
  | { readonly type: 'stop at'; readonly uncovered: number; readonly lasts: number }
  /** A power cut right behind what the agent does next of a kind. */
  | { readonly type: 'power loss at'; readonly moment: Moment; readonly skipped: number; readonly lasts: number }
  | { readonly type: 'lock'; readonly lasts: number }
  | { readonly type: 'forget' | 'refresh' }
  | { readonly type: 'visit'; readonly tunnel: number; readonly manner: number }
);

export interface Plan {
  readonly seed: number;
  readonly deadline: number;
  readonly modules: number;
  readonly keys: readonly KeyPlan[];
  readonly tunnels: readonly TunnelPlan[];
  readonly tokens: readonly TokenPlan[];
  readonly audit: AuditPlan | undefined;
  readonly mishaps: readonly Mishap[];
}

/** Milliseconds in which mishaps come; then it is calm. */
export const STORM = 30_000;

const CALLS: readonly (HostCall | undefined)[] = [
  ...(['login', 'login', 'login', 'sign', 'sign', 'sign', undefined] as const),
  ...(['load', 'tokens', 'find', 'attributes', 'openSession', 'sessionInfo', 'mechanisms', 'reinitialize'] as const),
];
const EFFECTS: readonly HostEffect[] = [
  ...(['die before', 'die after', 'hang before', 'hang after', 'late', 'garbage', 'no start'] as const),
];
/** After which the agent can't know what the token said. */
const UNHEARD: readonly HostEffect[] = ['die after', 'hang after', 'garbage'];
const METHODS = [
  ...['C_Sign', 'C_SignInit', 'C_Login', 'C_OpenSession', 'C_FindObjectsInit', 'C_GetAttributeValue'],
  ...['C_GetSlotList', 'C_GetTokenInfo', 'C_Initialize', 'C_GetSessionInfo', 'C_CloseSession', 'C_GetMechanismList'],
];
const CKRS: readonly Ckr[] = [
  ...(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR', 'CKR_DEVICE_REMOVED'] as const),
  ...(['CKR_SESSION_HANDLE_INVALID', 'CKR_USER_NOT_LOGGED_IN', 'CKR_TOKEN_NOT_PRESENT'] as const),
];

type Draw = (random: Random, at: number, plan: Omit<Plan, 'mishaps'>) => Mishap | undefined;

const tunnelOf = (random: Random, { tunnels }: Pick<Plan, 'tunnels'>): number => random.below(tunnels.length);

/** With how often each is drawn. */
const DRAWS: readonly (readonly [weight: number, draw: Draw])[] = [
  [
    6,
    (random, at, plan) => ({
      at,
      type: random.pick(['cut', 'restart', 'repeat', 'half request', 'nonsense'] as const),
      tunnel: tunnelOf(random, plan),
    }),
  ],
  [
    3,
    (random, at, plan) => ({ at, type: 'cut after', tunnel: tunnelOf(random, plan), bytes: random.between(1, 1500) }),
  ],
  [1, (random, at, plan) => ({ at, type: 'deaf', tunnel: tunnelOf(random, plan), lasts: random.between(100, 8_000) })],
  [
    3,
    (random, at, plan) => ({
      ...({ at, type: 'daemon down', tunnel: tunnelOf(random, plan) } as const),
      ...{ lasts: random.between(10, 8_000), isTidy: random.chance(0.5) },
    }),
  ],
  [
    10,
    (random, at, { tokens }) =>
      tokens.length === 0
        ? undefined
        : {
            ...({ at, type: 'host', effect: random.pick(EFFECTS), call: random.pick(CALLS) } as const),
            milliseconds: random.between(100, 12_000),
          },
  ],
  [
    6,
    (random, at, { tokens, modules }) =>
      tokens.length === 0
        ? undefined
        : { at, type: 'ckr', module: random.below(modules), method: random.pick(METHODS), ckr: random.pick(CKRS) },
  ],
  [
    1,
    (random, at, { tokens, modules }) =>
      tokens.length === 0 ? undefined : { at, type: 'wrong signature', module: random.below(modules) },
  ],
  [
    4,
    (random, at, { tokens }) => {
      const removable = tokens.flatMap(({ isRemovable }, index) => (isRemovable ? [index] : []));
      if (removable.length === 0) return undefined;
      const type = random.pick(['pull', 'pull', 'swap'] as const);
      return { at, type, token: random.pick(removable), lasts: random.between(50, 8_000) };
    },
  ],
  [
    1,
    (random, at, { tokens }) =>
      tokens.length === 0 ? undefined : { at, type: 'tries spent', token: random.below(tokens.length) },
  ],
  [
    4,
    (random, at, { tokens }) =>
      tokens.length === 0
        ? undefined
        : {
            ...{ at, type: random.pick(['wrong PIN', 'wrong PIN', 'no PIN'] as const) },
            ...{ token: random.below(tokens.length), lasts: random.between(500, 10_000) },
          },
  ],
  [2, (random, at) => ({ at, type: 'disk full', lasts: random.between(100, 6_000) })],
  [2, (random, at) => ({ at, type: random.pick(['syncs fail', 'writes fail'] as const), times: random.between(1, 3) })],
  [1, (random, at) => ({ at, type: 'disk hangs', lasts: random.between(50, 4_000), hang: random.between(100, 8_000) })],
  [1, (random, at) => ({ at, type: 'clock jumps', by: random.between(-40_000, 40_000) * 1000 })],
  [3, (random, at) => ({ at, type: 'reload', variant: random.below(64) })],
  [2, (random, at) => ({ at, type: 'stop', lasts: random.between(10, 5_000) })],
  [3, (random, at) => ({ at, type: 'kill', lasts: random.between(10, 5_000) })],
  [3, (random, at) => ({ at, type: 'power loss', lasts: random.between(500, 8_000) })],
  [
    2,
    (random, at, { audit }) =>
      audit && { at, type: 'stop at', uncovered: random.between(94, 99), lasts: random.between(10, 5_000) },
  ],
  [
    3,
    (random, at) => ({
      ...({ at, type: 'power loss at', moment: random.pick(MOMENTS) } as const),
      ...{ skipped: random.below(3), lasts: random.between(500, 8_000) },
    }),
  ],
  [1, (random, at) => ({ at, type: 'lock', lasts: random.between(100, 8_000) })],
  [2, (random, at) => ({ at, type: random.pick(['forget', 'refresh'] as const) })],
  [
    4,
    (random, at, { tunnels }) => {
      const relayed = tunnels.flatMap(({ relay }, index) => (relay === undefined ? [] : [index]));
      if (relayed.length === 0) return undefined;
      return { at, type: 'visit', tunnel: random.pick(relayed), manner: random.below(1_000_000) };
    },
  ],
];

const tokenOf = (random: Random, { tokens }: Pick<Plan, 'tokens'>): number => random.below(tokens.length);

/** What spends PINs, and what makes an agent forget: drawn alone in some of the worlds that have tokens. */
const DRAWS_OF_PINS: typeof DRAWS = [
  [
    4,
    (random, at, plan) => ({
      at,
      type: 'wrong PIN',
      token: tokenOf(random, plan),
      lasts: random.between(5_000, 25_000),
    }),
  ],
  [
    6,
    (random, at) => ({
      ...({
        at,
        type: 'host',
        effect: random.pick(EFFECTS),
        call: random.pick(['login', 'login', 'sign'] as const),
      } as const),
      milliseconds: random.between(100, 12_000),
    }),
  ],
  [
    2,
    (random, at) => ({
      ...({ at, type: 'host', effect: random.pick(UNHEARD), call: 'login' } as const),
      ...{ milliseconds: random.between(100, 12_000), times: random.between(2, 4) },
    }),
  ],
  [2, (random, at, plan) => ({ at, type: 'tries spent', token: tokenOf(random, plan) })],
  [
    3,
    (random, at, plan) => ({
      at,
      type: random.pick(['pull', 'swap'] as const),
      token: tokenOf(random, plan),
      lasts: random.between(50, 8_000),
    }),
  ],
  [3, (random, at) => ({ at, type: random.pick(['kill', 'stop'] as const), lasts: random.between(10, 2_000) })],
  [
    1,
    (random, at) => ({
      at,
      type: 'power loss at',
      moment: 'login',
      skipped: random.below(2),
      lasts: random.between(500, 4_000),
    }),
  ],
  [
    1,
    (random, at, { modules }) => ({
      at,
      type: 'ckr',
      module: random.below(modules),
      method: 'C_Login',
      ckr: random.pick(CKRS),
    }),
  ],
  [1, (random, at) => ({ at, type: 'reload', variant: random.below(64) })],
];
/** What clients of relays are in the way of. */
const DRAWS_OF_RELAYS: typeof DRAWS = [
  [
    8,
    (random, at, { tunnels }) => {
      const relayed = tunnels.flatMap(({ relay }, index) => (relay === undefined ? [] : [index]));
      if (relayed.length === 0) return undefined;
      return { at, type: 'visit', tunnel: random.pick(relayed), manner: random.below(1_000_000) };
    },
  ],
  [2, (random, at, plan) => ({ at, type: random.pick(['cut', 'restart'] as const), tunnel: tunnelOf(random, plan) })],
  // longer than a command is waited for
  [
    2,
    (random, at, plan) => ({ at, type: 'deaf', tunnel: tunnelOf(random, plan), lasts: random.between(2_000, 8_000) }),
  ],
];

/** One world of four or so is about something. */
function drawsOf({ seed, tokens }: Omit<Plan, 'mishaps'>): typeof DRAWS {
  const random = new Random(seed + 0x7e3e);
  if (tokens.length > 0 && random.chance(0.25)) return DRAWS_OF_PINS;
  return random.chance(0.08) ? DRAWS_OF_RELAYS : DRAWS;
}

function drawMishap(random: Random, plan: Omit<Plan, 'mishaps'>, draws: typeof DRAWS): Mishap | undefined {
  const at = random.between(0, STORM);
  const all = draws.reduce((sum, [weight]) => sum + weight, 0);
  let left = random.below(all);
  for (const [weight, draw] of draws) {
    if (left < weight) return draw(random, at, plan);
    left -= weight;
  }
  return undefined;
}

/** Of the simulated keys, how many there are; the last ones are for tokens that take another's place. */
const KEYS = 6;

function tokensOf(random: Random, modules: number, flags: Random): TokenPlan[] {
  if (modules === 0) return [];
  return Array.from({ length: random.between(1, 2) }, (_, index) => ({
    module: index % modules,
    key: random.below(KEYS),
    isRemovable: random.chance(0.7),
    alwaysAuthenticates: random.chance(0.2),
    showsTries: flags.chance(0.7),
  }));
}

function keysOf(random: Random, tokens: readonly TokenPlan[]): KeyPlan[] {
  const inTokens = tokens.map((token, index) => ({
    ...{ name: `key${index}`, token: index, key: token.key, waitsForToken: random.chance(0.8) },
  }));
  const inFiles = Array.from({ length: random.between(tokens.length === 0 ? 1 : 0, 2) }, (_, index) => ({
    ...{ name: `file${index}`, token: undefined, key: random.below(KEYS), waitsForToken: false },
  }));
  return [...inTokens, ...inFiles];
}

export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const modules = random.chance(0.75) ? random.between(1, 2) : 0;
  const tokens = tokensOf(random, modules, new Random(seed + 0x5eed));
  const keys = keysOf(random, tokens);
  const tunnels = Array.from({ length: random.between(1, 4) }, (_, index): TunnelPlan => {
    const isClient = random.chance(0.3);
    const isTcp = random.chance(0.3);
    return {
      name: `tunnel${index}`,
      // each key has one, as far as there are enough
      key: index < keys.length ? index : random.below(keys.length),
      isTcp,
      isClient,
      isHeld: random.chance(0.7),
      // whoever connects to a TCP port may be anybody
      hasPassword: random.chance(0.2) && !(isTcp && isClient),
      relay: random.chance(0.35) ? random.pick(['read', 'operate', 'all'] as const) : undefined,
      keepsRelay: random.chance(0.5),
    };
  });
  const audit: AuditPlan | undefined = random.chance(0.75)
    ? {
        sync: random.chance(0.7) ? 'each' : 'interval',
        onFailure: random.chance(0.7) ? 'refuse' : 'continue',
        rotateSize: random.chance(0.4) ? random.between(3_000, 20_000) : undefined,
      }
    : undefined;
  const plan = { seed, deadline: random.between(2_000, 6_000), modules, keys, tunnels, tokens, audit };
  const draws = drawsOf(plan);
  const count = random.between(0, 25);
  const mishaps = Array.from({ length: count }, () => drawMishap(random, plan, draws))
    .filter((mishap) => mishap !== undefined)
    .sort((one, other) => one.at - other.at);
  return { ...plan, mishaps };
}
