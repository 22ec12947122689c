import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import type { PinEvent } from '../../../../src/pkcs11/pins/events.ts';
import { Pin, type PinOptions } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, settle, type FakeModule } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const PAD = fakeToken('card', FLAG.LOGIN | FLAG.KEYPAD);

let modules: FakeModules;
let host: FakeModule;
let answer: string;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
  answer = '1234';
});

const makePin = (options: Partial<PinOptions> = {}): Pin =>
  new Pin({ ask: () => Promise.resolve(new Secret(answer)), ...options });

async function login(pin: Pin, token: TokenInfo = CARD): Promise<void> {
  await pin.login(host, await host.call('openSession', { slot: CARD.slot }), token);
}

describe('a PIN', () => {
  test.each(['1234', '12345678'])('%s, as short or as long as the token takes, is sent', async (text) => {
    answer = text;
    await login(makePin());
    expect(modules.pins).toEqual([text]);
  });

  test('that is no UTF-8 is never sent: the token would get another one', async () => {
    const ask = (): Promise<Secret> => Promise.resolve(new Secret(Buffer.from('pässwd', 'latin1')));
    const pin = makePin({ ask });
    await expect(login(pin)).rejects.toMatchObject({
      code: 'ERR_PIN_INCORRECT',
      hint: 'write it in UTF-8; it was not tried',
    });
    expect(modules.pins).toEqual([]);
    answer = 'pässwd';
    await login(makePin());
    expect(modules.pins).toEqual(['pässwd']);
  });

  test('behind a byte order mark is never sent, however long the token lets it be', async () => {
    const pin = makePin({ ask: () => Promise.resolve(new Secret('\ufeff1234')) });
    await expect(login(pin)).rejects.toMatchObject({
      code: 'ERR_PIN_INCORRECT',
      hint: expect.stringContaining('it was not tried'),
      message: expect.stringContaining('byte order mark'),
    });
    expect(modules.pins).toEqual([]);
  });

  test.each([
    [1, 1, '12'],
    [4, 4, '12345'],
    [4, 4, '123'],
  ])('that a token of %i to %i bytes can not take is never sent', async (minPinLength, maxPinLength, text) => {
    answer = text;
    const pin = makePin();
    await expect(login(pin, { ...CARD, minPinLength, maxPinLength })).rejects.toMatchObject({
      code: 'ERR_PIN_INCORRECT',
    });
    expect(modules.pins).toEqual([]);
  });

  test('is sent to a token whose lengths make no sense', async () => {
    await login(makePin(), { ...CARD, minPinLength: 8, maxPinLength: 4 });
    expect(modules.pins).toEqual(['1234']);
  });

  test('is asked for with what the token says of its tries', async () => {
    const told: unknown[] = [];
    const ask = (...words: unknown[]): Promise<Secret> => {
      told.push(words);
      return Promise.resolve(new Secret('1234'));
    };
    await login(makePin({ ask }));
    await login(makePin({ ask }), fakeToken('card', FLAG.COUNT_LOW));
    expect(told).toEqual([
      ['card', false, 'ok'],
      ['card', false, 'count low'],
    ]);
  });
});

describe('a token with a keypad', () => {
  test('gives a person two minutes, and other tokens none', async () => {
    const patience: unknown[] = [];
    const [send, signs] = [host.login.bind(host), host.sign.bind(host)];
    host.login = (session, secret, wait?: number) => {
      patience.push(wait);
      return send(session, secret);
    };
    host.sign = (params, data, options) => {
      patience.push(options?.login?.patience);
      return signs(params, data, options);
    };
    for (const token of [PAD, CARD]) {
      const pin = makePin();
      await login(pin, token);
      const session = await host.call('openSession', { slot: CARD.slot });
      await pin.sign(host, token, { session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
    }
    expect(patience).toEqual([120_000, 120_000, 0, 0]);
  });
});

describe('what is told of a login', () => {
  test('that it waits for another one, and that it could not be written down', async () => {
    const refused = processMemory();
    const guard = refused.guard.bind(refused);
    refused.guard = async (trial, ...rest) => {
      trial.onWaiting?.(42);
      trial.onRecordFailed?.('the disk is full');
      return await guard(trial, ...rest);
    };
    const events: PinEvent[] = [];
    await login(makePin({ refused, onEvent: (event) => void events.push(event) }));
    expect(events).toEqual([
      { type: 'pin-wait', token: 'card', holder: 42 },
      { type: 'pin-record-failed', token: 'card', error: 'the disk is full' },
    ]);
    await login(makePin({ refused }));
  });

  test('why none is made, and what helps', async () => {
    await expect(login(makePin(), fakeToken('card', FLAG.FINAL_TRY))).rejects.toMatchObject({
      reason: 'final-pin-try',
      hint: 'log in by hand with the right PIN',
    });
    await expect(login(makePin(), fakeToken('card', FLAG.LOCKED))).rejects.toMatchObject({
      hint: expect.stringContaining('PUK'),
    });
  });

  test('a token that says it is locked is looked at anew', async () => {
    const pin = makePin();
    await expect(login(pin, fakeToken('card', FLAG.LOCKED))).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED' });
    await login(pin);
    expect(modules.pins).toEqual(['1234']);
  });

  test('a PIN that locked the token is not sent again when somebody has unlocked it', async () => {
    const pin = makePin();
    modules.fail('login', ckr('CKR_PIN_LOCKED', 'C_Login'), 1);
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED', ckr: 'CKR_PIN_LOCKED' });
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED' });
    expect(modules.count('login')).toBe(1);
  });
});

async function sign(pin: Pin): Promise<Buffer> {
  const session = await host.call('openSession', { slot: CARD.slot });
  return await pin.sign(host, CARD, { session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
}

describe('a PIN with each signature', () => {
  test('is written down before the first, and no more once it was accepted', async () => {
    const refused = processMemory();
    const guard = vi.spyOn(refused, 'guard');
    const pin = makePin({ refused });
    await sign(pin);
    await sign(pin);
    expect(guard).toHaveBeenCalledTimes(1);
    pin.forget();
    await sign(pin);
    expect(guard).toHaveBeenCalledTimes(2);
    expect(modules.pins).toEqual(['1234', '1234', '1234']);
  });

  test('that the token did not look at is written down again, and tried again', async () => {
    const refused = processMemory();
    const note = vi.spyOn(refused, 'note');
    const guard = vi.spyOn(refused, 'guard');
    const pin = makePin({ refused });
    await sign(pin);
    modules.fail('login', ckr('CKR_SESSION_HANDLE_INVALID', 'C_Login'), 1);
    await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
    expect(note).not.toHaveBeenCalled();
    await sign(pin);
    expect(guard).toHaveBeenCalledTimes(2);
  });

  test('is written down on its own: a card may have another one for sessions', async () => {
    const refused = processMemory();
    const guard = vi.spyOn(refused, 'guard');
    const pin = makePin({ refused });
    await login(pin);
    await sign(pin);
    await login(pin);
    await pin.loginAgain(host, await host.call('openSession', { slot: CARD.slot }), CARD);
    expect(guard.mock.calls.map(([{ use }]) => use)).toEqual(['session', 'signature', 'session', 'session']);
  });

  test.each([
    ['was refused', 'CKR_PIN_INCORRECT'],
    ['had no outcome', 'CKR_GENERAL_ERROR'],
    ['was not looked at', 'CKR_SESSION_HANDLE_INVALID'],
  ])('that %s is in doubt before the next signature has its turn', async (_, code) => {
    const refused = processMemory();
    const accepted: boolean[] = [];
    refused.repeat = async (_trial, send, isAccepted) => {
      const result = await send();
      accepted.push(isAccepted());
      return result;
    };
    const pin = makePin({ refused });
    await sign(pin);
    await sign(pin);
    modules.fail('login', ckr(code, 'C_Login'), 1);
    await expect(sign(pin)).rejects.toThrow();
    expect(accepted).toEqual([true, false]);
  });

  test('says nothing of the session, nor a session of it', async () => {
    const pin = makePin();
    await sign(pin);
    expect(pin.hasAccepted(CARD)).toBe(false);
    await login(pin);
    modules.fail('login', ckr('CKR_SESSION_HANDLE_INVALID', 'C_Login'), 1);
    await expect(sign(pin)).rejects.toThrow();
    expect(pin.hasAccepted(CARD)).toBe(true);
    pin.forget();
    expect(pin.hasAccepted(CARD)).toBe(false);
  });
});

describe('a login that could be done without', () => {
  const again = async (pin: Pin): Promise<void> => {
    await pin.loginAgain(host, await host.call('openSession', { slot: CARD.slot }), CARD);
  };

  test('is not made with a PIN that was accepted for a signature alone', async () => {
    const pin = makePin();
    await sign(pin);
    await expect(again(pin)).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
    expect(modules.count('login')).toBe(1);
  });

  test('is not made behind one of which the token said nothing', async () => {
    const pin = makePin();
    await login(pin);
    modules.fail('login', ckr('CKR_GENERAL_ERROR', 'C_Login'), 1);
    await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED', mayTryAgain: true });
    expect(pin.hasAccepted(CARD)).toBe(false);
    await expect(again(pin)).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
    expect(modules.count('login')).toBe(2);
  });

  test('costs no further look at the token', async () => {
    const pin = makePin();
    await login(pin);
    await again(pin);
    expect(modules.count('tokens')).toBe(0);
  });
});

describe('a PIN that the token refused', () => {
  test('is not sent again where nobody could tell whether that is written down', async () => {
    const refused = processMemory();
    const pin = makePin({ refused });
    await sign(pin);
    refused.note = (_, { error }) => Promise.resolve(error);
    vi.spyOn(refused, 'hasRecord').mockRejectedValueOnce(new Error('the disk is broken'));
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
    for (let times = 0; times < 2; times++)
      await expect(sign(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(2);
  });

  test('before is told of in the words of what remembers it', async () => {
    const refused = processMemory();
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
    await expect(login(makePin({ refused }))).rejects.toThrow();
    await expect(login(makePin({ refused }))).rejects.toMatchObject({
      message: expect.stringMatching(/^token 'card' refused this PIN before \([^()]+\)$/),
      hint: expect.stringContaining('it is not tried again'),
    });
  });

  test('is what is told of where its source has no other', async () => {
    let hasPin = true;
    const ask = (): Promise<Secret> =>
      hasPin ? Promise.resolve(new Secret('1234')) : Promise.reject(new Error('nobody is there'));
    const pin = makePin({ ask });
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
    const first: unknown = await login(pin).catch((error: unknown) => error);
    hasPin = false;
    await expect(login(pin)).rejects.toBe(first);
  });
});

test('a session that is logged in already leaves nothing written down: no PIN was looked at', async () => {
  const refused = processMemory();
  host.login = () => Promise.resolve(false);
  await login(makePin({ refused }));
  expect(await refused.hasRecord(CARD)).toBe(false);
});

test('who waited looks at the token that it is about, among others', async () => {
  const refused = processMemory();
  const others = [
    { ...CARD, serial: 'another', flags: FLAG.LOCKED },
    { ...CARD, slot: '99', flags: FLAG.LOCKED },
  ];
  modules.tokens = [...others, CARD];
  await Promise.all([login(makePin({ refused })), login(makePin({ refused }))]);
  expect(modules.pins).toEqual(['1234', '1234']);
});

test('who waited for a login that had no outcome makes no second one if few tries are left by then', async () => {
  const refused = processMemory();
  const unknown = ckr('CKR_GENERAL_ERROR', 'C_Login');
  let end = (): void => undefined;
  modules.onLogin = () =>
    new Promise<void>(
      (_, reject) =>
        (end = () => {
          reject(unknown);
        }),
    );
  const first = login(makePin({ refused }));
  await expect.poll(() => modules.count('login')).toBe(1);
  const waiting = login(makePin({ refused }));
  await settle();
  modules.onLogin = () => undefined;
  // so it was a wrong one
  modules.tokens = [fakeToken('card', FLAG.LOGIN | FLAG.COUNT_LOW)];
  end();
  await expect(first).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED', mayTryAgain: true });
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED', mayTryAgain: false });
  expect(modules.count('login')).toBe(1);
});
