import { chmod, mkdir, stat, symlink } from 'node:fs/promises';
import { describe, expect, inject } from 'vitest';
import { test, type Bench } from '../support/bench.ts';

const DIGEST = Buffer.alloc(32, 7).toString('base64');

/** How one start of `pksigd sign` ends, and its last line. */
async function sign(bench: Bench, state: readonly string[], env: Record<string, string> = {}) {
  const key = `pkcs11:token=pksigd;object=p256?module-path=${inject('softhsmModule')}&pin-source=${bench.pinFile}`;
  const args = ['sign', '--key', key, '--algorithm', 'ECDSA', ...state];
  const pksigd = await bench.pksigd(args, { input: DIGEST, env });
  const status = await pksigd.exited;
  return { status, lines: pksigd.lines.filter((line) => line.startsWith('pksigd: ')) };
}

const ONE_LINE = {
  status: 2,
  lines: [expect.stringMatching(/state directory.*: .*(--state-directory|give another one)/)],
};

describe('a state directory that can not be used: one line, exit code 2', () => {
  test.for([
    ['/proc/pksigd', 'under /proc'],
    ['/dev/null', 'a device'],
    ['/dev/null/state', 'under a device'],
  ])('%s (%s)', async ([path = ''], { bench }) => {
    expect(await sign(bench, ['--state-directory', path])).toEqual(ONE_LINE);
  });

  test('writable by others', async ({ bench }) => {
    await mkdir(bench.path('open'));
    await chmod(bench.path('open'), 0o777);
    expect(await sign(bench, ['--state-directory', bench.path('open')])).toEqual(ONE_LINE);
  });

  test('by the environment', async ({ bench }) => {
    expect(await sign(bench, [], { STATE_DIRECTORY: '/proc/pksigd' })).toEqual(ONE_LINE);
    expect(await sign(bench, [], { XDG_STATE_HOME: '/proc' })).toEqual(ONE_LINE);
  });

  test('a link to itself', async ({ bench }) => {
    await symlink('loop', bench.path('loop'));
    expect(await sign(bench, ['--state-directory', bench.path('loop')])).toEqual(ONE_LINE);
  });
});

test('one that is made is for its owner, whatever the umask', async ({ bench }) => {
  const umask = await bench.write('umask', '#!/bin/sh\numask 0377\nexec node "$@"\n', 0o700);
  const state = bench.path('made/state');
  const key = `pkcs11:token=pksigd;object=p256?module-path=${inject('softhsmModule')}&pin-source=${bench.pinFile}`;
  const args = ['sign', '--key', key, '--algorithm', 'ECDSA', '--state-directory', state];
  const pksigd = await bench.pksigd(args, { input: DIGEST, launcher: umask });
  expect(await pksigd.exited).toBe(0);
  for (const path of [state, bench.path('made')]) expect((await stat(path)).mode & 0o777).toBe(0o700);
});
