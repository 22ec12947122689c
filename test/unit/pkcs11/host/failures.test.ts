import { describe, expect, test } from 'vitest';
import { hostFailure, isWorthReopening } from '../../../../src/pkcs11/host/failures.ts';

const failure = (ckr: string, functionName: string) =>
  hostFailure({ kind: 'ckr', ckr, code: 0, function: functionName }, '/module.so');

describe('a return value', () => {
  test.each([
    ['CKR_PIN_INCORRECT', 'ERR_PIN_INCORRECT'],
    ['CKR_PIN_LEN_RANGE', 'ERR_PIN_INCORRECT'],
    ['CKR_PIN_LOCKED', 'ERR_PIN_LOCKED'],
  ])('%s tells of the PIN where the PIN was sent, and of a failure elsewhere', (ckr, code) => {
    expect(failure(ckr, 'C_Login')).toMatchObject({ code, ckr, ckrFunction: 'C_Login' });
    const elsewhere = failure(ckr, 'C_Sign');
    expect(elsewhere).toMatchObject({ code: 'ERR_TOKEN_FAILED', ckr, ckrFunction: 'C_Sign' });
    expect(isWorthReopening(elsewhere)).toBe(true);
  });

  test('CKR_PIN_EXPIRED is said of the PIN by all', () => {
    expect(failure('CKR_PIN_EXPIRED', 'C_SignInit')).toMatchObject({ code: 'ERR_PIN_LOCKED' });
  });
});
