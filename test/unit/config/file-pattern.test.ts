import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesOf } from '../../../src/config/file-pattern.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-pattern-'));
  for (const name of ['a.conf', 'b.conf', '.c.conf']) writeFileSync(join(folder, name), '');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test.each([
  ['*.conf', ['a.conf', 'b.conf']],
  ['[!a].conf', ['b.conf']],
  ['.*.conf', ['.c.conf']],
  ['[z-a].conf', []],
  [`${'x'.repeat(110_000)}*`, []],
])('%.20s fits', async (pattern, names) => {
  expect(await filesOf(join(folder, pattern))).toEqual(names.map((name) => join(folder, name)));
});
