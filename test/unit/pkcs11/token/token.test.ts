import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { findToken, identityOf, lookAgain } from '../../../../src/pkcs11/token/token.ts';
import type { Pkcs11Uri } from '../../../../src/pkcs11/uri.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { FakeModules, fakeToken, PATH, settle } from '../fake-modules.ts';

const CARD = { ...fakeToken('card'), slot: '0100000000000000' };
/** As CARD but for one thing each. */
const OTHERS = [
  { ...CARD, label: 'other' },
  { ...CARD, manufacturer: 'other' },
  { ...CARD, model: 'other' },
  { ...CARD, serial: 'other' },
];

let modules: FakeModules;
beforeEach(() => {
  modules = new FakeModules(CARD);
});
const find = async (uri: Pkcs11Uri) => (await findToken(await modules.get(PATH), uri)).info;

describe('a token is found', () => {
  test('by nothing at all, where it is the only one', async () => {
    expect(await find({})).toEqual(CARD);
  });

  test.for<Pkcs11Uri>([
    { token: 'card' },
    { manufacturer: 'maker' },
    { model: 'model' },
    { serial: 'serial of card' },
    { slotId: 1 },
    { libraryManufacturer: 'maker of modules' },
    { libraryDescription: 'module' },
    { libraryVersion: { major: 2, minor: 6 } },
    { slotManufacturer: 'maker of readers' },
    identityOf(CARD),
  ])('by %j', async (uri) => {
    expect(await find(uri)).toEqual(CARD);
  });

  test.for<Pkcs11Uri>([
    { token: 'Card' },
    { manufacturer: 'mak' },
    { model: '' },
    { serial: 'serial' },
    { slotId: 0 },
    { libraryManufacturer: 'another' },
    { libraryDescription: 'another' },
    { libraryVersion: { major: 2, minor: 5 } },
    { slotManufacturer: 'another' },
    { slotDescription: 'another' },
    { ...identityOf(CARD), slotId: 256 },
  ])('not by %j', async (uri) => {
    await expect(find(uri)).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
  });

  test.for(OTHERS.map((other) => [other] as const))('by its identity beside one like it', async ([other]) => {
    modules.tokens = [other, CARD];
    expect(await find(identityOf(CARD))).toEqual(CARD);
    expect(await find(identityOf(other))).toEqual(other);
  });

  test.for([
    ['02000000', 2],
    ['0001000000000000', 256],
    ['ffffff7f00000000', 0x7fffffff],
    ['0201', 0x0102],
  ] as const)('by the number of its slot, which lies little-endian: %s', async ([slot, slotId]) => {
    modules.tokens = [CARD, { ...CARD, slot }];
    expect((await find({ slotId })).slot).toBe(slot);
  });
});

describe('what is said', () => {
  test('of several', async () => {
    modules.tokens = [CARD, { ...CARD, serial: '2' }];
    await expect(find({ token: 'card' })).rejects.toMatchObject({
      code: 'ERR_TOKEN_AMBIGUOUS',
      message: "the pkcs11 URI fits several tokens: 'card' (serial serial of card), 'card' (serial 2)",
      hint: 'add token= or serial=',
    });
  });

  test('of none: what there is', async () => {
    modules.tokens = [CARD, fakeToken('other')];
    await expect(find({ token: 'vpn' })).rejects.toMatchObject({
      message: `no token 'vpn' in module ${PATH}`,
      hint: "there is 'card', 'other'",
    });
    modules.tokens = [];
    await expect(find({ serial: '1' })).rejects.toMatchObject({
      message: `no token that the pkcs11 URI fits in module ${PATH}`,
      hint: 'there is none at all',
    });
  });
});

describe('looking again', () => {
  const absent = new AgentError('ERR_TOKEN_ABSENT', 'none');

  /** Looks until something is there; how often it looked, and did what is to be done in between. */
  async function look(looks: () => Promise<string>): Promise<{ found: unknown; looked: number; again: number }> {
    const clock = new FakeClock();
    let [looked, again] = [0, 0];
    const looking = lookAgain(
      () => {
        looked++;
        return looks();
      },
      () => {
        again++;
        return Promise.resolve();
      },
      (found) => found === 'there',
      clock,
    );
    let found: unknown;
    looking.then(
      (what) => (found = what),
      (error: unknown) => (found = error),
    );
    for (let quarter = 0; quarter < 20 && found === undefined; quarter++) {
      await settle();
      clock.pass(0.25);
    }
    await settle();
    return { found, looked, again };
  }

  test('is not done for what is there', async () => {
    expect(await look(() => Promise.resolve('there'))).toEqual({ found: 'there', looked: 1, again: 0 });
  });

  test('ends as soon as it is there', async () => {
    let count = 0;
    const found = await look(() => (++count < 3 ? Promise.reject(absent) : Promise.resolve('there')));
    expect(found).toEqual({ found: 'there', looked: 3, again: 2 });
  });

  test('ends after two seconds with what was seen last', async () => {
    expect(await look(() => Promise.reject(absent))).toEqual({ found: absent, looked: 9, again: 8 });
    expect(await look(() => Promise.resolve('nothing'))).toEqual({ found: 'nothing', looked: 9, again: 8 });
  });

  test('helps against nothing else', async () => {
    const other = new AgentError('ERR_MODULE_DIED', 'died');
    expect(await look(() => Promise.reject(other))).toEqual({ found: other, looked: 1, again: 0 });
  });
});
