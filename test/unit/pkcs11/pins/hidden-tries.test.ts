import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { LoginOutcome } from '../../../../src/pkcs11/host/login-outcome.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import type { PinMemory, PinTrial } from '../../../../src/pkcs11/pins/pin-memory.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';

const TOKEN: TokenInfo = {
  slot: '00',
  label: 'card',
  manufacturer: 'maker',
  model: 'model',
  serial: '1',
  flags: 0,
  minPinLength: 4,
  maxPinLength: 8,
};
const COUNT_LOW = 0x10000;

let memory: PinMemory;
let logins: number;

beforeEach(() => {
  memory = processMemory();
  logins = 0;
});

/** Resolves to the outcome, or to an error's code where no login was made or its outcome is not known. */
async function login(
  outcome: LoginOutcome,
  { pin = '1234', ...more }: { pin?: string } & Partial<Omit<PinTrial, 'pin'>> = {},
): Promise<string> {
  const trial: PinTrial = { token: TOKEN, use: 'session', ...more, pin: new Secret(pin) };
  const attempt = () => {
    logins++;
    return Promise.resolve({ outcome });
  };
  return await memory.guard(trial, attempt).then(
    (result) => result.outcome,
    (error: unknown) => (error instanceof AgentError ? error.code : String(error)),
  );
}

describe('on a token that does not show its tries, of three logins in a row none is a second one of ours', () => {
  test('behind a PIN that was sent twice without an outcome, another one', async () => {
    await login('unknown');
    await login('unknown');
    expect(await login('accepted', { pin: '5678' })).toBe('ERR_PIN_UNSETTLED');
    await expect(memory.check(TOKEN, new Secret('5678'))).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
    expect(logins).toBe(2);
  });

  test('behind a PIN that was sent once without an outcome and then refused, another one', async () => {
    await login('unknown');
    await login('refused');
    expect(await login('accepted', { pin: '5678' })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(2);
  });

  test('behind a PIN that was refused, the second login with another one', async () => {
    await login('refused');
    expect(await login('unknown', { pin: '5678' })).toBe('unknown');
    expect(await login('accepted', { pin: '5678' })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(2);
  });

  test('PINs that a person gave one after the other are tried, once each', async () => {
    for (const pin of ['1111', '2222', '3333']) expect(await login('refused', { pin })).toBe('refused');
  });

  test('behind a PIN that was sent twice, and another one once, a third', async () => {
    await login('unknown');
    await login('refused');
    expect(await login('refused', { pin: '5678', token: { ...TOKEN, flags: COUNT_LOW } })).toBe('refused');
    expect(await login('accepted', { pin: '9999' })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(3);
  });

  test('one that shows them tells itself which is the last', async () => {
    await login('unknown');
    await login('refused');
    const token = { ...TOKEN, flags: COUNT_LOW };
    expect(await login('accepted', { pin: '5678', token })).toBe('accepted');
  });

  test('what was before an accepted PIN counts no more', async () => {
    await login('unknown');
    await login('refused');
    expect(await login('accepted', { pin: '5678', token: { ...TOKEN, flags: COUNT_LOW } })).toBe('accepted');
    expect(await login('unknown', { pin: '5678' })).toBe('unknown');
    expect(await login('accepted', { pin: '5678' })).toBe('accepted');
    expect(await login('accepted')).toBe('ERR_PIN_INCORRECT');
  });

  test('logins for signatures are counted on their own', async () => {
    await login('unknown');
    await login('refused');
    expect(await login('accepted', { pin: '5678', use: 'signature' })).toBe('accepted');
  });
});
