import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CALLS } from '../faults/calls.ts';
import { GROUPS } from '../faults/list/index.ts';
import { CALLS_BEGIN, faultTables } from '../faults/page.ts';

// npm run test:faults takes minutes: here only that docs/RELIABILITY.md says of each fault what is tested

const page = readFileSync(join(import.meta.dirname, '../../docs/RELIABILITY.md'), 'utf8');
const at = page.indexOf(CALLS_BEGIN);

test('the page has each fault with what it comes to: scripts/update-reliability-doc', () => {
  expect(page.slice(0, at)).toBe(faultTables(GROUPS));
});

test('the page has each call, and none that leaves a daemon without an answer', () => {
  const rows = [...page.slice(at).matchAll(/^\| `(C_\w+)` \|(.*)$/gm)];
  expect(rows.map(([, call]) => call)).toEqual(Object.keys(CALLS));
  for (const [, call, text] of rows) expect(text, call).not.toMatch(/no answer|not signed/);
});

test('no two faults have one name', () => {
  const names = GROUPS.flatMap(({ faults }) => faults.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
});
