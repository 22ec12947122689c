import { expect, test } from 'vitest';
import { behindPrompt, forTunnels } from '../../../src/config/asking.ts';

test.each([
  [[], undefined],
  [['a'], 'for tunnel a'],
  [['a', 'b'], 'for tunnels a and b'],
  [['a', 'b', 'c'], 'for tunnels a, b and c'],
  [['a', 'b', 'c', 'd'], 'for tunnels a, b and 2 others'],
])('a PIN that is wanted %j', (names, text) => {
  expect(forTunnels(names)).toBe(text);
});

test.each([
  [{}, ''],
  [{ why: 'for tunnel a' }, ' for tunnel a'],
  [{ tries: 'few tries are left' }, ' (few tries are left)'],
  // they were told before
  [{ wrong: '', tries: 'few tries are left' }, ' (few tries are left)'],
  [
    { why: 'for tunnel a', wrong: 'it was refused', tries: 'this is the last try' },
    ' for tunnel a (it was refused; this is the last try)',
  ],
])('what stands behind a prompt, of %j', (about, text) => {
  expect(behindPrompt(about)).toBe(text);
});
