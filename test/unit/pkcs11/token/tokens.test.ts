import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import type { TokenUse, TokenUser } from '../../../../src/pkcs11/token/token-user.ts';
import { Tokens, type TokensOptions } from '../../../../src/pkcs11/token/tokens.ts';
import type { Pkcs11Uri } from '../../../../src/pkcs11/uri.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const OTHER = fakeToken('other');

let modules: FakeModules;
let clock: FakeClock;
let events: string[];
let tokens: Tokens;

function make(options: Partial<TokensOptions> = {}): void {
  tokens = new Tokens({
    hosts: modules,
    clock,
    onEvent: ({ type, token }) => {
      if (type !== 'token-state') events.push(`${token} ${type}`);
    },
    ...options,
  });
}

beforeEach(() => {
  modules = new FakeModules(CARD, OTHER);
  clock = new FakeClock();
  events = [];
  make();
});

const pinOf = (text: string): Pin => new Pin({ ask: () => Promise.resolve(new Secret(text)) });

async function open({ label }: TokenInfo, use: Partial<TokenUse> = {}, object = 'key'): Promise<TokenUser> {
  return await tokens.open({ token: label, object }, PATH, { pin: pinOf('1234'), ...use });
}

async function pass(seconds: number): Promise<void> {
  clock.pass(seconds);
  await settle();
}

describe('forgetting', () => {
  test('logs out, asks for the PIN at the next use, and does not look at the token until then', async () => {
    let asked = 0;
    const secrets: Secret[] = [];
    const ask = (): Promise<Secret> => {
      asked++;
      const secret = new Secret('1234');
      secrets.push(secret);
      return Promise.resolve(secret);
    };
    make({ watchInterval: 1000 });
    const user = await open(CARD, { pin: new Pin({ ask }) });
    modules.take();
    expect(await tokens.forget()).toBe(1);
    await settle();
    expect(modules.take()).toEqual(['1 logout', '1 closeSession']);
    expect(secrets.map(({ bytes }) => bytes.every((byte) => byte === 0))).toEqual([true]);
    for (let second = 0; second < 5; second++) await pass(1);
    expect(modules.take()).toEqual([]);
    expect(asked).toBe(1);
    await user.run(sign);
    expect(asked).toBe(2);
    expect(modules.pins).toEqual(['1234', '1234']);
    expect(events).toEqual([]);
    await pass(1);
    expect(modules.take()).toContain('1 sessionInfo');
  });

  test('waits for what is done with the token', async () => {
    const user = await open(CARD);
    const stop = keepInUse(user);
    await settle();
    modules.take();
    let isDone = false;
    const forgotten = tokens.forget().then(() => {
      isDone = true;
    });
    const again = tokens.forget();
    await settle();
    expect(modules.take()).toEqual([]);
    expect(isDone).toBe(false);
    await stop();
    await forgotten;
    expect(modules.take()).toEqual(['1 logout', '1 closeSession']);
    expect(await again).toBe(1);
  });

  test('tells when a token is logged in to, and when no more', async () => {
    const states: boolean[] = [];
    make({
      onEvent: (event) => {
        if (event.type === 'token-state') states.push(event.isLoggedIn);
      },
    });
    const user = await open(CARD);
    await tokens.forget();
    await user.run(sign);
    expect(states).toEqual([false, true, false, true]);
  });
});

const sign = (at: OpenSession): Promise<Buffer> =>
  at.host.sign({ session: at.session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));

/** Keeps a token in use until the function that it gives is called. */
function keepInUse(user: TokenUser): () => Promise<void> {
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const running = user.run(() => finished);
  return async () => {
    finish();
    await running;
  };
}

describe('users of one token', () => {
  test('share a session and a login, and the last one closes it', async () => {
    const [first, second] = [await open(CARD), await open(CARD)];
    await first.run(sign);
    await second.run(sign);
    expect(modules.count('login')).toBe(1);
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    await second.run(sign);
    expect(modules.openSessions).toBe(1);
    await second[Symbol.asyncDispose]();
    expect(modules.openSessions).toBe(0);
    await expect(second.run(sign)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await (await open(CARD)).run(sign);
  });

  test('log in with the PIN of one that is still there', async () => {
    const first = await open(CARD);
    await open(CARD, { pin: pinOf('5678') });
    await first[Symbol.asyncDispose]();
    await (await modules.get(PATH)).stop();
    await (await open(CARD, { pin: pinOf('9999') })).run(sign);
    expect(modules.pins).toEqual(['1234', '5678']);
  });

  test('with two PIN sources are refused, without a login', async () => {
    await using first = await open(CARD, { pinSource: '/one' }, 'one');
    modules.take();
    await expect(open(CARD, { pinSource: '/two' }, 'two')).rejects.toMatchObject({
      code: 'ERR_USAGE',
      reason: 'two-pin-sources',
      message: "two PIN sources for token 'card': pkcs11:token=card;object=one and pkcs11:token=card;object=two",
    });
    await expect(open(CARD, {}, 'one')).rejects.toThrow('pkcs11:token=card;object=one, twice');
    expect(modules.take()).toEqual(['1 tokens', '1 tokens']);
    await using third = await open(CARD, { pinSource: '/one' });
    expect([first.name, third.name]).toHaveLength(2);
  });

  test('with two PIN sources are welcome where no PIN is wanted', async () => {
    await open(OTHER, { pinSource: '/one' });
    await open(OTHER, { pinSource: '/two' });
  });

  test('of whom the last one leaves while it is opened anew cost it no login', async () => {
    const user = await open(CARD);
    await (await modules.get(PATH)).stop();
    modules.take();
    const running = user.run(sign);
    await user[Symbol.asyncDispose]();
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(modules.count('login')).toBe(0);
    expect(modules.openSessions).toBe(0);
  });

  test('that could not open it leave nothing behind', async () => {
    modules.fail('openSession', new AgentError('ERR_TOKEN_FAILED', 'no'), 1);
    await expect(open(CARD)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
    await tokens.refreshSlots(PATH);
    expect(modules.count('reinitialize')).toBe(1);
  });
});

describe('events', () => {
  test('go to the owner once, and to each user of the token', async () => {
    make({ watchInterval: 1_000 });
    const heard: string[] = [];
    const listener = (who: string): Partial<TokenUse> => ({ onEvent: ({ type }) => heard.push(`${who} ${type}`) });
    const first = await open(CARD, listener('first'));
    const second = await open(CARD, listener('second'));
    await open(OTHER, listener('other'));
    first.onLost(() => heard.push('listener'));
    first.onLost(() => heard.push('undone'))();
    modules.tokens = [OTHER];
    await pass(1);
    expect(events).toEqual(['card lost']);
    expect(heard).toEqual(['first lost', 'listener', 'second lost']);
    await first[Symbol.asyncDispose]();
    second.onLost(() => heard.push('lost once more'));
    modules.tokens = [CARD, OTHER];
    await pass(1);
    expect(events).toEqual(['card lost', 'card found']);
    expect(heard.slice(3)).toEqual(['second found']);
  });

  test('need nobody who is told of them', async () => {
    tokens = new Tokens({ hosts: modules, clock });
    modules.fail('sign', new AgentError('ERR_MODULE_DIED', 'it died'), 1);
    await (await open(CARD)).run(sign);
  });

  test('whoever waits for a token that went away learns when it is there again', async () => {
    make({ watchInterval: 1_000 });
    const user = await open(CARD);
    modules.tokens = [];
    await pass(1);
    let isReady = false;
    void user.ready().then(() => (isReady = true));
    await pass(1);
    expect(isReady).toBe(false);
    modules.tokens = [CARD];
    await pass(1);
    expect(isReady).toBe(true);
  });
});

describe('the watch', () => {
  const looks = async (seconds: number): Promise<number> => {
    modules.take();
    for (let second = 0; second < seconds; second++) await pass(1);
    return modules.count('sessionInfo');
  };

  test('looks at the shortest interval that the owner or a user asks for, while there is a user', async () => {
    make({ watchInterval: 4_000 });
    const first = await open(CARD);
    expect(await looks(8)).toBe(2);
    const second = await open(CARD, { watchInterval: 1_000 });
    expect(await looks(8)).toBe(8);
    await second[Symbol.asyncDispose]();
    expect(await looks(8)).toBe(2);
    await first[Symbol.asyncDispose]();
    expect(await looks(8)).toBe(0);
    expect(clock.waiting).toBe(0);
  });

  test('is none where nothing asks for it', async () => {
    await open(CARD);
    expect(await looks(100)).toBe(0);
    expect(clock.waiting).toBe(0);
  });
});

test('the labels of those that are in use', async () => {
  expect(tokens.labels).toEqual([]);
  const card = await open(CARD);
  await open(OTHER);
  expect(tokens.labels).toEqual(['card', 'other']);
  await card[Symbol.asyncDispose]();
  expect(tokens.labels).toEqual(['other']);
});

describe('a token that is not there at once', () => {
  test('is looked for again, in slots that the module looks for anew', async () => {
    modules.tokens = [];
    const found = tokens.await({ token: 'card' }, PATH);
    await settle();
    expect(modules.take()).toEqual(['1 tokens']);
    modules.tokens = [CARD];
    await pass(0.25);
    expect((await found).info.label).toBe('card');
    expect(modules.take()).toEqual(['1 reinitialize', '1 tokens']);
  });

  test('for two seconds', async () => {
    const found = tokens.await({ token: 'absent' }, PATH).catch((error: unknown) => error);
    for (let looks = 0; looks < 8; looks++) await pass(0.25);
    expect(await found).toMatchObject({
      code: 'ERR_TOKEN_ABSENT',
      message: `no token 'absent' in module ${PATH}`,
      hint: "there is 'card', 'other'",
    });
  });

  test('costs nobody his session who reads in a token that is not in use', async () => {
    const seen = await tokens.await({ token: 'other' }, PATH);
    await tokens.read(PATH, seen, async () => {
      await tokens.refreshSlots(PATH);
    });
    expect(modules.count('reinitialize')).toBe(0);
    await tokens.refreshSlots(PATH);
    expect(modules.count('reinitialize')).toBe(1);
  });

  test('may lie in another slot before it is read, or its module in another process', async () => {
    const seen = await tokens.await({ token: 'card' }, PATH);
    const slotOf = () => tokens.read(PATH, seen, (at) => Promise.resolve(at.token.slot));
    expect(await slotOf()).toBe(CARD.slot);
    modules.changeSlots();
    expect(await slotOf()).toBe(OTHER.slot);
    await (await modules.get(PATH)).stop();
    expect(await slotOf()).toBe(OTHER.slot);
    expect(modules.opened).toEqual(['card', 'card', 'card']);
  });

  test('costs no token its session, but one of another module', async () => {
    await open(OTHER);
    await tokens.refreshSlots(PATH);
    expect(modules.count('reinitialize')).toBe(0);
    await tokens.refreshSlots('/another');
    expect(modules.take()).toContain('2 reinitialize');
  });
});

describe('reading in a token', () => {
  /** The session that it is done in, and whether that is logged in. */
  async function read(): Promise<unknown> {
    const seen = await tokens.await({ token: 'card' }, PATH);
    modules.take();
    return await tokens.read(PATH, seen, ({ session }, isLoggedIn) => Promise.resolve([session, isLoggedIn]));
  }

  test('that is in use is done in its own session: it may have no other', async () => {
    await open(CARD);
    expect(await read()).toEqual(['1-1', true]);
    expect(modules.take()).toEqual([]);
  });

  test('that is in use, and is being recovered, does not wait for that', async () => {
    await open(CARD);
    await (await modules.get(PATH)).stop();
    expect(await read()).toEqual(['2-1', false]);
    expect(modules.take()).toEqual(['2 openSession', '2 closeSession']);
  });

  test('that is not in use is done in a session of its own, without a login', async () => {
    expect(await read()).toEqual(['1-1', false]);
    expect(modules.take()).toEqual(['1 openSession', '1 closeSession']);
  });
});

test('disposing closes all, and nothing is opened any more', async () => {
  const users = [await open(CARD), await open(OTHER)];
  await tokens[Symbol.asyncDispose]();
  expect(modules.openSessions).toBe(0);
  for (const user of users) await expect(user.run(sign)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await expect(open(CARD)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

describe("a URI's attributes of slot and module", () => {
  const find = async (uri: Pkcs11Uri): Promise<string> => (await tokens.await(uri, PATH)).info.label;

  test('tell tokens apart by their slots', async () => {
    expect(await find({ slotDescription: 'reader of other' })).toBe('other');
    expect(await find({ slotManufacturer: 'maker of readers', token: 'card' })).toBe('card');
    await expect(find({ slotManufacturer: 'maker of readers' })).rejects.toMatchObject({ code: 'ERR_TOKEN_AMBIGUOUS' });
  });

  test('tell of the token that lies in a slot now, though tokens change theirs meanwhile', async () => {
    modules.changeSlotsAfter('tokens');
    expect(await find({ slotDescription: 'reader of other' })).toBe('card');
  });

  test('must be those of the module', async () => {
    const whole = { libraryManufacturer: 'maker of modules', libraryDescription: 'module', token: 'card' };
    expect(await find({ ...whole, libraryVersion: { major: 2, minor: 6 } })).toBe('card');
    const wrong: Pkcs11Uri[] = [
      { libraryManufacturer: 'another' },
      { libraryDescription: 'another' },
      { libraryVersion: { major: 2, minor: 5 } },
      { libraryVersion: { major: 3, minor: 6 } },
      { slotDescription: 'reader of nobody' },
    ];
    for (const uri of wrong) {
      const found = find({ ...whole, ...uri });
      const isRefused = expect(found).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
      for (let second = 0; second < 4; second++) await pass(1);
      await isRefused;
    }
  });

  test('are asked for only where a URI has them', async () => {
    await find({ token: 'card' });
    expect(modules.take('tokens')).toEqual([]);
  });
});
