import { randomBytes } from 'node:crypto';
import { appendFile, copyFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../../support/bench.ts';
import { GREETING } from '../../support/fake-daemon.ts';
import { openssl } from '../../support/openssl.ts';
import { CutProxy } from '../cut-proxy.ts';
import { bothAskOften, SIGNED, whileSigning, whileStopped, type Fault, type FaultGroup } from '../fault.ts';
import type { WorldOptions } from '../world.ts';

const ASKED = /"tunnel":"hit".*"a signature is asked for"/;
const FREED = ['the daemon waits for an answer, and takes none: it gets a signal'];

/** The agent reaches the daemon through a proxy that can cut. */
function through(proxy: CutProxy): WorldOptions {
  return {
    prepare: (bench) => proxy.open(bench, bench.path('run/hit'), bench.path('run/daemon')),
    tunnel: (bench) => ({ management: bench.path('run/daemon'), goesOn: true }),
  };
}

/** The connection ends when the daemon has so many bytes of an answer. */
function cutAt(name: string, length: (answer: string) => number, log: readonly string[] = FREED): Fault {
  const proxy = new CutProxy();
  return {
    ...SIGNED,
    name,
    log,
    world: through(proxy),
    strike: async ({ hit, other }) => {
      proxy.cutAnswer(length);
      const from = await hit.restart();
      const second = await other.ask();
      return { daemon: await (log === FREED ? hit.afterSignal(from) : hit.outcome(from)), other: second };
    },
  };
}

/** A daemon that asks for more than a line of OpenVPN holds: TLS 1.2, many authorities, and the whole handshake to be signed. */
async function manyAuthorities(bench: Bench): Promise<void> {
  await copyFile(bench.recipe('ca.crt'), bench.path('cas.crt'));
  for (let count = 0; count < 30; count += 1) {
    const subject = ['O', 'OU', 'CN'].map((part) => `/${part}=${randomBytes(32).toString('hex')}`).join('');
    const more = await openssl(['req', '-x509', '-key', bench.recipe('ca.pem'), '-subj', subject]);
    await appendFile(bench.path('cas.crt'), more);
  }
}

/** Peers write a text over and over to where the agent listens. */
function flood(name: string, text: string): Fault {
  const strangers: WorldOptions = {
    sections: { 'tunnel.open': { key: 'token', management: 'run/open unix', 'management-client': true } },
  };
  return {
    ...SIGNED,
    name: `three peers that send ${name} without end`,
    world: strangers,
    strike: async (world) => {
      const sockets = [1, 2, 3].map(() => flooding(world.bench.path('run/open'), text));
      const seen = await bothAskOften(world, 10);
      for (const socket of sockets) socket.destroy();
      return seen;
    },
  };
}

function flooding(path: string, text: string): Socket {
  const socket = connect(path);
  const chunk = text.repeat(Math.ceil(65_536 / text.length));
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('error', () => undefined);
  socket.on('drain', more);
  socket.resume();
  socket.write(GREETING);
  more();
  return socket;
}

export const DAEMONS: FaultGroup = {
  title: 'Daemons',
  faults: [
    {
      ...SIGNED,
      name: 'stopped (SIGSTOP) for a while, at rest',
      strike: async ({ hit, other }) => {
        let second = '';
        await whileStopped(hit.client.pid, async () => {
          await sleep(1_000);
          second = await other.ask();
        });
        return { daemon: await hit.ask(), other: second };
      },
    },
    {
      ...SIGNED,
      name: 'stopped while it waits for a signature: it gets that when it goes on',
      strike: async (world) => {
        const mark = world.mark();
        return await whileSigning(world, () =>
          whileStopped(world.hit.client.pid, async () => {
            await world.logged(mark, /"tunnel":"hit".*"msg":"signed"/);
          }),
        );
      },
    },
    {
      ...SIGNED,
      name: 'killed at rest, and started anew',
      strike: async ({ hit, other }) => {
        hit.client.kill('SIGKILL');
        await hit.client.exited;
        const second = await other.ask();
        return { daemon: await hit.startAnew(), other: second };
      },
    },
    {
      ...SIGNED,
      name: 'killed while it waits for a signature, and started anew',
      log: [],
      strike: async (world) => {
        const { hit, other } = world;
        const mark = world.mark();
        await world.bed.fault('C_Sign', { delay: 700, times: 1 });
        await hit.restart();
        await world.logged(mark, ASKED);
        hit.client.kill('SIGKILL');
        await hit.client.exited;
        await world.logged(mark, /"tunnel":"hit".*"outcome":"dropped"/);
        const second = await other.ask();
        return { daemon: await hit.startAnew(), other: second };
      },
    },
    {
      ...SIGNED,
      name: 'its connection is lost while it waits for a signature',
      log: [],
      ...(() => {
        const proxy = new CutProxy();
        return {
          world: through(proxy),
          strike: async ({ hit, other }) => {
            proxy.cutAtRequest();
            const from = await hit.restart();
            const second = await other.ask();
            return { daemon: await hit.outcome(from), other: second };
          },
        } satisfies Pick<Fault, 'world' | 'strike'>;
      })(),
    },
    cutAt('its connection is lost behind the first line of an answer: it is freed by SIGUSR1', () => 'pk-sig\n'.length),
    cutAt('… in the middle of a line', () => 'pk-sig\n'.length + 30),
    cutAt('… before `END`', (answer) => answer.indexOf('END\n')),
    cutAt('… in the middle of `END`', (answer) => answer.indexOf('END\n') + 2),
    cutAt('… behind `END`', (answer) => answer.length, []),
    {
      name: 'a request longer than 10,239 bytes, which OpenVPN cuts off',
      ...{ daemon: 'empty block', other: 'signed', log: ['ERR_REQUEST_TRUNCATED'] },
      cure: 'the server names fewer authorities',
      world: {
        prepare: manyAuthorities,
        tunnel: (bench) => ({
          clientArgs: ['--management-external-key', 'digest'],
          serverArgs: ['--tls-version-max', '1.2', '--ca', bench.path('cas.crt')],
        }),
      },
      strike: async ({ hit, other, bench }) => {
        const [daemon, second] = [await hit.ask(), await other.ask()];
        await copyFile(bench.recipe('ca.crt'), bench.path('cas.crt'));
        return { daemon, other: second };
      },
    },
    {
      ...SIGNED,
      name: 'a daemon that logs without end to a client of its relay (`log on`, verb 7)',
      world: {
        sections: { 'tunnel.hit': { relay: 'run/relay unix', 'relay-allow': 'operate' } },
        tunnel: () => ({ clientArgs: ['--verb', '7'] }),
      },
      strike: async (world) => {
        const socket = connect(world.bench.path('run/relay'));
        socket.on('error', () => undefined);
        socket.resume();
        socket.write('log on all\nbytecount 1\nstate on all\n');
        const seen = await bothAskOften(world, 5);
        socket.destroy();
        return seen;
      },
    },
    flood('requests', `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\n`),
    flood('requests that are no requests', '>PK_SIGN:!,ECDSA\n'),
    flood('lines without an end', 'x'.repeat(1000)),
    flood('empty lines', '\n'),
    flood('holds', '>HOLD:Waiting for hold release:0\n'),
    flood('questions', ">PASSWORD:Need 'Auth' username/password\n"),
  ],
};
