import { rename } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultRule } from '../../tokens/setup/fault.ts';
import { CKR } from '../../tokens/support/numbers.ts';
import { bothAsk, bothAskOften, SIGNED, storm, whileSigning, type Fault, type FaultGroup } from '../fault.ts';
import type { World } from '../world.ts';

const EMPTY = { daemon: 'empty block', other: 'signed' } as const;

function signalHosts({ hosts }: World, signal: NodeJS.Signals): void {
  for (const host of hosts) process.kill(host, signal);
}

/** What the module does at each C_Sign. */
function atSignature(name: string, rule: FaultRule, more: Pick<Fault, 'daemon' | 'other' | 'log'>): Fault {
  return {
    ...{ name, ...more },
    strike: async (world) => {
      await world.bed.fault('C_Sign', rule);
      return await bothAsk(world);
    },
  };
}

const hex = (text: string): string => Buffer.from(text).toString('hex');

/** A frame as hosts send it, of whatever text. */
function frame(header: string): string {
  const length = (bytes: number): string => bytes.toString(16).padStart(8, '0');
  return `${length(4 + header.length)}${length(header.length)}${hex(header)}`;
}

const GARBAGE: readonly (readonly [name: string, bytes: string])[] = [
  ['text', hex('hello from the driver\n')],
  ['a length beyond all bounds', 'ffffffffffffffff'],
  ['a frame that is no JSON', frame('{{')],
  ['a frame that is no object', frame('null')],
  ['an answer to a call that nobody made', frame('{"id":77777,"result":null}')],
];

/** What the module does to an agent that starts. */
function atStart(name: string, call: string, rule: FaultRule, log: readonly string[]): Fault {
  return {
    ...EMPTY,
    name,
    log,
    strike: async (world) => {
      const { agent, bed, hit, other } = world;
      await bed.fault(call, rule);
      agent.kill();
      await agent.exited;
      world.startAgent();
      // the daemons' first handshake waits for the agent
      await world.logged(0, /"tunnel":"other".*"connected to the daemon"/);
      const [daemon, second] = await Promise.all([hit.ask(), other.ask()]);
      return { daemon, other: second };
    },
  };
}

export const HOSTS: FaultGroup = {
  title: 'Module hosts',
  faults: [
    {
      ...SIGNED,
      name: 'killed at rest',
      log: ['module host ended'],
      strike: async (world) => {
        signalHosts(world, 'SIGKILL');
        return await bothAsk(world);
      },
    },
    {
      ...SIGNED,
      name: 'killed while it signs',
      log: ['module host ended'],
      strike: (world) =>
        whileSigning(world, () => {
          signalHosts(world, 'SIGKILL');
        }),
    },
    {
      ...SIGNED,
      name: 'killed time and again, once a second',
      log: ['module host ended'],
      strike: (world) =>
        storm(
          () => {
            signalHosts(world, 'SIGKILL');
          },
          1_000,
          bothAskOften(world, 20),
        ),
    },
    {
      ...EMPTY,
      name: 'stopped (SIGSTOP): it is ended at the deadline',
      log: ['ERR_MODULE_TIMEOUT', 'module host ended'],
      strike: async (world) => {
        // not between two looks at the token, of which one would find that out first
        await world.lookedAt();
        signalHosts(world, 'SIGSTOP');
        return await bothAsk(world);
      },
    },
    {
      ...EMPTY,
      name: 'stopped while it signs',
      log: ['ERR_MODULE_TIMEOUT', 'module host ended'],
      strike: (world) =>
        whileSigning(world, () => {
          signalHosts(world, 'SIGSTOP');
        }),
    },
    {
      ...SIGNED,
      name: 'stopped for a second while it signs',
      strike: (world) =>
        whileSigning(world, async () => {
          signalHosts(world, 'SIGSTOP');
          await sleep(1_000);
          signalHosts(world, 'SIGCONT');
        }),
    },
    atSignature('slow: a second a signature', { delay: 1_000 }, SIGNED),
    atSignature('slower than the deadline', { delay: 3_000 }, { ...EMPTY, log: ['ERR_MODULE_TIMEOUT'] }),
    atSignature('hangs in a signature', { hang: true }, { ...EMPTY, log: ['ERR_MODULE_TIMEOUT'] }),
    atSignature('crashes in each signature', { crash: true }, { ...EMPTY, log: ['ERR_MODULE_DIED'] }),
    atSignature('crashes in one signature', { crash: true, times: 1 }, { ...SIGNED, log: ['module host ended'] }),
    atSignature('ends its process (exit 0) in each signature', { exit: true }, { ...EMPTY, log: ['ERR_MODULE_DIED'] }),
    atSignature('closes its pipe', { shut: true }, { ...EMPTY, log: ['ERR_MODULE_DIED'] }),
    ...GARBAGE.map(([name, pipe]) =>
      atSignature(`writes into its pipe: ${name}`, { pipe }, { ...EMPTY, log: ['ERR_MODULE_DIED'] }),
    ),
    atSignature(
      'writes into its pipe, once: half a frame',
      { pipe: '000000ff', times: 1 },
      {
        ...EMPTY,
        log: ['ERR_MODULE_TIMEOUT'],
      },
    ),
    atSignature(
      'writes into its pipe: that a login is done, which nobody asked for',
      { pipe: frame('{"loggedIn":true}') },
      SIGNED,
    ),
    atSignature('prints to its standard output', { print: 'x'.repeat(60) }, SIGNED),
    atSignature('signs wrongly: a bit is the other one', { flip: true }, { ...EMPTY, log: ['ERR_SIGNATURE_INVALID'] }),
    {
      ...EMPTY,
      name: 'the module is not there any more when its host must be started',
      log: ['ERR_MODULE_LOAD', 'the token is away'],
      strike: async (world) => {
        const { modulePath } = world.bed;
        await rename(modulePath, `${modulePath}.away`);
        signalHosts(world, 'SIGKILL');
        const seen = await bothAsk(world);
        await rename(`${modulePath}.away`, modulePath);
        return seen;
      },
    },
    atStart('the token fails (CKR_GENERAL_ERROR) when the agent starts', 'C_OpenSession', { rv: CKR.GENERAL_ERROR }, [
      'ERR_TOKEN_FAILED',
    ]),
    atStart('the module hangs when the agent starts', 'C_Initialize', { hang: true }, ['module host ended']),
    {
      ...EMPTY,
      name: 'the token is taken out',
      log: ['ERR_TOKEN_FAILED', 'the token is away'],
      strike: async (world) => {
        const { bench } = world;
        await rename(bench.path('tokens'), bench.path('away'));
        await world.logged(0, /"the token is away"/);
        const seen = await bothAsk(world);
        await rename(bench.path('away'), bench.path('tokens'));
        return seen;
      },
    },
    {
      daemon: 'held until it is back, then signed',
      other: 'signed',
      name: 'the token is taken out; the daemon has `management-hold`',
      log: ['the token is away'],
      world: { tunnel: () => ({ hold: true }) },
      strike: async (world) => {
        const { bench, hit, other } = world;
        await rename(bench.path('tokens'), bench.path('away'));
        await world.logged(0, /"the token is away"/);
        const from = await hit.restart();
        const [held, second] = await Promise.all([hit.outcome(from, 1_500), other.ask()]);
        await rename(bench.path('away'), bench.path('tokens'));
        const after = await hit.outcome(from);
        return { daemon: held === 'no answer' ? `held until it is back, then ${after}` : held, other: second };
      },
    },
  ],
};
