// PINs that are forgotten (`pksigd forget`: the screen is locked, the machine goes to sleep) while they are sent.
import { beforeEach, expect, test, vi } from 'vitest';
import type { AgentError } from '../../../../src/errors.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, type FakeModule } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const REFUSED = ckr('CKR_PIN_INCORRECT', 'C_Login');

let modules: FakeModules;
let host: FakeModule;
let answer: string;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
  answer = '1234';
});

const makePin = (refused = processMemory()): Pin =>
  new Pin({ ask: () => Promise.resolve(new Secret(answer)), refused });

async function login(pin: Pin): Promise<void> {
  await pin.login(host, await host.call('openSession', { slot: CARD.slot }), CARD);
}

async function sign(pin: Pin): Promise<void> {
  const session = await host.call('openSession', { slot: CARD.slot });
  await pin.sign(host, CARD, { session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
}

let finish: (outcome?: AgentError) => void;

/** Resolves when the PIN has been sent. */
async function underWay(pin: Pin, work: (pin: Pin) => Promise<unknown>): Promise<[Promise<unknown>]> {
  const before = modules.count('login');
  modules.onLogin = () =>
    new Promise<void>((resolve, reject) => {
      finish = (error) => {
        modules.onLogin = () => undefined;
        if (error) reject(error);
        else resolve();
      };
    });
  const done = work(pin);
  done.catch(() => undefined);
  await expect.poll(() => modules.count('login')).toBe(before + 1);
  return [done];
}

test('a PIN that is refused: the next PIN of the source is sent', async () => {
  const pin = makePin();
  const [logging] = await underWay(pin, login);
  pin.forget();
  finish(REFUSED);
  await expect(logging).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
  await expect(login(pin)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
  expect(modules.count('login')).toBe(1);
  answer = '5678';
  await login(pin);
  expect(modules.pins).toEqual(['1234', '5678']);
});

test('a PIN that is accepted: that says nothing of the next PIN', async () => {
  const pin = makePin();
  const [logging] = await underWay(pin, login);
  pin.forget();
  finish();
  await logging;
  answer = '5678';
  const [next] = await underWay(pin, login);
  expect(pin.hasAccepted(CARD)).toBe(false);
  finish();
  await next;
  expect(pin.hasAccepted(CARD)).toBe(true);
});

test('a PIN for a signature: the next PIN is written down before it is sent', async () => {
  const refused = processMemory();
  const guard = vi.spyOn(refused, 'guard');
  const pin = makePin(refused);
  await sign(pin);
  const [signing] = await underWay(pin, sign);
  pin.forget();
  finish();
  await signing;
  expect(guard).toHaveBeenCalledTimes(1);
  answer = '5678';
  await sign(pin);
  expect(guard).toHaveBeenCalledTimes(2);
});
