import { expect, test } from 'vitest';
import { pinState } from '../../../../src/pkcs11/pins/pin-state.ts';
import { FLAG } from '../fake-modules.ts';

test.each([
  [0, { needsLogin: false, hasKeypad: false, tries: 'ok' }],
  [FLAG.LOGIN, { needsLogin: true, hasKeypad: false, tries: 'ok' }],
  [FLAG.LOGIN | FLAG.KEYPAD, { needsLogin: true, hasKeypad: true, tries: 'ok' }],
  [FLAG.COUNT_LOW, { needsLogin: false, hasKeypad: false, tries: 'count low' }],
  [FLAG.COUNT_LOW | FLAG.FINAL_TRY, { needsLogin: false, hasKeypad: false, tries: 'final try' }],
  [FLAG.COUNT_LOW | FLAG.FINAL_TRY | FLAG.LOCKED, { needsLogin: false, hasKeypad: false, tries: 'locked' }],
  // flags that say nothing of the PIN: of the SO's, of the token
  [0x400 | 0x700000, { needsLogin: false, hasKeypad: false, tries: 'ok' }],
])('flags 0x%x', (flags, state) => {
  expect(pinState({ flags })).toEqual(state);
});
