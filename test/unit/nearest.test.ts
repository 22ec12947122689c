import { expect, test } from 'vitest';
import { didYouMean, nearest } from '../../src/nearest.ts';

const KNOWN = ['token', 'manufacturer', 'module-path', 'id'];

test.each([
  ['tokn', 'token'],
  ['tokne', 'token'],
  ['TOKEN', 'token'],
  ['modulepath', 'module-path'],
  ['module_path', 'module-path'],
  ['ic', 'id'],
  ['label', undefined],
  ['', undefined],
  ['manu', undefined],
])('%s is like %s', (name, known) => {
  expect(nearest(name, KNOWN)).toBe(known);
});

test('what is like nothing is told what there is', () => {
  expect(didYouMean('tokn', KNOWN)).toBe(": did you mean 'token'?");
  expect(didYouMean('label', ['a', 'b'], 'there is')).toBe(": there is 'a', 'b'");
  expect(didYouMean('label', [])).toBe('');
});
