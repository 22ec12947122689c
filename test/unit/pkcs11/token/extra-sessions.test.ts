import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, type FakeModule, fakeToken, FLAG, settle } from '../fake-modules.ts';
import {
  asked,
  clock,
  crowd,
  eventually,
  events,
  finishAll,
  hostsOf,
  HSM,
  modules,
  noneStarts,
  open,
  startExtra,
  user,
  useWith,
  Work,
} from './busy-token.ts';

beforeEach(() => open());

describe('a further session', () => {
  test('is started when signatures wait, and logs in with the PIN that was accepted', async () => {
    await startExtra();
    expect(modules.pins).toEqual(['1234', '1234']);
    expect(asked).toBe(1);
    expect(modules.count('slot')).toBe(1);
  });

  test('is not started for few, for many one after the other, or for many in a longer time', async () => {
    await finishAll(crowd(17));
    clock.pass(2);
    for (let times = 0; times < 100; times++) await finishAll([new Work()]);
    const works: Work[] = crowd(2);
    for (let times = 0; times < 30; times++) {
      works.push(new Work());
      clock.pass(0.1);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    await finishAll(works);
    expect(modules.calls.filter((call) => call.endsWith(' slot'))).toEqual([]);
    expect(modules.furtherHosts).toEqual([]);
  });

  test('gets work when the first one has more, and none when it has less', async () => {
    const extra = await startExtra();
    const works = crowd(6);
    await settle();
    expect(hostsOf(works)).toEqual([1, 2, 1, 2, 1, 2]);
    await finishAll(works);
    expect(extra.isAlive).toBe(true);
    const alone = new Work();
    await alone.finish();
    expect(alone.hosts).toEqual([1]);
  });

  test('is one of so many at most', async () => {
    modules.most = 3;
    await startExtra();
    const works = crowd(40);
    await eventually(() => modules.furtherHosts.length).toBe(2);
    await eventually(() => modules.pins.length).toBe(3);
    await finishAll(works);
    const more = crowd(80);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await finishAll(more);
    expect(modules.furtherHosts).toHaveLength(2);
  });

  test('ends when it had nothing to do for a minute, without a reason', async () => {
    const extra = await startExtra();
    clock.pass(59);
    expect(extra.isAlive).toBe(true);
    await finishAll(crowd(2));
    clock.pass(59);
    await settle();
    expect(extra.isAlive).toBe(true);
    clock.pass(2);
    await settle();
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
    // another one follows where it is wanted
    expect((await startExtra()).number).toBe(3);
  });

  test('that grew too much ends with its last work', async () => {
    const extra = await startExtra();
    const works = crowd(4);
    modules.rss = 2 ** 30;
    clock.pass(61);
    await settle();
    expect(hostsOf(works)).toEqual([1, 2, 1, 2]);
    const next = crowd(2);
    await settle();
    expect(hostsOf(next)).toEqual([1, 1]);
    await works[1]?.finish();
    expect(extra.isAlive).toBe(true);
    await finishAll([...works, ...next]);
    await settle();
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
  });
});

describe('a further session that works for more than a minute', () => {
  test('is kept', async () => {
    const extra = await startExtra();
    const works = crowd(2);
    clock.pass(61);
    await settle();
    const more = crowd(2);
    await settle();
    expect(hostsOf([...works, ...more])).toEqual([1, 2, 1, 2]);
    await finishAll([...works, ...more]);
    expect(extra.isAlive).toBe(true);
  });

  test('is looked at in its own slot alone, since each one takes its time', async () => {
    const extra = await startExtra();
    const asked: unknown[] = [];
    const call = extra.call.bind(extra);
    extra.call = (name, params) => {
      asked.push(name, params);
      return call(name, params);
    };
    const works = crowd(2);
    clock.pass(61);
    await settle();
    expect(asked).toEqual(['tokens', { slot: HSM.slot }]);
    await finishAll(works);
  });

  test('is given up if it does not answer', async () => {
    const extra = await startExtra();
    const works = crowd(2);
    modules.fail('tokens', new AgentError('ERR_MODULE_TIMEOUT', 'too long'), 1);
    clock.pass(61);
    await settle();
    expect(extra.stopReason).toBe('was given up: too long');
    await finishAll(works);
  });
});

describe('there is none', () => {
  test('for a token that can be taken out', async () => {
    modules.isRemovable = true;
    await noneStarts();
    await noneStarts();
    expect(modules.count('slot')).toBe(1);
  });

  test.each([
    ['with a keypad', FLAG.KEYPAD],
    ['with few tries left', FLAG.COUNT_LOW],
  ])('for a token %s', async (_, flag) => {
    await open(fakeToken('hsm', FLAG.LOGIN | flag));
    await noneStarts();
    expect(modules.count('login')).toBe(1);
    expect(modules.count('slot')).toBe(0);
  });

  test.each([
    ['few tries left', FLAG.COUNT_LOW],
    ['one try left', FLAG.FINAL_TRY],
    ['a locked PIN', FLAG.LOCKED],
  ])('for a token that has %s by now, until that is over', async (_, flag) => {
    modules.tokens = [fakeToken('hsm', FLAG.LOGIN | flag)];
    await noneStarts();
    expect(modules.count('login')).toBe(1);
    expect(modules.calls).not.toContain('2 openSession');
    modules.tokens = [HSM];
    await noneStarts();
    clock.pass(60);
    await startExtra();
  });

  test('where one process is all that a module may have', async () => {
    modules.most = 1;
    await noneStarts();
    modules.most = 2;
    await startExtra();
  });

  test('where the PIN was never accepted in this process', async () => {
    const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
    // as if somebody else had logged in before
    pin.login = () => Promise.resolve();
    await useWith(pin);
    await noneStarts();
    expect(modules.count('slot')).toBe(0);
  });

  test.each([
    ['refused', ckr('CKR_PIN_INCORRECT', 'C_Login')],
    ['not answered', ckr('CKR_GENERAL_ERROR', 'C_Login')],
    ['cut short', new AgentError('ERR_MODULE_DIED', 'it died')],
  ])('any more once its login was %s, and the first session works on', async (_, error) => {
    modules.fail('login', error, 1);
    let extra: FakeModule | undefined;
    modules.onQueue = () => ([extra] = modules.furtherHosts);
    const works = crowd(18);
    await eventually(() => modules.count('login')).toBe(2);
    await eventually(() => modules.furtherHosts).toEqual([]);
    expect(extra?.stopReason).toMatch(/^was given up: ./);
    await finishAll(works);
    await noneStarts();
    clock.pass(100_000);
    await noneStarts();
    expect(modules.count('login')).toBe(2);
    expect(events).toEqual([]);
  });

  test('any more once its session could not be opened', async () => {
    modules.fail('openSession', ckr('CKR_SESSION_COUNT', 'C_OpenSession'), 1);
    await noneStarts();
    await noneStarts();
    expect(modules.count('openSession')).toBe(2);
  });
});

describe('what fails in a further session', () => {
  test.each([
    ['its process ended', new AgentError('ERR_MODULE_DIED', 'it died')],
    ['it took too long', new AgentError('ERR_MODULE_TIMEOUT', 'too long')],
    ['the token says so', ckr('CKR_DEVICE_ERROR', 'C_Sign')],
    ['its key is not there', new AgentError('ERR_KEY_NOT_FOUND', 'none')],
  ])('is done in the first one (%s), and that session ends', async (_, error) => {
    const extra = await startExtra();
    const first = new Work();
    const failing = new Work((at) => {
      if (at.host === extra) throw error;
    });
    const waiting = [new Work(), new Work()];
    await finishAll([failing, first, ...waiting]);
    expect(failing.hosts).toEqual([2, 1]);
    expect(extra.stopReason).toBe(`was given up: ${error.message}`);
    expect(events).toEqual([]);
    // not again at once
    await noneStarts();
    clock.pass(61);
    expect((await startExtra()).number).toBe(3);
  });

  test('because it was given up is not done again', async () => {
    const extra = await startExtra();
    const first = new Work();
    const aborted = new Work(() => {
      throw new AgentError('ERR_ABORTED', 'given up');
    });
    await expect(aborted.finish()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await first.finish();
    expect(aborted.hosts).toEqual([2]);
    expect(extra.isAlive).toBe(true);
  });

  test('a process that died without work gets none', async () => {
    const extra = await startExtra();
    extra.isAlive = false;
    const works = crowd(4);
    await finishAll(works);
    expect(hostsOf(works)).toEqual([1, 1, 1, 1]);
    expect(extra.stopReason).toBeUndefined();
  });

  test('has the next one wait twice as long, an hour at most', async () => {
    for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const extra = await startExtra();
      extra.isAlive = false;
      await finishAll(crowd(2));
      clock.pass(60 * minutes - 1);
      await noneStarts();
      clock.pass(1);
    }
  });
});

describe('when the first session', () => {
  test('has to be opened anew, the further ones end, and their work is done in it', async () => {
    const extra = await startExtra();
    const works = [
      new Work(),
      new Work((at) => {
        if (!at.host.isAlive) throw new AgentError('ERR_MODULE_DIED', 'it was stopped');
      }),
    ] as const;
    modules.fail('sign', ckr('CKR_DEVICE_ERROR', 'C_Sign'), 1);
    await user.run((at) => at.host.sign({ session: at.session, key: '', mechanism: { type: 1 } }, Buffer.from('data')));
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
    await finishAll(works);
    expect(works[1].hosts).toEqual([2, 1]);
  });

  test('is closed, they end, also one that is just logging in', async () => {
    const extra = await startExtra();
    await user[Symbol.asyncDispose]();
    expect(extra.isAlive).toBe(false);

    await open();
    let login = (): void => undefined;
    modules.onLogin = () => new Promise<void>((resolve) => (login = resolve));
    const works = crowd(18);
    await eventually(() => modules.pins.length).toBe(2);
    const closing = user[Symbol.asyncDispose]();
    const [starting] = modules.furtherHosts;
    // not in the middle of its login
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(starting?.isAlive).toBe(true);
    login();
    await closing;
    expect(starting?.isAlive).toBe(false);
    await finishAll(works);
  });
});
