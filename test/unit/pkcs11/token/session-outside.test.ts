// A token's session from outside: what is told of a token that goes away, rests or is closed, and what others may ask.
import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { UnsettledLogin } from '../../../../src/pkcs11/host/login-outcome.ts';
import { TokenWatch } from '../../../../src/pkcs11/token/watch.ts';
import { ckr, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';
import { events, extras, FAILED, modules, newPin, plugIn, session, sign, states } from './one-session.ts';

beforeEach(() => {
  plugIn();
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
