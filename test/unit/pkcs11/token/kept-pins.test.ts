// PINs that their owners let go of: sessions that they have logged in may still be used by others.
import { beforeEach, describe, expect, test } from 'vitest';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import type { TokenUser } from '../../../../src/pkcs11/token/token-user.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const OTHER = fakeToken('other');

let modules: FakeModules;
let tokens: Tokens;

beforeEach(() => {
  modules = new FakeModules(CARD, OTHER);
  tokens = new Tokens({ hosts: modules, clock: new FakeClock() });
});

async function open(
  token: string,
  pin = new Pin({ ask: () => Promise.resolve(new Secret('5678')) }),
): Promise<TokenUser> {
  return await tokens.open({ token }, PATH, { pin });
}

describe('a PIN that its owner lets go of', () => {
  /** One that notes what it got, to see whether that was zeroed. */
  function notedPin(): { pin: Pin; isForgotten: () => Promise<boolean> } {
    const secrets: Secret[] = [];
    const ask = (): Promise<Secret> => {
      const secret = new Secret('1234');
      secrets.push(secret);
      return Promise.resolve(secret);
    };
    const isForgotten = async (): Promise<boolean> => {
      await settle();
      expect(secrets).toHaveLength(1);
      return secrets.every(({ bytes }) => bytes.every((byte) => byte === 0));
    };
    return { pin: new Pin({ ask }), isForgotten };
  }

  /** Logs in outside of all that is in use, as reading a certificate may. */
  async function logIn(pin: Pin): Promise<void> {
    const host = await modules.get(PATH);
    await pin.login(host, await host.call('openSession', { slot: CARD.slot }), CARD);
  }

  test('is forgotten at once where no session is logged in by it', async () => {
    const { pin, isForgotten } = notedPin();
    const letGo = tokens.keep(pin);
    await open('other');
    await logIn(pin);
    expect(await isForgotten()).toBe(false);
    letGo();
    expect(await isForgotten()).toBe(true);
  });

  test('is kept while a session is logged in by it, beside others that are not', async () => {
    const { pin, isForgotten } = notedPin();
    const letGo = tokens.keep(pin);
    await open('other');
    const user = await open('card', pin);
    letGo();
    expect(await isForgotten()).toBe(false);
    await user[Symbol.asyncDispose]();
    expect(await isForgotten()).toBe(true);
  });

  test('is forgotten when the session that it had logged in is logged in anew by the PIN of another', async () => {
    const { pin, isForgotten } = notedPin();
    const letGo = tokens.keep(pin);
    const first = await open('card', pin);
    const second = await open('card');
    letGo();
    await first[Symbol.asyncDispose]();
    expect(await isForgotten()).toBe(false);
    await (await modules.get(PATH)).stop();
    await second.run(() => Promise.resolve());
    expect(await isForgotten()).toBe(true);
  });

  test('has been forgotten with all others until then, also where nothing of its token is in use', async () => {
    const { pin, isForgotten } = notedPin();
    tokens.keep(pin);
    await logIn(pin);
    expect(await tokens.forget()).toBe(0);
    expect(await isForgotten()).toBe(true);
  });
});
