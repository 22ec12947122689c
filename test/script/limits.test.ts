import { execFileSync } from 'node:child_process';
import { truncate } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';

const config = (path: string) => ['run', '--openvpn-config', path, '--key', 'x'];
const key = (path: string) => ['sign', '--key', path];

/** Files that are more than a file should be, and the line that says so. */
const FILES: [string, (bench: Bench) => string[] | Promise<string[]>, RegExp][] = [
  [
    'an endless configuration',
    () => config('/dev/zero'),
    /can't read the OpenVPN configuration: \/dev\/zero is a device/,
  ],
  ['a folder as configuration', (bench) => config(bench.folder), /is a directory/],
  ['a line of 100 MB', async (bench) => config(await huge(bench)), /has more than \d+ bytes/],
  ['an endless key', () => key('/dev/zero'), /can't read the key file: \/dev\/zero is a device/],
  ['a key of 100 MB', async (bench) => key(await huge(bench)), /has more than \d+ bytes/],
];

async function huge(bench: Bench): Promise<string> {
  const path = await bench.write('huge', '# ');
  await truncate(path, 100 * 1024 * 1024);
  return path;
}

describe.concurrent('one line and exit code 2', () => {
  test.for(FILES)('%s', async ([, args, line], { bench }) => {
    const pksigd = await bench.pksigd(await args(bench), { input: 'eA==' });
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr.filter((text) => !text.startsWith('{"level":"info"'))).toEqual([expect.stringMatching(line)]);
  });
});

test('an endless certificate: one line and exit code 3', async ({ bench }) => {
  const options = ['--key', bench.key('p256', 'file'), '--cert', '/dev/zero'];
  for (const args of [['sign'], ['run', '--management', bench.path('none'), 'unix']]) {
    const pksigd = await bench.pksigd([...args, ...options], { input: 'eA==' });
    expect(await pksigd.exited).toBe(3);
    const lines = pksigd.stderr.filter((text) => !text.startsWith('{"level":"info"'));
    expect(lines).toEqual([expect.stringMatching(/can't read the certificate: \/dev\/zero is a device/)]);
  }
});

test('a key through a pipe', async ({ bench }) => {
  const fifo = bench.path('pipe');
  execFileSync('sh', ['-c', 'umask 077; mkfifo "$1"', 'sh', fifo]);
  const pksigd = await bench.pksigd(['sign', '--key', fifo, '--algorithm', 'ED25519,data=message'], { input: 'eA==' });
  execFileSync('sh', ['-c', 'cat "$1" > "$2"', 'sh', bench.recipe('ed25519.pem'), fifo]);
  expect(await pksigd.exited).toBe(0);
});

test('a pipe that says nothing as management password keeps nobody from stopping', async ({ bench }) => {
  const fifo = bench.path('silent');
  execFileSync('mkfifo', [fifo]);
  const pksigd = await bench.pksigd([
    'run',
    ...['--management', bench.path('none'), 'unix', fifo],
    ...['--key', bench.key('p256', 'file')],
  ]);
  await pksigd.message('key ready');
  pksigd.kill('SIGTERM');
  expect(await pksigd.exited).toBe(0);
});
