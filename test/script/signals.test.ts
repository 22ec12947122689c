import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { MAIN, Pksigd } from '../support/pksigd.ts';

/** What npm links as `pksigd`. */
const COMMAND = join(import.meta.dirname, '../../bin/pksigd.cjs');
const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

/** Signals that neither stop, nor tell of a crash, nor control jobs: with those that Node has no name for. */
const MEANINGLESS: (NodeJS.Signals | number)[] = [
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGQUIT',
  'SIGPIPE',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGWINCH',
  'SIGCHLD',
  'SIGURG',
  'SIGCONT',
];
const REAL_TIME = [34, 35, 50, 64];

/** The TCP ports at which a process listens. */
function listening(pid: number): string[] {
  const own = new Set<string>();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    try {
      own.add(readlinkSync(`/proc/${pid}/fd/${descriptor}`));
    } catch {
      // closed meanwhile
    }
  }
  const rows = ['tcp', 'tcp6'].flatMap((kind) => readFileSync(`/proc/${pid}/net/${kind}`, 'utf8').split('\n').slice(1));
  return rows
    .map((row) => row.trim().split(/\s+/))
    .flatMap(([, local = '', , state, , , , , , inode]) =>
      state === '0A' && own.has(`socket:[${inode}]`) ? [local] : [],
    );
}

/**
 * A process's number, once the first line of the command's shell has run: nobody can be guarded before its first
 * instruction, when any program would end.
 */
function guarded(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
  const bit = 1n << BigInt(constants.signals.SIGUSR1 - 1);
  const sets = Array.from(status.matchAll(/^Sig(?:Blk|Ign|Cgt):\s*(\w+)/gm), ([, set = '0']) => BigInt(`0x${set}`));
  return sets.some((set) => (set & bit) !== 0n) ? pid : undefined;
}

/** `run` as the command that users have. */
async function start(bench: Bench, options: { env?: Record<string, string> } = {}): Promise<Pksigd> {
  const env = {
    HOME: bench.folder,
    XDG_STATE_HOME: bench.path('state'),
    SOFTHSM2_CONF: await bench.token(),
    ...options.env,
  };
  const args = ['run', '--management', bench.path('management'), 'unix', '--management-client'];
  const child = new Child('pksigd', COMMAND, [...args, '--key', bench.key('p256', 'SoftHSM')], {
    env,
    cwd: bench.folder,
  });
  // the same helpers, for another way of starting it
  return bench.adopt(Object.setPrototypeOf(child, Pksigd.prototype) as Pksigd);
}

async function signs(bench: Bench): Promise<void> {
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  daemon.say(REQUEST);
  expect((await daemon.hearsBlock('pk-sig')).join('')).not.toBe('');
  daemon.close();
}

/** Sends a signal again and again until `until` settles; gone processes are no error. */
async function storm(
  pid: () => number | undefined,
  signals: (NodeJS.Signals | number)[],
  until: Promise<unknown>,
): Promise<void> {
  const over = new AbortController();
  void until.finally(() => {
    over.abort();
  });
  const isOver = (): boolean => over.signal.aborted;
  while (!isOver()) {
    for (const signal of signals) {
      try {
        const target = pid();
        if (target !== undefined) process.kill(target, signal);
      } catch {
        // ended, or not there yet
      }
    }
    await sleep(0);
  }
}

function noDebugger(pksigd: Pksigd, ...pids: number[]): void {
  expect(pksigd.transcript).not.toMatch(/Debugger listening/);
  for (const pid of pids) expect(listening(pid)).toEqual([]);
}

test('SIGUSR1 from the first moment on opens no debugger and ends nothing, in agent and module host', async ({
  bench,
}) => {
  for (let round = 0; round < 3; round++) {
    const pksigd = await start(bench);
    const ready = pksigd.message('key ready');
    await Promise.all([
      storm(() => guarded(pksigd.pid), ['SIGUSR1'], ready),
      storm(() => guarded(pksigd.children[0]), ['SIGUSR1'], ready),
    ]);
    const [host = 0] = pksigd.children;
    await signs(bench);
    noDebugger(pksigd, pksigd.pid, host);
    await pksigd.stop();
  }
});

test.for([
  ['sign', '--key', 'KEY', '--algorithm', 'ECDSA'],
  ['check', '--key', 'KEY'],
  ['keys', '--module', '/no/such/module'],
  ['management', '--management', '/no/such/socket', 'unix', '--', 'pid'],
])('SIGUSR1 opens no debugger in %s', async (args, { bench }) => {
  const words = args.map((word) => (word === 'KEY' ? bench.key('p256', 'file') : word));
  const child = bench.adopt(new Child('pksigd', COMMAND, words, { env: { HOME: bench.folder } }));
  await storm(() => guarded(child.pid), ['SIGUSR1'], child.exited);
  expect(await child.exited).not.toBe(-1);
  expect(child.transcript).not.toMatch(/Debugger listening/);
});

test('main.js itself leaves no debugger open', async ({ bench }) => {
  const args = ['run', '--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd([...args, '--key', bench.key('p256', 'SoftHSM')], {
    env: { NODE_OPTIONS: '--inspect=127.0.0.1:0' },
  });
  await pksigd.message('key ready');
  const [host = 0] = pksigd.children;
  for (const pid of [pksigd.pid, host]) process.kill(pid, 'SIGUSR1');
  await signs(bench);
  expect([...listening(pksigd.pid), ...listening(host)]).toEqual([]);
  expect(readFileSync(`/proc/${host}/environ`, 'latin1')).not.toContain('NODE_OPTIONS');
});

test("NODE_OPTIONS' debugger is not opened by the command", async ({ bench }) => {
  const pksigd = await start(bench, { env: { NODE_OPTIONS: '--inspect=127.0.0.1:0' } });
  await pksigd.message('key ready');
  noDebugger(pksigd, pksigd.pid, ...pksigd.children);
});

test('NODE_EXTRA_CA_CERTS is read by neither Node of ours, and is there for what they start', async ({ bench }) => {
  const pksigd = await start(bench, { env: { NODE_EXTRA_CA_CERTS: '/no/such/file' } });
  await pksigd.message('key ready');
  const [host = 0] = pksigd.children;
  expect(readFileSync(`/proc/${host}/environ`, 'latin1')).not.toContain('NODE_EXTRA_CA_CERTS');
  // Node warns of a file that it can't read
  expect(pksigd.transcript).not.toContain('/no/such/file');
  const tells = `command:printenv%20NODE_EXTRA_CA_CERTS%20%3E${bench.path('extra')}`;
  const pin = bench.adopt(
    new Child(
      'pksigd',
      COMMAND,
      ['sign', '--key', bench.key('p256', 'SoftHSM', { 'pin-source': tells }), '--allow-pin-command'],
      {
        env: { HOME: bench.folder, SOFTHSM2_CONF: await bench.token(), NODE_EXTRA_CA_CERTS: '/no/such/file' },
      },
    ),
  );
  await pin.exited;
  expect(readFileSync(bench.path('extra'), 'utf8')).toBe('/no/such/file\n');
});

test('no meaningless signal ends agent or host; the agent says that it came', async ({ bench }) => {
  const pksigd = await start(bench);
  await pksigd.message('key ready');
  const [host = 0] = pksigd.children;
  for (const signal of [...MEANINGLESS, ...REAL_TIME]) {
    for (const pid of [pksigd.pid, host]) {
      spawn('kill', [`-${typeof signal === 'number' ? signal : constants.signals[signal]}`, String(pid)]);
    }
  }
  for (const name of ['SIGQUIT', 'SIGUSR2', 'SIGALRM'])
    await pksigd.until(name, () =>
      pksigd.messages('this signal has no effect on pksigd').find(({ signal }) => signal === name),
    );
  // those mean something
  await pksigd.message('reading the certificates anew: there is no configuration file');
  await pksigd.message('status');
  await signs(bench);
  expect(pksigd.children).toEqual([host]);
  noDebugger(pksigd, pksigd.pid, host);
});

describe.each(['SIGUSR1', 'SIGALRM', 'SIGHUP', 'SIGQUIT', 'SIGTSTP'] as const)('a storm of %s', (signal) => {
  test('is no end of a module host, nor of a signature', async ({ bench }) => {
    const pksigd = await start(bench);
    await pksigd.message('key ready');
    const [host = 0] = pksigd.children;
    const work = (async () => {
      for (let count = 0; count < 5; count++) await signs(bench);
    })();
    await storm(() => host, [signal], work);
    await work;
    expect(pksigd.children).toEqual([host]);
  });
});

test.for([
  ['SIGTERM', 'SIGTERM'],
  ['SIGINT', 'SIGTERM'],
  ['SIGTERM', 'SIGINT'],
] as const)('%s and then %s ends at once', async ([first, second], { bench }) => {
  // no key comes: the PIN command takes its time, and the request waits for it
  const key = bench.key('p256', 'SoftHSM', { 'pin-source': 'command:sleep%2050' });
  const args = ['run', '--management', bench.path('management'), 'unix', '--management-client', '--allow-pin-command'];
  const pksigd = await bench.pksigd([...args, '--relay', bench.path('relay'), 'unix', '--key', key]);
  await pksigd.listening();
  expect(existsSync(bench.path('relay'))).toBe(true);
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  daemon.say(REQUEST);
  await pksigd.message('connected to the daemon');
  pksigd.kill(first);
  await pksigd.message('stopping as soon as the requests under way are answered');
  pksigd.kill(second);
  await pksigd.exited;
  expect(pksigd.process.signalCode).toBe(second);
  for (const name of ['management', 'relay']) expect(existsSync(bench.path(name))).toBe(false);
  daemon.close();
});

describe('at a prompt', () => {
  const stops: [string, NodeJS.Signals | undefined, string][] = [
    ['SIGTERM', 'SIGTERM', 'PIN'],
    ['SIGINT', 'SIGINT', 'PIN'],
    ['Ctrl-C', undefined, 'PIN'],
    ['Ctrl-C', undefined, 'password'],
  ];
  test.for(stops)('%s ends run as it does later', async ([, signal, what], { bench }) => {
    const env = { HOME: bench.folder, XDG_STATE_HOME: bench.path('state'), SOFTHSM2_CONF: await bench.token() };
    const key = bench.key('p256', 'SoftHSM').replace(/&pin-source=.*/, '');
    const relay = `--relay ${bench.path('relay')} unix${what === 'password' ? ' prompt' : ''}`;
    const run = `${process.execPath} ${MAIN} run --management ${bench.path('management')} unix --management-client`;
    await bench.write('run', `echo "agent $$"; exec ${run} ${relay} --key '${key}'\n`);
    // the shell is in the terminal's foreground too
    const line = `trap : INT; sh ${bench.path('run')}; echo "status $?"; stty -a </dev/tty | grep -o -E -e '-?echo '`;
    const terminal = bench.adopt(
      new Child('script', 'script', ['-qec', line, '/dev/null'], { env, interactive: true }),
    );
    const agent = Number((await terminal.logged(/agent \d+/)).replace(/\D/g, ''));
    await terminal.said(new RegExp(`${what}[^:]*: ?$`));
    if (signal === undefined) terminal.process.stdin.write('\x03');
    else process.kill(agent, signal);
    await terminal.logged(/status 0/);
    await terminal.exited;
    const after = terminal.transcript.split('stopping as soon as')[1];
    expect(after).not.toContain(`${what} of`);
    expect(terminal.transcript).toMatch(/^.*\becho/m);
    expect(terminal.transcript).not.toMatch(/-echo|pksigd: /);
    for (const name of ['management', 'relay']) expect(existsSync(bench.path(name))).toBe(false);
  });
});

test('the end of its terminal stops run', async ({ bench }) => {
  const env = { HOME: bench.folder, SOFTHSM2_CONF: await bench.token() };
  const key = bench.key('p256', 'SoftHSM');
  // script(1) is the terminal, and its shell becomes the agent: a shell of its own would end before the agent does
  const command = `exec ${COMMAND} run --management ${bench.path('management')} unix --management-client --key '${key}'`;
  const terminal = bench.adopt(
    new Child('script', 'script', ['-qfc', command, '/dev/null'], { env, interactive: true }),
  );
  await terminal.logged(/key ready/);
  const agent = Number(
    readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').trim().split(' ')[0],
  );
  expect(existsSync(`/proc/${agent}/exe`)).toBe(true);
  terminal.kill('SIGKILL');
  while (existsSync(`/proc/${agent}/exe`)) await sleep(20);
  expect(existsSync(bench.path('management'))).toBe(false);
});
