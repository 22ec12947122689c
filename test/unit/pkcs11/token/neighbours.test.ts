// A token that is away beside others of its module: what brings it back may end their sessions.
import { beforeEach, describe, expect, test } from 'vitest';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import type { TokenUser } from '../../../../src/pkcs11/token/token-user.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const OTHER = fakeToken('other');
const THIRD = fakeToken('third');

let modules: FakeModules;
let clock: FakeClock;
let events: string[];
let tokens: Tokens;

beforeEach(() => {
  modules = new FakeModules(CARD, OTHER);
  clock = new FakeClock();
  events = [];
  tokens = new Tokens({
    hosts: modules,
    clock,
    watchInterval: 1_000,
    onEvent: ({ type, token }) => {
      if (type !== 'token-state') events.push(`${token} ${type}`);
    },
  });
});

async function open({ label }: TokenInfo, modulePath = PATH): Promise<TokenUser> {
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
  return await tokens.open({ token: label }, modulePath, { pin });
}

/** From now on and for good. */
function keepInUse(user: TokenUser): void {
  void user.run(() => new Promise(() => undefined));
}

async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.pass(1);
    await settle();
  }
}

/** Takes the card away. */
async function pull(): Promise<void> {
  modules.tokens = modules.tokens.filter((token) => token !== CARD);
  await pass(1);
  expect(events).toContain('card lost');
}

/** Polls for the card so often; what that did to the modules. */
async function poll(times: number): Promise<string[]> {
  modules.take();
  await pass(times);
  return modules.take('tokens', 'mechanisms', 'openSession', 'closeSession', 'sessionInfo');
}

test('alone: the module looks for its slots anew', async () => {
  await open(CARD);
  await pull();
  expect(await poll(4)).toEqual(['1 reinitialize', '2 reinitialize']);
});

describe('beside one', () => {
  test('that is not in use: now and then', async () => {
    await open(CARD);
    await open(OTHER);
    await pull();
    expect(await poll(4)).toEqual([]);
    expect(await poll(1)).toEqual(['1 reinitialize']);
  });

  test('that is in use: never, and it is found all the same', async () => {
    await open(CARD);
    keepInUse(await open(OTHER));
    await pull();
    expect(await poll(20)).toEqual([]);
    modules.tokens = [CARD, OTHER];
    await pass(1);
    expect(events).toEqual(['card lost', 'card found']);
  });

  test('that is in use, and one that is not: never', async () => {
    modules.tokens = [CARD, OTHER, THIRD];
    await open(CARD);
    await open(OTHER);
    keepInUse(await open(THIRD));
    await pull();
    expect(await poll(20)).toEqual([]);
  });

  test('whose PIN a person types: never', async () => {
    const pad = fakeToken('pad', FLAG.KEYPAD);
    modules.tokens = [CARD, pad];
    await open(CARD);
    await open(pad);
    await pull();
    expect(await poll(20)).toEqual([]);
  });

  test('that is away too: as if alone', async () => {
    await open(CARD);
    await open(OTHER);
    modules.tokens = [CARD];
    await pull();
    expect(events).toEqual(['card lost', 'other lost']);
    expect(await poll(2)).toContain('1 reinitialize');
  });

  test('of another module: as if alone', async () => {
    await open(CARD);
    keepInUse(await open(OTHER, '/another'));
    await pull();
    expect(await poll(4)).toEqual(['1 reinitialize', '3 reinitialize']);
  });
});

describe('requests for a token that fails', () => {
  /** What its requests do to the module. */
  async function request(user: TokenUser, times: number): Promise<string[]> {
    modules.take();
    for (let time = 0; time < times; time++) {
      const sign = user.run(({ host, session }) =>
        host.sign({ session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data')),
      );
      await expect(sign).rejects.toThrow();
    }
    return modules.take('mechanisms', 'openSession', 'closeSession', 'logout', 'login', 'sign');
  }

  /** A test's other tokens, and how its own fails: it goes away, or each of its signatures fails. */
  const away = (): void => {
    modules.tokens = modules.tokens.filter((token) => token !== CARD);
    modules.fail('sign', ckr('CKR_OBJECT_HANDLE_INVALID', 'C_SignInit'));
  };
  const broken = (): void => {
    modules.fail('sign', ckr('CKR_DEVICE_ERROR', 'C_Sign'));
  };

  test('end no session of one that is in use, where it is away', async () => {
    const card = await open(CARD);
    keepInUse(await open(OTHER));
    away();
    expect(new Set(await request(card, 5))).toEqual(new Set(['1 tokens']));
    expect(events).toContain('card lost');
  });

  test('have the module look for its slots anew beside one that is not in use, where it is away, and not each time', async () => {
    const card = await open(CARD);
    const other = await open(OTHER);
    away();
    expect((await request(card, 5)).filter((call) => call !== '1 tokens')).toEqual(['1 reinitialize']);
    modules.heal();
    await other.run(() => Promise.resolve());
    clock.pass(30);
    expect(await request(card, 1)).toContain('1 reinitialize');
  });

  test('end the sessions of others now and then, where it is broken', async () => {
    const card = await open(CARD);
    keepInUse(await open(OTHER));
    broken();
    expect((await request(card, 5)).filter((call) => !call.endsWith(' tokens'))).toEqual(['1 reinitialize']);
    expect((await modules.get(PATH)).number).toBe(2);
    clock.pass(30);
    // as many steps as there are
    expect(await request(card, 1)).toContain('2 reinitialize');
    expect((await modules.get(PATH)).number).toBe(3);
  });
});
