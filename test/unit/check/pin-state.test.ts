import { describe, expect, test, vi } from 'vitest';
import { checkPinState } from '../../../src/check/pin-state.ts';
import { AgentError } from '../../../src/errors.ts';
import { openingOf, type Opening } from '../../../src/keys/backends.ts';
import type { Pkcs11Options } from '../../../src/keys/key-options.ts';
import { CKF } from '../../../src/pkcs11/constants.ts';
import type { TokenInfo } from '../../../src/pkcs11/index.ts';
import { Secret } from '../../../src/secret.ts';
import { reported } from './reported.ts';

function tokenWith(...flags: number[]): TokenInfo {
  const all = flags.reduce((sum, flag) => sum | flag, 0);
  return { slot: '00', label: 't', flags: all } as TokenInfo;
}

interface Around {
  readonly askSecret?: Opening['options']['askSecret'];
  readonly useFinalPinTry?: boolean;
  /** What the memory of refused PINs says. */
  readonly memory?: () => Promise<void>;
}

async function stateOf(token: TokenInfo, around: Around = {}): Promise<{ hasChance: boolean; lines: string[] }> {
  const { report, lines } = reported();
  const { askSecret = () => Promise.resolve(new Secret('1234')), memory, useFinalPinTry } = around;
  const pkcs11 = { ...(memory && { refusedPins: { check: memory } }), useFinalPinTry } as unknown as Pkcs11Options;
  const opening = openingOf({ askSecret, pkcs11, deadline: 60_000 });
  return { hasChance: await checkPinState(token, undefined, { opening, report }), lines };
}

describe('by the flags of the token', () => {
  test('no login is needed: the PIN is not asked for', async () => {
    const askSecret = vi.fn();
    expect(await stateOf(tokenWith(), { askSecret })).toEqual({
      hasChance: true,
      lines: ["ok    PIN: token 't' needs no login"],
    });
    expect(askSecret).not.toHaveBeenCalled();
  });

  test.each([
    ['locked', CKF.USER_PIN_LOCKED, {}, false, /^fail .*is locked: unlock it/],
    ['one try left', CKF.USER_PIN_FINAL_TRY, {}, false, /^fail .*one try .*: <final-pin-try>$/],
    ['one try left, to be used', CKF.USER_PIN_FINAL_TRY, { useFinalPinTry: true }, true, /^warn .*one try/],
    ['few tries left', CKF.USER_PIN_COUNT_LOW, {}, true, /^warn .*few tries are left/],
    ['a keypad', CKF.PROTECTED_AUTHENTICATION_PATH, {}, true, /^warn .*keypad/],
  ] as const)('%s', async (_, flag, around, hasChance, line) => {
    const state = await stateOf(tokenWith(CKF.LOGIN_REQUIRED, flag), around);
    expect(state).toEqual({ hasChance, lines: [expect.stringMatching(line)] });
  });
});

describe('by the memory of refused PINs', () => {
  const token = tokenWith(CKF.LOGIN_REQUIRED);
  const error = new AgentError('ERR_PIN_INCORRECT', 'refused before');

  test('refused before: no chance', async () => {
    const state = await stateOf(token, { memory: () => Promise.reject(error) });
    expect(state).toEqual({ hasChance: false, lines: ['fail  PIN: refused before'] });
  });

  test('a PIN that only a person knows is not asked for', async () => {
    const askSecret = vi.fn(() => Promise.reject(new AgentError('ERR_PIN_REQUIRED', 'not asked')));
    const memory = vi.fn();
    const state = await stateOf(token, { askSecret, memory });
    expect(state).toEqual({ hasChance: true, lines: ["ok    PIN: token 't' is not locked"] });
    expect(askSecret).toHaveBeenCalledWith("PIN of token 't'", undefined, 'quietly');
    expect(memory).not.toHaveBeenCalled();
  });

  test("a source that can't be read: no chance", async () => {
    const askSecret = () => Promise.reject(new AgentError('ERR_PIN_SOURCE', 'no such file'));
    expect(await stateOf(token, { askSecret })).toEqual({ hasChance: false, lines: ['fail  PIN: no such file'] });
  });

  test('not refused: said so, and the PIN is gone from memory', async () => {
    const pin = new Secret('1234');
    const state = await stateOf(token, { askSecret: () => Promise.resolve(pin), memory: () => Promise.resolve() });
    expect(state.lines).toEqual(["ok    PIN: token 't' is not locked, and has not refused this PIN before"]);
    expect(pin.bytes).toEqual(Buffer.alloc(4));
  });
});
