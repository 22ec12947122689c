import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { SYSTEM_CLOCK } from '../../../../src/clock.ts';
import { CKF } from '../../../../src/pkcs11/constants.ts';
import { UnsettledLogin } from '../../../../src/pkcs11/host/login-outcome.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import { ExtraSessions, type OwnSession } from '../../../../src/pkcs11/token/extra-sessions.ts';
import { TokenSession } from '../../../../src/pkcs11/token/session.ts';
import { identityOf } from '../../../../src/pkcs11/token/token.ts';
import { TokenWatch } from '../../../../src/pkcs11/token/watch.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';

const FAILED = ckr('CKR_DEVICE_ERROR', 'C_Sign');
const DIED = new AgentError('ERR_MODULE_DIED', 'it died');
const STEPS = [
  'reopen the session',
  'log out and in',
  'finalize and initialize the module',
  'start a new module host',
] as const;

let modules: FakeModules;
let session: TokenSession;
let extras: NotedExtras;
let events: string[];
/** Whether it was told to be logged in. */
let states: boolean[];

const newPin = (): Pin => new Pin({ ask: () => Promise.resolve(new Secret('1234')) });

/** Notes how much the token's own session has to do whenever it is asked to help, and does not. */
class NotedExtras extends ExtraSessions {
  readonly loads: number[] = [];

  override run({ load }: OwnSession): undefined {
    this.loads.push(load);
  }
}

/** @param pin asked for at each login: one that remembers nothing, unless it is the same */
function plugIn(flags = 0, pin = newPin): void {
  const token = fakeToken('card', flags);
  modules = new FakeModules(token);
  events = [];
  states = [];
  extras = new NotedExtras({ modules, modulePath: PATH, identity: identityOf(token), clock: SYSTEM_CLOCK });
  session = new TokenSession({
    modules,
    modulePath: PATH,
    identity: identityOf(token),
    label: 'card',
    pin,
    extras,
    onEvent: (event) => {
      if (event.type === 'token-state') states.push(event.isLoggedIn);
      else events.push(event.type === 'recovering' ? event.step : event.type);
    },
  });
}

beforeEach(() => {
  plugIn();
});

const sign = (at: OpenSession): Promise<Buffer> =>
  at.host.sign({ session: at.session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));

describe('opening', () => {
  test('once, however many want it', async () => {
    const [one, other] = await Promise.all([session.open(), session.open()]);
    expect(one).toBe(other);
    expect(await session.open()).toBe(one);
    expect(modules.take()).toEqual(['1 tokens', '1 mechanisms', '1 openSession']);
    expect(one.mechanisms).toEqual(new Set([0x1041]));
  });

  test('whoever logs in in it later goes by what the token says by then', async () => {
    const at = await session.open();
    const sign = async (): Promise<unknown> => {
      const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
      return await pin.sign(
        at.host,
        at.token,
        { session: at.session, key: '', mechanism: { type: 0 } },
        Buffer.alloc(1),
      );
    };
    await sign();
    session.see({ ...at.token, flags: FLAG.LOGIN | CKF.USER_PIN_FINAL_TRY });
    await expect(sign()).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    session.see({ ...at.token, serial: 'another', flags: 0 });
    session.see({ ...at.token, slot: '99', flags: 0 });
    await expect(sign()).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    session.see({ ...at.token, flags: FLAG.LOGIN });
    await sign();
  });

  test('logs in where the token wants that, and closes the session where it refuses', async () => {
    plugIn(FLAG.LOGIN);
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
    await expect(session.open()).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.openSessions).toBe(0);
    await session.open();
    expect(modules.pins).toEqual(['1234']);
  });

  test('that fails for the PIN says so once, and not that the token has gone, until it can be logged in to', async () => {
    plugIn(FLAG.LOGIN);
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'));
    const refused = { code: 'ERR_PIN_INCORRECT' };
    for (let times = 0; times < 3; times += 1) await expect(session.run(sign)).rejects.toMatchObject(refused);
    expect(events).toEqual(['login-failed']);
    expect([session.isAway, session.isResting]).toEqual([false, true]);
    modules.heal();
    await session.run(sign);
    expect(events).toEqual(['login-failed']);
    expect(session.isResting).toBe(false);
  });

  test('that fails for the PIN once more, after it could be logged in to, says so again', async () => {
    plugIn(FLAG.LOGIN);
    const failing = async (): Promise<void> => {
      modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
      await expect(session.run(sign)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    };
    await failing();
    await (await session.open()).host.stop();
    await failing();
    expect(events).toEqual(['login-failed', 'login-failed']);
  });

  test('of a token that was seen a moment ago does not look for it, unless it may lie elsewhere by now', async () => {
    const host = await modules.get(PATH);
    const seen = { info: fakeToken('card'), host, epoch: host.epoch };
    await session.open(seen);
    expect(modules.take()).toEqual(['1 mechanisms', '1 openSession']);
    await host.call('reinitialize', {});
    modules.take();
    await session.open(seen);
    expect(modules.take()).toEqual(['1 tokens', '1 mechanisms', '1 openSession']);
    await host.stop();
    await session.open(seen);
    expect(modules.take()).toEqual(['2 tokens', '2 mechanisms', '2 openSession']);
  });

  test('once more in a new process if a login had no outcome', async () => {
    plugIn(FLAG.LOGIN);
    modules.fail('login', ckr('CKR_GENERAL_ERROR', 'C_Login'), 1);
    await session.open();
    expect(events).toEqual(['start a new module host']);
    expect(modules.take('tokens', 'mechanisms')).toEqual([
      ...['1 openSession', '1 login', '1 closeSession'],
      ...['2 openSession', '2 login'],
    ]);
  });

  test('anew when its process ended, or its module was initialized anew for another token', async () => {
    const first = await session.open();
    await first.host.stop();
    const second = await session.open();
    expect(second.host).not.toBe(first.host);
    await second.host.call('reinitialize', {});
    expect(session.isOpen).toBe(false);
    expect((await session.open()).session).not.toBe(second.session);
    expect(events).toEqual([]);
  });
});

describe('what fails in it', () => {
  test.each([1, 2, 3, 4])('%i times is done again after as many steps', async (times) => {
    modules.fail('sign', FAILED, times);
    expect((await session.run(sign)).toString()).toBe('signed data');
    expect(events).toEqual(STEPS.slice(0, times));
    expect(modules.openSessions).toBe(1);
  });

  test('always fails after all steps, and says nothing of the token', async () => {
    modules.fail('sign', FAILED);
    await expect(session.run(sign)).rejects.toBe(FAILED);
    expect(events).toEqual(STEPS);
    expect(session.isAway).toBe(false);
    modules.heal();
    await session.run(sign);
  });

  test('because the process died is done again in a new one, once', async () => {
    modules.fail('sign', DIED, 1);
    await session.run(sign);
    expect(events).toEqual(['start a new module host']);
    modules.fail('sign', DIED);
    await expect(session.run(sign)).rejects.toBe(DIED);
  });

  test('for a reason of its own is not done again', async () => {
    const error = new AgentError('ERR_SCHEME_UNSUPPORTED', 'no');
    await expect(session.run(() => Promise.reject(error))).rejects.toBe(error);
    expect(events).toEqual([]);
  });

  test('for two at once is recovered once', async () => {
    await session.open();
    modules.fail('sign', FAILED, 2);
    await Promise.all([session.run(sign), session.run(sign)]);
    expect(events).toEqual(['reopen the session']);
  });

  test('for many at once, who can not open it any more, takes each step once', async () => {
    modules.fail('openSession', FAILED);
    const many = Array.from({ length: 50 }, () => session.run(sign));
    for (const outcome of await Promise.allSettled(many)) expect(outcome).toMatchObject({ reason: FAILED });
    expect(events).toEqual([...STEPS, 'lost']);
    await expect(session.run(sign)).rejects.toBe(FAILED);
    expect(events).toEqual([...STEPS, 'lost', ...STEPS]);
    modules.heal();
    expect((await session.run(sign)).toString()).toBe('signed data');
  });

  test.each([1, 2, 3, 4])(
    'for many at once, who can open it after %i tries, is recovered by so many steps',
    async (times) => {
      modules.fail('openSession', FAILED, times);
      await Promise.all(Array.from({ length: 50 }, () => session.run(sign)));
      expect(events).toEqual(STEPS.slice(0, times));
    },
  );

  test('for those who come while others recover goes on where they are', async () => {
    modules.fail('openSession', FAILED);
    const many: Promise<unknown>[] = [];
    for (let count = 0; count < 300; count += 1) {
      many.push(session.run(sign));
      await Promise.resolve();
    }
    for (const outcome of await Promise.allSettled(many)) expect(outcome).toMatchObject({ reason: FAILED });
    expect(events.slice(0, 5)).toEqual([...STEPS, 'lost']);
  });

  test('in a session that replaced a void one is recovered all the same', async () => {
    await (await session.open()).host.call('reinitialize', {});
    modules.fail('sign', FAILED, 1);
    await session.run(sign);
    expect(events).toEqual(['reopen the session']);
  });
});

describe('a token that goes away', () => {
  const absent = async (): Promise<void> => {
    await (await session.open()).host.call('reinitialize', {});
    modules.tokens = [];
  };

  test('is lost when it can not be opened any more, once', async () => {
    await absent();
    await expect(session.run(sign)).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
    await expect(session.run(sign)).rejects.toThrow();
    expect(events.filter((event) => event === 'lost')).toHaveLength(1);
    expect(session.isAway).toBe(true);
  });

  test('is counted each time, for polls that begin anew', async () => {
    expect(session.absences).toBe(0);
    session.lose(FAILED);
    session.lose(FAILED);
    expect(session.absences).toBe(1);
    await session.open();
    session.lose(FAILED);
    expect(session.absences).toBe(2);
  });

  test('is found by whatever opens it; those that wait for it learn of it', async () => {
    const token = fakeToken('card');
    await absent();
    await expect(session.run(sign)).rejects.toThrow();
    let isReady = false;
    const waiting = session.ready().then(() => (isReady = true));
    await settle();
    expect(isReady).toBe(false);
    // another one is not it
    modules.tokens = [{ ...token, serial: 'other' }];
    await expect(session.open()).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
    modules.tokens = [{ ...token, slot: '99' }];
    await session.run(sign);
    await waiting;
    expect(events.at(-1)).toBe('found');
    expect(session.isAway).toBe(false);
  });

  test('is there again when it refuses a login, and is not logged in to until a request wants it', async () => {
    plugIn(FLAG.LOGIN);
    await absent();
    await expect(session.run(sign)).rejects.toThrow();
    modules.tokens = [fakeToken('card', FLAG.LOGIN)];
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'), 1);
    let clock = 0;
    const watch = new TokenWatch(session, { now: () => clock++, after: () => () => undefined }, () => 'alone');
    await watch.look();
    expect(events.slice(-2)).toEqual(['found', 'login-failed']);
    expect([session.isAway, session.isResting]).toEqual([false, true]);
    modules.take();
    await watch.look();
    expect(modules.take()).toEqual([]);
  });

  test('is there again when its login stays without an outcome: a daemon that is held for it asks, and is told', async () => {
    const pin = newPin();
    plugIn(FLAG.LOGIN, () => pin);
    await absent();
    await expect(session.run(sign)).rejects.toThrow();
    const waiting = session.ready();
    modules.tokens = [fakeToken('card', FLAG.LOGIN)];
    modules.fail('login', ckr('CKR_DEVICE_ERROR', 'C_Login'));
    const watch = new TokenWatch(session, { now: () => 0, after: () => () => undefined }, () => 'alone');
    await watch.look();
    await watch.look();
    expect(events.slice(-2)).toEqual(['found', 'login-failed']);
    await waiting;
    await expect(session.run(sign)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
  });

  test('is looked for though it was told to rest', async () => {
    await absent();
    await expect(session.run(sign)).rejects.toThrow();
    await session.rest();
    expect([session.isAway, session.isResting]).toEqual([true, false]);
  });

  test.each([
    [true, ['lost'], true],
    [false, ['login-failed'], false],
  ])('is what a login without an outcome tells of, if another may have one: %s', (mayTryAgain, told, isAway) => {
    session.lose(new UnsettledLogin('?', { mayTryAgain, hint: '' }));
    expect(events).toEqual(told);
    expect(session.isAway).toBe(isAway);
  });

  test('is there at once for those that wait while it is not away', async () => {
    await session.ready();
  });
});

describe('what others may ask', () => {
  test('whether it is in use', async () => {
    expect(session.isInUse).toBe(false);
    const running = session.run(sign);
    expect(session.isInUse).toBe(true);
    await running;
    expect(session.isInUse).toBe(false);
  });

  test('whether it is being opened: not while it only looks for a token that is away', async () => {
    const opening = session.open();
    expect(session.isBeingOpened).toBe(true);
    await opening;
    expect(session.isBeingOpened).toBe(false);
    session.lose(FAILED);
    await session.recover('reopen the session');
    const polling = session.open();
    expect(session.isBeingOpened).toBe(false);
    await polling;
  });

  test('whose PIN logged it in: nobody any more where that failed, or where no login is wanted', async () => {
    const pin = newPin();
    plugIn(FLAG.LOGIN, () => pin);
    expect(session.isLoggedInBy(pin)).toBe(false);
    const { host } = await session.open();
    expect(session.isLoggedInBy(pin)).toBe(true);
    modules.tokens = [fakeToken('card')];
    await host.stop();
    await session.open();
    expect(session.isLoggedInBy(pin)).toBe(false);
    modules.tokens = [fakeToken('card', FLAG.LOGIN)];
    await (await session.open()).host.stop();
    modules.fail('login', ckr('CKR_PIN_INCORRECT', 'C_Login'));
    await expect(session.open()).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(session.isLoggedInBy(pin)).toBe(false);
  });

  test.each([
    ['wants that', FLAG.LOGIN, [false, true, false]],
    ['wants none', 0, [false]],
  ])('whether it is logged in to, if the token %s', async (_, flags, told) => {
    plugIn(flags);
    await session.open();
    await session.close();
    expect(states).toEqual(told);
  });

  test('nothing of the login to a token that is away when it is closed', async () => {
    plugIn(FLAG.LOGIN);
    await (await session.open()).host.stop();
    modules.fail('tokens', new AgentError('ERR_MODULE_TIMEOUT', 'too long'));
    await expect(session.run(sign)).rejects.toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
    expect(session.isAway).toBe(true);
    await session.close();
    expect(states).toEqual([false, true]);
  });

  test('whether it rests: once it was told to, until something wants it', async () => {
    expect(session.isResting).toBe(false);
    await session.open();
    await session.rest();
    expect(session.isResting).toBe(true);
    await session.run(sign);
    expect(session.isResting).toBe(false);
  });

  test.each([
    [0, false],
    [FLAG.KEYPAD, true],
  ])('whether opening it anew takes a person (flags %i)', async (flags, needsPerson) => {
    plugIn(flags);
    expect(session.needsPerson).toBe(false);
    await session.open();
    expect(session.needsPerson).toBe(needsPerson);
  });
});

describe('extra sessions', () => {
  const beside = (): unknown => session.runBeside(() => Promise.resolve());

  test('are asked to help while it is open: they learn how much it has to do', async () => {
    await session.open();
    beside();
    const running = session.run(sign);
    beside();
    await running;
    const { host } = await session.open();
    Object.assign(host, { pending: 3 });
    beside();
    expect(extras.loads).toEqual([0, 1, 3]);
  });

  test('are not asked while it is not open, or its process is dead: they are of no use without it', async () => {
    expect(beside()).toBeUndefined();
    const { host } = await session.open();
    await host.stop();
    expect(beside()).toBeUndefined();
    await session.recover('reopen the session');
    expect(beside()).toBeUndefined();
    expect(extras.loads).toEqual([]);
  });
});

describe('resting', () => {
  test('logs out of the token, also where another session of it stays open', async () => {
    plugIn(FLAG.LOGIN);
    const { host, token } = await session.open();
    await host.call('openSession', { slot: token.slot });
    await session.rest();
    expect(modules.take('tokens', 'mechanisms', 'openSession', 'login')).toEqual(['1 logout', '1 closeSession']);
    expect((await modules.get(PATH)).isLoggedIn).toBe(false);
  });

  test('twice at once is done once', async () => {
    await session.open();
    modules.take();
    await Promise.all([session.rest(), session.rest()]);
    expect(modules.take()).toEqual(['1 logout', '1 closeSession']);
  });

  test('of one that is not open takes nothing', async () => {
    await session.rest();
    expect(modules.take()).toEqual([]);
    expect(session.isResting).toBe(true);
  });

  test('waits for its being opened', async () => {
    const opening = session.open();
    await session.rest();
    await opening;
    expect(modules.openSessions).toBe(0);
    expect(session.isOpen).toBe(false);
  });
});

describe('closing', () => {
  test('is for good', async () => {
    await session.open();
    await session.close();
    expect(modules.openSessions).toBe(0);
    await expect(session.run(sign)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await session.close();
  });

  test.each([
    ['can be recovered', FAILED],
    ['can not', new AgentError('ERR_TOKEN_ABSENT', 'none')],
  ])('while it is being opened, which fails for what %s, tells nobody', async (_, error) => {
    modules.fail('openSession', error);
    const running = session.run(sign);
    await session.close();
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(events).toEqual([]);
  });

  test('while it is being opened leaves no session behind', async () => {
    const opening = session.open();
    await session.close();
    await expect(opening).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(modules.openSessions).toBe(0);
    expect(states).toEqual([]);
  });
});
