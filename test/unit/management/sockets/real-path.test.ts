import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { realPath } from '../../../../src/management/sockets/real-path.ts';

test('a socket has one path, by whichever link it is reached', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-real-path-')));
  mkdirSync(join(folder, 'a'));
  symlinkSync('a', join(folder, 'b'));
  const path = join(folder, 'a/socket');
  expect(realPath(path)).toBe(path);
  expect(realPath(join(folder, 'b/socket'))).toBe(path);
  expect(realPath(relative('.', path))).toBe(path);
  // what the name itself leads to is another question
  symlinkSync('elsewhere', path);
  expect(realPath(path)).toBe(path);
  rmSync(folder, { recursive: true });
});

test('of a folder that is not there it is as it is given', () => {
  expect(realPath('/nowhere/at/all/../socket')).toBe('/nowhere/at/socket');
});
