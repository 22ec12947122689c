import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { formatRecords, HashedPin, parseRecords, type PinRecord } from '../../../../src/pkcs11/pins/pin-record.ts';
import { Secret } from '../../../../src/secret.ts';

const SALT = '00112233445566778899aabbccddeeff';
const HASH = `${SALT}${SALT}`;
const TIME = '2026-01-02T03:04:05.678Z';
const pin = (text: string): HashedPin => new HashedPin(new Secret(text));

describe('a record', () => {
  test.for<[string, PinRecord]>([
    ['a refused PIN', { salt: SALT, hash: HASH, refusedAt: TIME }],
    ['for signatures', { salt: SALT, hash: HASH, refusedAt: TIME, use: 'signature' }],
    ['for sessions', { salt: SALT, hash: HASH, refusedAt: TIME, use: 'session' }],
    ['logins without an outcome', { salt: SALT, hash: HASH, attemptedAt: [TIME, TIME] }],
    ['refused, after one', { salt: SALT, hash: HASH, refusedAt: TIME, attemptedAt: [TIME] }],
    ['a PIN that is not told', { attemptedAt: [TIME] }],
    ['what was before an accepted PIN', { salt: SALT, hash: HASH, refusedAt: TIME, isPast: true }],
  ])('of %s is read as it was written', ([, record]) => {
    expect(parseRecords(formatRecords([record]) ?? '', 'file')).toEqual([record]);
  });

  const GOOD = { salt: SALT, hash: HASH, refusedAt: TIME };
  test.for<[string, unknown]>([
    ['a short salt', { ...GOOD, salt: SALT.slice(2) }],
    ['a long salt', { ...GOOD, salt: `${SALT}00` }],
    ['a salt that is no hex', { ...GOOD, salt: `${SALT.slice(1)}g` }],
    ['a salt with a line behind it', { ...GOOD, salt: `${SALT.slice(1)}\n` }],
    ['a short hash', { ...GOOD, hash: SALT }],
    ['a hash that is no text', { ...GOOD, hash: Array.from(HASH) }],
    ['no salt', { ...GOOD, salt: undefined }],
    ['no hash', { ...GOOD, hash: undefined }],
    ['a salt alone', { salt: SALT, attemptedAt: [TIME] }],
    ['a hash alone', { hash: HASH, attemptedAt: [TIME] }],
    ['a past that is neither', { ...GOOD, isPast: 'yes' }],
    ['another use', { ...GOOD, use: 'context' }],
    ['a time that is none', { ...GOOD, refusedAt: 'yesterday' }],
    ['a time that is none, and a login', { ...GOOD, refusedAt: 'yesterday', attemptedAt: [TIME] }],
    ['a time that is too long', { ...GOOD, refusedAt: '1'.repeat(41) }],
    ['an empty time', { ...GOOD, refusedAt: '' }],
    ['a time with another behind it', { ...GOOD, refusedAt: `${TIME} ${TIME}` }],
    ['neither refusal nor login', { salt: SALT, hash: HASH }],
    ['no login at all', { salt: SALT, hash: HASH, attemptedAt: [] }],
    ['logins that are no list', { salt: SALT, hash: HASH, attemptedAt: TIME }],
    ['a login without a time', { salt: SALT, hash: HASH, attemptedAt: [TIME, 'then'] }],
    ['refused, and logins that are none', { ...GOOD, attemptedAt: [1] }],
    ['a PIN that is not told, refused', { refusedAt: TIME, attemptedAt: [TIME] }],
    ['nothing', null],
    ['a text', 'record'],
  ])('with %s is damage: it may hide a refusal', ([, record]) => {
    for (const records of [[record], [GOOD, record], [record, GOOD]]) {
      expect(() => parseRecords(JSON.stringify(records), '/state/file')).toThrow(
        expect.objectContaining({
          code: 'ERR_STATE_DIRECTORY',
          message: expect.stringContaining('/state/file'),
          hint: 'remove it if you are sure that the PIN is right',
        }),
      );
    }
  });
});

test('of many records the latest eight are kept', () => {
  const records = Array.from({ length: 10 }, (_, index) => ({ attemptedAt: [`2026-01-0${index}T00:00:00Z`] }));
  expect(parseRecords(formatRecords(records) ?? '', 'file')).toEqual(records.slice(2));
  expect(formatRecords([])).toBe(undefined);
  expect(formatRecords(records)).toMatch(/^[^\n]+\n$/);
});

describe('a PIN', () => {
  test('is found among records by its hash, and so is one that is not told', async () => {
    const mine: PinRecord = { ...(await pin('1234').beside([])), refusedAt: TIME };
    const other: PinRecord = { ...(await pin('5678').beside([mine])), refusedAt: TIME };
    const untold: PinRecord = { attemptedAt: [TIME] };
    expect(await pin('1234').among([mine, other, untold])).toEqual(new Set([mine, untold]));
    expect(await pin('5678').among([mine, other, untold])).toEqual(new Set([other, untold]));
    expect(await pin('9999').among([mine, other])).toEqual(new Set());
  });

  // another hash, after an update of pksigd, would not know the PINs that were refused before
  test('has the hash that scrypt makes of it with the bytes of the salt', async () => {
    const { salt, hash } = await pin('1234').beside([{ salt: SALT, hash: HASH, refusedAt: TIME }]);
    expect(salt).toBe(SALT);
    const made = await promisify<string, Buffer, number, Buffer>(scrypt)('1234', Buffer.from(SALT, 'hex'), 32);
    expect(hash).toBe(made.toString('hex'));
  });

  test('takes the salt of the records that it stands beside, of the latest that has one', async () => {
    const first = await pin('1').beside([]);
    const second = await pin('2').beside([]);
    expect(first.salt).not.toBe(second.salt);
    expect(first.salt).toMatch(/^[0-9a-f]{32}$/);
    expect(first.hash).toMatch(/^[0-9a-f]{64}$/);
    const beside = await pin('3').beside([first, second, { attemptedAt: [TIME] }]);
    expect(beside.salt).toBe(second.salt);
    expect((await pin('3').beside([{ attemptedAt: [TIME] }])).salt).not.toBe(second.salt);
  });
});
