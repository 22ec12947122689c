// Logins that come long after the token was looked at: others may have used up tries of its PIN, or have taken it out.
import { beforeEach, expect, test, vi } from 'vitest';
import type { Clock } from '../../../../src/clock.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, type FakeModule } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);

let modules: FakeModules;
let host: FakeModule;
let now: number;
const clock: Clock = { now: () => now, after: () => () => undefined };

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
  now = 5_000;
});

/** What happens in the minute in which a person types. */
function typed(meanwhile: () => void, milliseconds = 60_000): Pin {
  const ask = (): Promise<Secret> => {
    now += milliseconds;
    meanwhile();
    return Promise.resolve(new Secret('1234'));
  };
  return new Pin({ ask, clock });
}

async function login(pin: Pin): Promise<void> {
  await pin.login(host, await host.call('openSession', { slot: CARD.slot }), CARD);
}

async function sign(pin: Pin): Promise<void> {
  const session = await host.call('openSession', { slot: CARD.slot });
  await pin.sign(host, CARD, { session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
}

const shows = (...tokens: TokenInfo[]): void => void (modules.tokens = tokens);

test.each([
  ['login', login],
  ['signature', sign],
])('a %s: the last try is not spent, though more were left when the PIN was asked for', async (_, work) => {
  const pin = typed(() => {
    shows({ ...CARD, flags: FLAG.LOGIN | FLAG.FINAL_TRY });
  });
  await expect(work(pin)).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
  expect(modules.pins).toEqual([]);
});

test('a token that was locked while its PIN was typed, and then unlocked, gets that PIN', async () => {
  const pin = typed(() => {
    shows({ ...CARD, flags: FLAG.LOGIN | FLAG.LOCKED });
  });
  await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED', hint: expect.stringContaining('PUK') });
  await login(pin);
  expect(modules.pins).toEqual(['1234']);
});

test.each([
  ['was taken out', []],
  ['is another one by now', [{ ...fakeToken('other'), slot: CARD.slot }]],
  ['has its serial number, and another label', [{ ...CARD, label: 'other' }]],
])('a token that %s while its PIN was typed gets none', async (_, tokens: TokenInfo[]) => {
  const pin = typed(() => {
    shows(...tokens);
  });
  await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
  expect(modules.pins).toEqual([]);
});

test('only the slot of the token is looked into: others may wait for a card', async () => {
  const call = vi.spyOn(host, 'call');
  await login(typed(() => undefined));
  expect(call).toHaveBeenCalledWith('tokens', { slot: CARD.slot });
  expect(modules.pins).toEqual(['1234']);
});

test.each([10, 1_000])('a PIN that comes within a second (%i ms) costs no further look', async (milliseconds) => {
  await login(typed(() => undefined, milliseconds));
  expect(modules.count('tokens')).toBe(0);
  expect(modules.pins).toEqual(['1234']);
});

test('behind a signature whose login had no outcome, the token is looked at before the next', async () => {
  const refused = processMemory();
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')), refused });
  await sign(pin);
  modules.fail('login', ckr('CKR_GENERAL_ERROR', 'C_Login'), 1);
  shows({ ...CARD, flags: FLAG.LOGIN | FLAG.COUNT_LOW });
  const codes = await Promise.allSettled([sign(pin), sign(pin)]);
  expect(codes).toMatchObject([{ reason: { code: 'ERR_PIN_UNSETTLED' } }, { reason: { code: 'ERR_PIN_UNSETTLED' } }]);
  expect(modules.count('login')).toBe(2);
});
