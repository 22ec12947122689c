import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { CKF } from '../../../../src/pkcs11/constants.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, fakeToken, FLAG, PATH } from '../fake-modules.ts';
import { events, FAILED, modules, plugIn, session, sign } from './one-session.ts';

const DIED = new AgentError('ERR_MODULE_DIED', 'it died');
const STEPS = [
  'reopen the session',
  'log out and in',
  'finalize and initialize the module',
  'start a new module host',
] as const;

beforeEach(() => {
  plugIn();
});

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

  test('looks at the token anew behind a login without an outcome, though its process could not be stopped', async () => {
    plugIn(FLAG.LOGIN);
    const host = await modules.get(PATH);
    const seen = { info: fakeToken('card', FLAG.LOGIN), host, epoch: host.epoch };
    host.stop = () => Promise.reject(new Error('it goes on'));
    modules.onLogin = () => {
      modules.tokens = [fakeToken('card', FLAG.LOGIN | FLAG.FINAL_TRY)];
      throw ckr('CKR_GENERAL_ERROR', 'C_Login');
    };
    await expect(session.open(seen)).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    expect(modules.count('tokens')).toBe(1);
    expect(modules.pins).toHaveLength(1);
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
