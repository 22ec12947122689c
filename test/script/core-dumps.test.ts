import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { test } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { MAIN, Pksigd } from '../support/pksigd.ts';

/** The limit of core dumps, soft and hard. */
function limit(pid: number): string[] {
  const [, soft = '', hard = ''] =
    /^Max core file size +(\S+) +(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')) ?? [];
  return [soft, hard];
}

/** Which parts of its memory the kernel would put into one (core(5)): that of a dump that a program gets through a pipe. */
function filter(pid: number): number {
  return Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'latin1'), 16);
}

test.for([
  ['the command', [MAIN]],
  ['Node by hand', [process.execPath, MAIN]],
] as const)('started as %s: neither agent nor module host leaves a core dump', async ([, words], { bench }) => {
  const env = { HOME: bench.folder, SOFTHSM2_CONF: await bench.token() };
  const run = ['run', '--management', bench.path('none'), 'unix', '--key', bench.key('p256', 'SoftHSM')];
  // a limit that may be raised again is none
  const started = new Child('pksigd', 'prlimit', ['--core=unlimited', ...words, ...run], { env, cwd: bench.folder });
  const pksigd = bench.adopt(Object.setPrototypeOf(started, Pksigd.prototype) as Pksigd);
  await pksigd.message('key ready');
  const { pid } = pksigd;
  const [host = 0] = pksigd.children;
  expect({ agent: limit(pid), host: limit(host) }).toEqual({ agent: ['0', '0'], host: ['0', '0'] });
  expect({ agent: filter(pid), host: filter(host) }).toEqual({ agent: 0, host: 0 });
  expect(await pksigd.stop()).toBe(0);
});
