import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { MAIN } from '../support/pksigd.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

async function daemonOf(bench: Bench): Promise<FakeDaemon> {
  while (!existsSync(bench.path('management'))) await sleep(20);
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  return daemon;
}

async function sign(daemon: FakeDaemon, times = 1): Promise<void> {
  for (let count = 0; count < times; count++) {
    daemon.say(REQUEST);
    expect((await daemon.hearsBlock('pk-sig')).join('')).not.toBe('');
  }
}

function args(bench: Bench, key = bench.recipe('p256.pem')): string[] {
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  return [MAIN, 'run', ...management, '--key', key, '--log-level', 'debug'];
}

/** An agent with this standard error; it ends with the test. */
async function withAgent(
  bench: Bench,
  stderr: number | 'pipe',
  work: (agent: ChildProcess, daemon: FakeDaemon) => Promise<void>,
  key?: string,
): Promise<number | null> {
  const agent = spawn(process.execPath, args(bench, key), { stdio: ['ignore', 'ignore', stderr], cwd: bench.folder });
  const exited = once(agent, 'exit');
  try {
    const daemon = await daemonOf(bench);
    await work(agent, daemon);
    daemon.close();
  } finally {
    agent.kill();
    await exited;
  }
  return agent.exitCode;
}

test('a disk that is full costs log lines, and no signature', async ({ bench }) => {
  const full = openSync('/dev/full', 'w');
  expect(await withAgent(bench, full, async (_, daemon) => sign(daemon, 3))).toBe(0);
  closeSync(full);
});

test('a disk that was full is told of when it has room again', async ({ bench }) => {
  // a namespace's own tmpfs of one page, for the log, that the test fills and empties
  const script = `mount -t tmpfs -o size=64k none log && head -c 60000 /dev/zero >log/other 2>/dev/null; exec "$0" "$@" 2>>log/log`;
  const agent = spawn('unshare', ['-rm', 'sh', '-c', `mkdir -p log; ${script}`, process.execPath, ...args(bench)], {
    cwd: bench.folder,
    stdio: 'ignore',
  });
  const exited = once(agent, 'exit');
  const daemon = await daemonOf(bench);
  const log = `/proc/${agent.pid}/root${bench.path('log/log')}`;
  await sign(daemon, 60);
  // the agent's own view of the folder
  const inside = (command: string): void => {
    spawnSync('nsenter', ['--preserve-credentials', '-U', '-m', '-t', String(agent.pid), 'sh', '-c', command], {
      cwd: bench.folder,
    });
  };
  inside(`rm ${bench.path('log/other')}`);
  const lost = /"level":"warn".*"lines":(\d+),"msg":"\1 log lines were lost"/;
  while (!lost.test(readFileSync(log, 'utf8'))) await sleep(20);
  await sign(daemon);
  while (!/lost"[^]*"signed"/.test(readFileSync(log, 'utf8'))) await sleep(20);
  // whole lines again, behind the one that was cut off
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  expect(lines.filter((line) => !line.endsWith('}')).length).toBeLessThanOrEqual(1);
  daemon.close();
  agent.kill();
  await exited;
});

test('a reader that is gone costs log lines, and no signature', async ({ bench }) => {
  const code = await withAgent(bench, 'pipe', async (agent, daemon) => {
    agent.stderr?.destroy();
    await sign(daemon, 3);
  });
  expect(code).toBe(0);
});

test.for(['a socket', 'a pipe', 'a named pipe'])(
  'a reader of %s that stops reading holds nobody up',
  async (kind, { bench }) => {
    const shell = { 'a socket': '', 'a pipe': '2>&1 >/dev/null | sleep 1000', 'a named pipe': '2>fifo' }[kind] ?? '';
    const command = [process.execPath, ...args(bench)].map((word) => `'${word}'`).join(' ');
    if (kind === 'a named pipe') spawnSync('mkfifo', [bench.path('fifo')]);
    // opened for both: opening it waits for nobody, and nobody reads
    const holder = kind === 'a named pipe' ? openSync(bench.path('fifo'), 'r+') : undefined;
    const agent = spawn('sh', ['-c', `${kind === 'a socket' ? 'exec ' : ''}${command} ${shell}`], {
      cwd: bench.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    agent.stderr.pause();
    const exited = once(agent, 'exit');
    const daemon = await daemonOf(bench);
    // some 200 kB of log
    for (let count = 0; count < 800; count++) daemon.say('>ECHO:1,x\r\n');
    await sign(daemon, 5);
    daemon.close();
    process.kill(-(agent.pid ?? 0), 'SIGTERM');
    await exited;
    if (holder !== undefined) closeSync(holder);
  },
);

test('a reader that reads again hears how much it missed', async ({ bench }) => {
  // each signature's line names the key: a long path fills what holds lines back
  const folder = bench.path(Array<string>(14).fill('d'.repeat(250)).join('/'));
  await mkdir(folder, { recursive: true });
  const key = join(folder, 'p256.pem');
  await copyFile(bench.recipe('p256.pem'), key);
  await chmod(key, 0o600);
  const readsAgain = async (agent: ChildProcess, daemon: FakeDaemon): Promise<void> => {
    agent.stderr?.pause();
    await sign(daemon, 1_000);
    if (!agent.stderr) throw new Error('no pipe');
    for await (const text of createInterface({ input: agent.stderr })) {
      if (/"\d+ log lines were lost"/.test(text)) break;
    }
  };
  await withAgent(bench, 'pipe', readsAgain, key);
});

test('output whose reader has enough ends the command without a word', ({ bench }) => {
  for (const command of ['--help', 'keys --module /usr/lib/softhsm/libsofthsm2.so', 'check --key none']) {
    const { stderr } = spawnSync(
      'sh',
      ['-c', `{ sleep 0.2; exec '${process.execPath}' '${MAIN}' ${command}; } | true`],
      {
        cwd: bench.folder,
        encoding: 'utf8',
      },
    );
    expect(stderr).toBe('');
  }
});

test('output that finds no room is an error of one line', ({ bench }) => {
  const { stderr, status } = spawnSync(
    'sh',
    ['-c', `exec '${process.execPath}' '${MAIN}' check --key none >/dev/full`],
    {
      cwd: bench.folder,
      encoding: 'utf8',
    },
  );
  expect(stderr).toMatch(/^pksigd: can't write to standard output: ENOSPC.*\n$/);
  expect(status).toBe(1);
});
