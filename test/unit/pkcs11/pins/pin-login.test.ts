import { beforeEach, describe, expect, test } from 'vitest';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin, type PinOptions } from '../../../../src/pkcs11/pins/pin.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeModules, fakeToken, FLAG, PATH, type FakeModule } from '../fake-modules.ts';

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
