import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { safeProgram } from '../../../src/exec/program-file.ts';

const uid = process.geteuid?.();
const isRoot = uid === 0;
let folder: string;
let program: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-program-'));
  mkdirSync(join(folder, 'bin'), { mode: 0o755 });
  program = join(folder, 'bin/program');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  // whatever the umask
  chmodSync(program, 0o755);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('a program is run', () => {
  test('that is ours and that nobody else can write, by a link too', async () => {
    expect(await safeProgram(program, uid)).toBe(program);
    symlinkSync(program, join(folder, 'link'));
    expect(await safeProgram(join(folder, 'link'), uid)).toBe(join(folder, 'link'));
    expect(await safeProgram('/bin/sh', uid)).toBe('/bin/sh');
  });

  const mode = (path: string, bits: number) => (): void => {
    chmodSync(join(folder, path), bits);
  };
  const unsafe: readonly [string, () => void][] = [
    ['its group can write it', mode('bin/program', 0o775)],
    ['all can write it', mode('bin/program', 0o757)],
    ["its folder's group can write that", mode('bin', 0o775)],
    ['all can write its folder, sticky or not', mode('bin', 0o1777)],
    ['all can write a folder above', mode('.', 0o777)],
    ['it is not executable', mode('bin/program', 0o644)],
    [
      'it is a folder',
      () => {
        rmSync(program);
        mkdirSync(program);
      },
    ],
  ];
  test.for(unsafe)('not if %s', async ([, spoil]) => {
    spoil();
    await expect(safeProgram(program, uid)).rejects.toMatchObject({ code: 'ERR_KEY_PERMISSIONS' });
  });

  test('not by a link that lies where others can write', async () => {
    mkdirSync(join(folder, 'open'));
    chmodSync(join(folder, 'open'), 0o777);
    symlinkSync(program, join(folder, 'open/link'));
    await expect(safeProgram(join(folder, 'open/link'), uid)).rejects.toMatchObject({ code: 'ERR_KEY_PERMISSIONS' });
  });

  test.runIf(isRoot).for(['the program', 'its folder'])("not if %s is another user's", async (what) => {
    chownSync(what === 'the program' ? program : join(folder, 'bin'), 12_345, 0);
    await expect(safeProgram(program, uid)).rejects.toMatchObject({ code: 'ERR_KEY_PERMISSIONS' });
  });

  test('not if it is not there', async () => {
    await expect(safeProgram(join(folder, 'no/such'), uid)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
  });
});
