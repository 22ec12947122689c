import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin, type PinOptions } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, settle, type FakeModule } from '../fake-modules.ts';

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

/** A person types for half a minute; then the module says that. */
function typing(error: AgentError): void {
  modules.onLogin = async () => {
    clock.pass(30);
    await settle();
    throw error;
  };
}

describe('a token with a keypad', () => {
  const PAD = fakeToken('card', FLAG.LOGIN | FLAG.KEYPAD);

  test('gets an empty PIN, asked of nobody; a person is told after half a second', async () => {
    modules.onLogin = async () => {
      clock.pass(0.4);
      await settle();
      expect(events).toEqual([]);
      clock.pass(0.2);
      await settle();
    };
    await login(makePin(), PAD);
    expect(asked).toEqual([]);
    expect(modules.pins).toEqual(['']);
    expect(events).toEqual(['pin-pad']);
  });

  test('takes its time though nobody wants to be told', async () => {
    modules.onLogin = async () => {
      clock.pass(30);
      await settle();
    };
    await login(new Pin({ ask: () => Promise.resolve(new Secret('1234')), clock }), PAD);
    expect(modules.pins).toEqual(['']);
  });

  test('that answers at once troubles no person', async () => {
    await login(makePin(), PAD);
    clock.pass(60);
    expect(events).toEqual([]);
  });

  test('whose answer is found together with the end of its time has answered at once', async () => {
    const refused = processMemory();
    modules.onLogin = () => {
      clock.pass(30);
      throw REFUSED;
    };
    await expect(login(makePin({ refused }), PAD)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await settle();
    expect(events).toEqual([]);
    await expect(login(makePin({ refused }), PAD)).rejects.toThrow('refused this PIN before');
  });

  test('that refuses the empty PIN at once, behind a queue: no person is sent there, and it is remembered', async () => {
    const refused = processMemory();
    modules.onQueue = () => {
      clock.pass(5);
    };
    modules.fail('login', REFUSED, 1);
    await expect(login(makePin({ refused }), PAD)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(events).toEqual([]);
    await expect(login(makePin({ refused }), PAD)).rejects.toThrow('refused this PIN before');
    expect(modules.count('login')).toBe(1);
  });

  test('whose PIN was typed wrong is not asked again by itself; a new start may', async () => {
    const refused = processMemory();
    const pin = makePin({ refused });
    typing(REFUSED);
    await expect(login(pin, PAD)).rejects.toThrow('wants its PIN on its own keypad');
    await expect(login(pin, PAD)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(1);
    modules.onLogin = () => undefined;
    await login(makePin({ refused }), PAD);
  });

  test('that refuses the empty PIN at once has taken it for one: remembered over starts', async () => {
    const refused = processMemory();
    modules.fail('login', REFUSED, 1);
    await expect(login(makePin({ refused }), PAD)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(login(makePin({ refused }), PAD)).rejects.toThrow('refused this PIN before');
    expect(modules.count('login')).toBe(1);
  });

  test('leaves nothing written down behind a PIN that was typed, right or wrong', async () => {
    const refused = processMemory();
    await login(makePin({ refused }), PAD);
    expect(await refused.hasRecord(PAD)).toBe(false);
    typing(REFUSED);
    await expect(login(makePin({ refused }), PAD)).rejects.toThrow();
    expect(await refused.hasRecord(PAD)).toBe(false);
  });

  test('that refuses what was typed is told of with what the token said', async () => {
    typing(REFUSED);
    const error: unknown = await login(makePin(), PAD).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ERR_PIN_INCORRECT', ckr: 'CKR_PIN_INCORRECT', hint: REFUSED.hint });
    expect((error as Error).cause).toMatchObject({ ckrFunction: 'C_Login', cause: REFUSED });
  });

  test('that says nothing of what was typed may have used up a try: a person has to start anew', async () => {
    const refused = processMemory();
    const pin = makePin({ refused });
    typing(UNKNOWN);
    const unsettled = { code: 'ERR_PIN_UNSETTLED', mayTryAgain: false, hint: 'start anew to type it again' };
    await expect(login(pin, PAD)).rejects.toMatchObject({ ...unsettled, cause: UNKNOWN });
    await expect(login(pin, PAD)).rejects.toMatchObject(unsettled);
    expect(modules.count('login')).toBe(1);
    expect(await refused.hasRecord(PAD)).toBe(false);
  });

  test('that did not look at what was typed may be tried again', async () => {
    const pin = makePin();
    typing(ckr('CKR_SESSION_HANDLE_INVALID', 'C_Login'));
    await expect(login(pin, PAD)).rejects.toMatchObject({
      code: 'ERR_TOKEN_FAILED',
      message: expect.stringContaining('wants its PIN on its own keypad'),
    });
    modules.onLogin = () => undefined;
    await login(pin, PAD);
    expect(modules.count('login')).toBe(2);
  });

  test('whose module dies while a person types: that is written down, as with any login', async () => {
    const refused = processMemory();
    typing(new AgentError('ERR_MODULE_DIED', 'the module died'));
    await expect(login(makePin({ refused }), PAD)).rejects.toMatchObject({
      code: 'ERR_PIN_UNSETTLED',
      mayTryAgain: true,
    });
    expect(await refused.hasRecord(PAD)).toBe(true);
  });
});
