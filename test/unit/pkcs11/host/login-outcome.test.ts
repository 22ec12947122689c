import { expect, test } from 'vitest';
import { outcomeOf } from '../../../../src/pkcs11/host/login-outcome.ts';
import { ckr } from '../fake-modules.ts';

// PKCS#11 v3.1 section 5.1.2: said of what happens "during the execution of the function"
test.each(['CKR_DEVICE_REMOVED', 'CKR_SESSION_CLOSED', 'CKR_DEVICE_ERROR', 'CKR_FUNCTION_CANCELED'])(
  '%s of C_Login: the token may have looked at the PIN',
  (name) => {
    expect(outcomeOf(ckr(name, 'C_Login'))).toBe('unknown');
  },
);

// "at the time that the function was invoked"
test.each(['CKR_TOKEN_NOT_PRESENT', 'CKR_SESSION_HANDLE_INVALID', 'CKR_SLOT_ID_INVALID', 'CKR_USER_NOT_LOGGED_IN'])(
  '%s of C_Login: it did not',
  (name) => {
    expect(outcomeOf(ckr(name, 'C_Login'))).toBe('untried');
  },
);

test('whatever comes before C_Login leaves the PIN alone', () => {
  expect(outcomeOf(ckr('CKR_DEVICE_REMOVED', 'C_SignInit'))).toBe('untried');
});
