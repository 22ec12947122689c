import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { UnsettledLogin } from '../../../../src/pkcs11/host/login-outcome.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin, type PinOptions } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory, RefusedPins } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, type FakeModule } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const REFUSED = ckr('CKR_PIN_INCORRECT', 'C_Login');
const UNKNOWN = ckr('CKR_GENERAL_ERROR', 'C_Login');

let modules: FakeModules;
let host: FakeModule;
let clock: FakeClock;
let events: string[];
/** Which tokens' PIN was asked for; `again` where it was refused. */
let asked: string[];
let answer: string;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
  clock = new FakeClock();
  events = [];
  asked = [];
  answer = '1234';
});

function makePin(options: Partial<PinOptions> = {}): Pin {
  return new Pin({
    ask: (token, again) => {
      asked.push(again ? `${token} again` : token);
      return Promise.resolve(new Secret(answer));
    },
    onEvent: ({ type }) => events.push(type),
    clock,
    ...options,
  });
}

async function login(pin: Pin, token: TokenInfo = CARD): Promise<void> {
  const session = await host.call('openSession', { slot: CARD.slot });
  await pin.login(host, session, token);
}

async function sign(pin: Pin): Promise<string> {
  const session = await host.call('openSession', { slot: CARD.slot });
  const params = { session, key: '', mechanism: { type: 0x1041 } };
  return (await pin.sign(host, CARD, params, Buffer.from('data'))).toString();
}

describe('forgetting', () => {
  test('has the PIN asked for again, and zeroes it', async () => {
    const secrets: Secret[] = [];
    const pin = makePin({
      ask: () => {
        const secret = new Secret('1234');
        secrets.push(secret);
        return Promise.resolve(secret);
      },
    });
    await login(pin);
    pin.forget();
    await login(pin);
    expect(modules.pins).toEqual(['1234', '1234']);
    expect(secrets.map(({ bytes }) => bytes[0])).toEqual([0, '1'.charCodeAt(0)]);
  });

  test('zeroes none that is about to be sent: zeroes would be a wrong PIN', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const secret = new Secret('1234');
    const memory = processMemory();
    const guard = memory.guard.bind(memory);
    memory.guard = async (...args) => {
      await held;
      return await guard(...args);
    };
    const pin = makePin({ ask: () => Promise.resolve(secret), refused: memory });
    const logging = login(pin);
    await new Promise((resolve) => setImmediate(resolve));
    pin.forget();
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await logging;
    expect(modules.pins).toEqual(['1234']);
    expect(secret.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('keeps what the token refused: it is not tried again', async () => {
    const pin = makePin();
    modules.fail('login', REFUSED, 1);
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    pin.forget();
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.pins).toEqual([]);
  });
});

describe('a login that could be done without', () => {
  const again = async (pin: Pin, token: TokenInfo = CARD): Promise<void> => {
    await pin.loginAgain(host, await host.call('openSession', { slot: CARD.slot }), token);
  };

  test('sends the PIN that was accepted, and asks for none', async () => {
    const pin = makePin();
    await login(pin);
    await again(pin);
    expect(asked).toEqual(['card']);
    expect(modules.pins).toEqual(['1234', '1234']);
  });

  test('is not made before one was accepted, nor after one was refused', async () => {
    const pin = makePin();
    expect(pin.hasAccepted(CARD)).toBe(false);
    await expect(again(pin)).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
    await login(pin);
    expect(pin.hasAccepted(CARD)).toBe(true);
    modules.fail('login', REFUSED, 1);
    await expect(again(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(pin.hasAccepted(CARD)).toBe(false);
    await expect(again(pin)).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
    // nor by the session's own login
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(2);
  });

  test('is not made where the session was logged in already, so that no PIN was looked at', async () => {
    const pin = makePin();
    host.login = () => Promise.resolve(false);
    await login(pin);
    expect(pin.hasAccepted(CARD)).toBe(false);
  });

  test.each([FLAG.COUNT_LOW, FLAG.FINAL_TRY, FLAG.LOCKED, FLAG.KEYPAD])('is not made with flag %i', async (flag) => {
    const pin = makePin({ useFinalTry: true });
    await login(pin);
    await expect(again(pin, fakeToken('card', FLAG.LOGIN | flag))).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    expect(modules.count('login')).toBe(1);
  });

  test('is not made if few tries are left by the time of its turn', async () => {
    const memory = processMemory();
    const pin = makePin({ refused: memory });
    await login(pin);
    let finish = (): void => undefined;
    modules.onLogin = () => new Promise<void>((resolve) => (finish = resolve));
    const other = login(makePin({ refused: memory }));
    await expect.poll(() => modules.count('login')).toBe(2);
    const waiting = again(pin);
    await expect.poll(() => modules.openSessions).toBe(3);
    modules.tokens = [fakeToken('card', FLAG.LOGIN | FLAG.COUNT_LOW)];
    finish();
    await other;
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    expect(modules.count('login')).toBe(2);
  });
});

describe('a PIN', () => {
  test('is asked for once, and sent at each login', async () => {
    const pin = makePin();
    await login(pin);
    await login(pin);
    expect(asked).toEqual(['card']);
    expect(modules.pins).toEqual(['1234', '1234']);
  });

  test('whose source failed is asked for anew', async () => {
    let fails = true;
    const pin = makePin({
      ask: () =>
        fails ? Promise.reject(new AgentError('ERR_PIN_SOURCE', 'no file')) : Promise.resolve(new Secret('1234')),
    });
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_SOURCE' });
    fails = false;
    await login(pin);
  });

  test.each(['123', '123456789'])('%s, of a wrong length, is never sent', async (text) => {
    answer = text;
    await expect(login(makePin())).rejects.toMatchObject({
      code: 'ERR_PIN_INCORRECT',
      hint: 'it takes 4 to 8 bytes; it was not tried',
    });
    expect(modules.pins).toEqual([]);
  });

  test('of a token that tells no lengths is sent', async () => {
    answer = '1';
    await login(makePin(), { ...CARD, minPinLength: 0, maxPinLength: 0 });
    expect(modules.pins).toEqual(['1']);
  });
});

describe('a PIN that the token refused', () => {
  test('is zeroed, and so is each that the source gives again: what stays tells that it is the same', async () => {
    const secrets: Secret[] = [];
    const ask = (): Promise<Secret> => {
      secrets.push(new Secret(answer));
      return Promise.resolve(secrets.at(-1) ?? new Secret(''));
    };
    const pin = makePin({ ask });
    const made = vi.spyOn(Buffer, 'from');
    modules.fail('login', REFUSED, 1);
    for (let times = 0; times < 3; times++)
      await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    const copies = made.mock.results.flatMap(({ value }) => (Buffer.isBuffer(value) ? [value.toString()] : []));
    made.mockRestore();
    expect(modules.count('login')).toBe(1);
    expect(secrets.map(({ bytes }) => bytes.toString())).toEqual(Array(3).fill('\0\0\0\0'));
    expect(copies).not.toContain(answer);
    answer = '5678';
    await login(pin);
    expect(modules.pins).toEqual(['5678']);
  });

  test('is zeroed when no login with it is under way any more', async () => {
    const secret = new Secret('1234');
    const pin = makePin({ ask: () => Promise.resolve(secret) });
    modules.fail('login', REFUSED, 1);
    const [first, second] = await Promise.allSettled([login(pin), sign(pin)]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'ERR_PIN_INCORRECT' } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'ERR_PIN_INCORRECT' } });
    expect(secret.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('is not sent again, until its source has another', async () => {
    const pin = makePin();
    modules.fail('login', REFUSED, 1);
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT', ckr: 'CKR_PIN_INCORRECT' });
    await expect(login(pin)).rejects.toThrow("token 'card' refused the PIN");
    expect(modules.count('login')).toBe(1);
    answer = '5678';
    await login(pin);
    expect(asked).toEqual(['card', 'card again', 'card again']);
    expect(modules.pins).toEqual(['5678']);
  });

  test('is sent again when a person has removed its record, and only then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pksigd-pins-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const pin = makePin({ refused: new RefusedPins(folder, process.pid) });
    modules.fail('login', REFUSED, 1);
    for (let tries = 0; tries < 2; tries++)
      await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(1);
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.json'))) rmSync(join(folder, name));
    await login(pin);
    expect(modules.pins).toEqual(['1234']);
  });

  test('is not sent again if it could not be written down that it was refused', async () => {
    const refused = processMemory();
    const pin = makePin({ refused });
    await sign(pin);
    // the signature's PIN was right until now: a refusal is written down behind it
    refused.note = (_, { error }) => Promise.resolve(error);
    modules.fail('login', REFUSED, 1);
    await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(2);
  });

  test('is not sent by another of its memory either', async () => {
    const refused = processMemory();
    modules.fail('login', REFUSED, 1);
    await expect(login(makePin({ refused }))).rejects.toThrow();
    await expect(login(makePin({ refused }))).rejects.toThrow("token 'card' refused this PIN before");
    expect(modules.count('login')).toBe(1);
  });
});

describe('a login without an outcome', () => {
  test('may be tried once more, and then counts as refused', async () => {
    const pin = makePin();
    modules.fail('login', UNKNOWN);
    const first = await login(pin).catch((error: unknown) => error);
    expect(first).toBeInstanceOf(UnsettledLogin);
    expect(first).toMatchObject({ mayTryAgain: true });
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED', mayTryAgain: false });
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
    expect(modules.count('login')).toBe(2);
  });

  test('that the token did not look at costs nothing', async () => {
    const pin = makePin();
    modules.fail('login', ckr('CKR_SESSION_HANDLE_INVALID', 'C_Login'), 5);
    for (let round = 0; round < 5; round++)
      await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
    await login(pin);
  });
});

describe('what the token says of its PIN', () => {
  test('locked: no try', async () => {
    await expect(login(makePin(), fakeToken('card', FLAG.LOCKED))).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED' });
    expect(asked).toEqual([]);
  });

  test('one try left: kept, unless it may be used', async () => {
    const token = fakeToken('card', FLAG.FINAL_TRY | FLAG.COUNT_LOW);
    await expect(login(makePin(), token)).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    expect(modules.pins).toEqual([]);
    await login(makePin({ useFinalTry: true }), token);
    expect(events).toEqual(['pin-count-low']);
  });

  test('a wrong one was entered: told', async () => {
    await login(makePin(), fakeToken('card', FLAG.COUNT_LOW));
    expect(events).toEqual(['pin-count-low']);
  });

  test('in the meantime: who waited for another login looks again', async () => {
    const refused = processMemory();
    modules.onLogin = () => {
      modules.tokens = [fakeToken('card', FLAG.LOCKED)];
    };
    const [first, second] = await Promise.allSettled([login(makePin({ refused })), login(makePin({ refused }))]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'ERR_PIN_LOCKED' } });
    expect(modules.count('login')).toBe(1);
  });
});

describe('a PIN with each signature', () => {
  test('goes with it', async () => {
    expect(await sign(makePin())).toBe('signed data');
    expect(modules.pins).toEqual(['1234']);
  });

  test('that the token accepted is no longer in doubt when the signature fails', async () => {
    const pin = makePin();
    modules.fail('sign', ckr('CKR_DEVICE_ERROR', 'C_Sign'), 1);
    await expect(sign(pin)).rejects.toMatchObject({ ckr: 'CKR_DEVICE_ERROR' });
    expect(await sign(pin)).toBe('signed data');
  });

  test('that is refused later on is remembered', async () => {
    const refused = processMemory();
    const pin = makePin({ refused });
    await sign(pin);
    modules.fail('login', REFUSED, 1);
    await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(sign(makePin({ refused }))).rejects.toThrow('refused this PIN before');
    expect(modules.count('login')).toBe(2);
  });
});
