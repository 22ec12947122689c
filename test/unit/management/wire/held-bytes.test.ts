import { expect, test } from 'vitest';
import { heldLine, heldNotification } from '../../../../src/management/wire/held-bytes.ts';

test('an empty line is not free, and bytes count where they are a second string', () => {
  expect(heldLine('')).toBe(64);
  expect(heldLine('ab', 'ab')).toBe(68);
  expect(heldLine('ü', '\xc3\xbc')).toBe(66 + 66);
  expect(heldNotification(['ab', 'ü'], ['ab', '\xc3\xbc'])).toBe(256 + 68 + 132);
  expect(heldNotification(['ab'])).toBe(256 + 68);
});
