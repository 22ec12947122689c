// What is written down of logins, and what those are told that want to log in.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { type LoginOutcome, UnsettledLogin } from '../../../../src/pkcs11/host/login-outcome.ts';
import { PinMemory, type PinTrial, type RecordStore } from '../../../../src/pkcs11/pins/pin-memory.ts';
import type { PinRecord, PinUse } from '../../../../src/pkcs11/pins/pin-record.ts';
import { Secret } from '../../../../src/secret.ts';
import { fakeToken, FLAG } from '../fake-modules.ts';

const CARD = fakeToken('card');
const REFUSED = new AgentError('ERR_PIN_INCORRECT', 'no');
const GONE = new AgentError('ERR_TOKEN_FAILED', 'the card is gone', { ckr: 'CKR_DEVICE_REMOVED' });
const CURE = 'remove /state/card';
const TIME = expect.any(String) as string;
const HASHED = { salt: TIME, hash: TIME };

let records: readonly PinRecord[];
/** What can be written before the disk is full. */
let room: number;
let logins: number;
let memory: PinMemory;

const store: RecordStore = {
  cureOf: () => CURE,
  peek: () => Promise.resolve(records),
  exclusively: (_token, _onWaiting, work) =>
    work({
      waited: false,
      load: () => Promise.resolve(records),
      save: (now) => {
        if (room-- <= 0) return Promise.reject(new Error('the disk is full'));
        records = now;
        return Promise.resolve();
      },
    }),
};

beforeEach(() => {
  records = [];
  room = Infinity;
  logins = 0;
  memory = new PinMemory(store);
});

const trialOf = ({ pin = '1234', ...more }: { pin?: string } & Partial<Omit<PinTrial, 'pin'>> = {}): PinTrial => ({
  token: CARD,
  use: 'session',
  ...more,
  pin: new Secret(pin),
});

const errorOf = (outcome: LoginOutcome): unknown => ({ refused: REFUSED, unknown: GONE })[outcome as string];

async function login(outcome: LoginOutcome, options: Parameters<typeof trialOf>[0] = {}): Promise<unknown> {
  const attempt = () => {
    logins++;
    return Promise.resolve({ outcome, error: errorOf(outcome) });
  };
  return await memory.guard(trialOf(options), attempt);
}

describe('what is written down', () => {
  test('logins without an outcome stand in one record, and in that of the refusal behind them', async () => {
    await login('unknown');
    await login('unknown');
    expect(records).toEqual([{ ...HASHED, attemptedAt: [TIME, TIME] }]);
    records = [{ ...records[0], attemptedAt: ['2026-01-01T00:00:00.000Z'] }];
    await login('refused');
    expect(records).toEqual([{ ...HASHED, refusedAt: TIME, attemptedAt: ['2026-01-01T00:00:00.000Z'] }]);
  });

  test('a refusal stands beside those of other PINs, by the same salt', async () => {
    await login('refused');
    await login('refused', { pin: '5678' });
    expect(records).toEqual([
      { ...HASHED, refusedAt: TIME },
      { ...HASHED, refusedAt: TIME },
    ]);
    expect(records[0]?.salt).toBe(records[1]?.salt);
    expect(records[0]?.hash).not.toBe(records[1]?.hash);
  });

  test('a login for a signature does not stand in the record of a session’s, nor the other way round', async () => {
    await login('unknown');
    await login('unknown', { use: 'signature' });
    expect(records).toEqual([
      { ...HASHED, attemptedAt: [TIME] },
      { ...HASHED, attemptedAt: [TIME], use: 'signature' },
    ]);
  });

  test('an accepted PIN clears its own records of that use, and has those of others count no more', async () => {
    await login('refused', { pin: '5678' });
    await login('unknown', { use: 'signature' });
    await login('accepted');
    expect(records).toEqual([
      { ...HASHED, refusedAt: TIME, isPast: true },
      { ...HASHED, attemptedAt: [TIME], use: 'signature' },
    ]);
  });

  test('a login with a PIN that is not told stays one, beside that of the PIN that was sent next', async () => {
    records = [{ attemptedAt: ['2026-01-01T00:00:00.000Z'] }];
    await login('unknown');
    expect(records).toEqual([{ attemptedAt: ['2026-01-01T00:00:00.000Z'] }, { ...HASHED, attemptedAt: [TIME] }]);
  });

  test('a refusal counts no logins from before an accepted PIN', async () => {
    await login('unknown');
    await login('accepted', { pin: '5678' });
    await login('refused');
    expect(records).toEqual([{ ...HASHED, refusedAt: TIME }]);
  });

  test('a refusal counts no logins of the other use', async () => {
    await login('unknown', { use: 'signature' });
    await login('refused');
    expect(records).toEqual([{ ...HASHED, refusedAt: TIME }]);
  });

  test('a PIN that is noted as refused twice is refused once, with no login beside it', async () => {
    for (let times = 0; times < 2; times++) await memory.note(trialOf(), { outcome: 'refused', error: REFUSED });
    expect(records).toEqual([{ ...HASHED, refusedAt: TIME }]);
  });

  test('what a login is noted as, though it was not refused, is one that had no outcome', async () => {
    await memory.note(trialOf({ use: 'signature' }), { outcome: 'unknown', error: GONE });
    expect(records).toEqual([{ ...HASHED, attemptedAt: [TIME], use: 'signature' }]);
  });
});

describe('what can not be written down', () => {
  test('beforehand: no login is made', async () => {
    room = 0;
    await expect(login('accepted')).rejects.toThrow('the disk is full');
    expect(logins).toBe(0);
  });

  test('behind a login: is told, and what the token said holds', async () => {
    const told: string[] = [];
    room = 1;
    const onRecordFailed = (error: string): void => void told.push(error);
    expect(await login('refused', { onRecordFailed })).toEqual({ outcome: 'refused', error: REFUSED });
    expect(told).toEqual(['the disk is full']);
    // what was written before the login stays
    expect(records).toEqual([{ attemptedAt: [TIME] }]);
    records = [];
    room = 1;
    expect(await login('refused')).toEqual({ outcome: 'refused', error: REFUSED });
  });

  test('of a login that was not written down before: the same', async () => {
    const told: string[] = [];
    room = 0;
    const onRecordFailed = (error: string): void => void told.push(error);
    expect(await memory.note(trialOf({ onRecordFailed }), { outcome: 'refused', error: REFUSED })).toBe(REFUSED);
    expect(told).toEqual(['the disk is full']);
    expect(await memory.note(trialOf(), { outcome: 'refused', error: REFUSED })).toBe(REFUSED);
  });
});

describe('what is told', () => {
  test('of a PIN that was refused before: when, and what helps', async () => {
    await login('refused');
    const refusedAt = records[0]?.refusedAt ?? '';
    await expect(login('accepted')).rejects.toMatchObject({
      code: 'ERR_PIN_INCORRECT',
      message: `token 'card' refused this PIN before (${refusedAt})`,
      hint: `it is not tried again; correct the PIN at its source, or ${CURE}`,
    });
  });

  test('of a login that had no outcome: whether it may be made once more', async () => {
    const message = "token 'card' never told what became of the login with this PIN (the card is gone)";
    const all = { cause: GONE, ckr: 'CKR_DEVICE_REMOVED', message };
    expect(await login('unknown')).toMatchObject({
      outcome: 'unknown',
      error: { ...all, mayTryAgain: true, hint: 'it may be tried once more' },
    });
    expect(await login('unknown')).toMatchObject({
      outcome: 'unknown',
      error: {
        ...all,
        mayTryAgain: false,
        hint: `it counts as refused; correct the PIN at its source, or, if it is right, ${CURE}`,
      },
    });
  });

  test('the same of one that is noted behind it', async () => {
    const first = await memory.note(trialOf(), { outcome: 'unknown', error: GONE });
    expect(first).toBeInstanceOf(UnsettledLogin);
    expect(first).toMatchObject({ mayTryAgain: true, cause: GONE });
    const second = await memory.note(trialOf(), { outcome: 'unknown', error: GONE });
    expect(second).toMatchObject({ mayTryAgain: false });
  });

  test('of a PIN that was sent twice without an outcome: not again, and what helps', async () => {
    const attemptedAt = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z'];
    records = [{ attemptedAt }];
    await expect(login('accepted')).rejects.toMatchObject({
      mayTryAgain: false,
      message: `token 'card' never told what became of earlier logins with this PIN (${attemptedAt.join(', ')})`,
      hint: `it counts as refused; correct the PIN at its source, or, if it is right, ${CURE}`,
    });
    expect(logins).toBe(0);
  });

  test.each([FLAG.COUNT_LOW, FLAG.FINAL_TRY])(
    'where few tries are left (%i): no second login either',
    async (flags) => {
      await login('unknown');
      await expect(login('accepted', { token: { ...CARD, flags } })).rejects.toMatchObject({
        code: 'ERR_PIN_UNSETTLED',
        mayTryAgain: false,
        message: expect.stringMatching(/^token 'card' never told .*, and has few tries left$/),
        hint: `log in by hand with the right PIN, then ${CURE}`,
      });
      expect(logins).toBe(1);
    },
  );

  test('where two logins in a row were not accepted: no third, and what helps', async () => {
    await login('unknown');
    await login('refused');
    await expect(login('accepted', { pin: '5678' })).rejects.toMatchObject({
      code: 'ERR_PIN_UNSETTLED',
      mayTryAgain: false,
      message: "token 'card' has not accepted 2 logins in a row, and may have one try left",
      hint: `log in by hand with the right PIN, then ${CURE}`,
    });
  });
});

describe('a login that need not be written down', () => {
  const pin = new Secret('1234');
  const resultOf = (outcome: LoginOutcome) => () => Promise.resolve({ outcome, error: errorOf(outcome) });
  const repeat = (outcome: LoginOutcome) =>
    memory.repeat({ token: CARD, use: 'signature', pin }, resultOf(outcome), () => true);
  const guard = (outcome: LoginOutcome, use: PinUse) => memory.guard({ token: CARD, use, pin }, resultOf(outcome));

  test('is made as such behind one that settled what was remembered of it', async () => {
    await guard('unknown', 'signature');
    await guard('accepted', 'signature');
    expect(await repeat('accepted')).toMatchObject({ outcome: 'accepted' });
  });

  test('is made as such though a session’s login is remembered that it does not settle', async () => {
    await guard('unknown', 'session');
    await guard('accepted', 'signature');
    expect(await repeat('accepted')).toMatchObject({ outcome: 'accepted' });
  });

  test('is none behind one that the token did not look at, while something is remembered', async () => {
    await guard('unknown', 'session');
    await guard('untried', 'signature');
    expect(await repeat('accepted')).toBe(undefined);
  });

  test('is none behind a session’s login, which settles no signature’s', async () => {
    await guard('unknown', 'signature');
    await guard('accepted', 'session');
    expect(await repeat('accepted')).toBe(undefined);
  });

  test.each(['accepted', 'untried'] as const)('that was %s leaves nothing, and waits for no lock', async (outcome) => {
    const exclusively = vi.spyOn(store, 'exclusively');
    expect(await repeat(outcome)).toEqual({ outcome, error: undefined });
    expect(records).toEqual([]);
    expect(exclusively).not.toHaveBeenCalled();
  });

  test('that was refused is written down behind it', async () => {
    expect(await repeat('refused')).toEqual({ outcome: 'refused', error: REFUSED });
    expect(records).toEqual([{ ...HASHED, refusedAt: TIME, use: 'signature' }]);
    expect(await repeat('accepted')).toBe(undefined);
  });

  test('that had no outcome is told as such, and written down', async () => {
    expect(await repeat('unknown')).toMatchObject({ outcome: 'unknown', error: { mayTryAgain: true, cause: GONE } });
    expect(records).toEqual([{ ...HASHED, attemptedAt: [TIME], use: 'signature' }]);
    expect(await repeat('accepted')).toBe(undefined);
  });

  test('is not kept away by records that can not be read: its PIN was right a moment ago', async () => {
    const peek = store.peek.bind(store);
    store.peek = () => Promise.reject(new Error('it is damaged'));
    const result = await repeat('accepted');
    store.peek = peek;
    expect(result).toEqual({ outcome: 'accepted', error: undefined });
  });
});
