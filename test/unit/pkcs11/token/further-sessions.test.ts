// More than one extra session, and starts of one during which the first session goes away.
import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { ckr, type FakeModule, fakeToken, PATH, settle } from '../fake-modules.ts';
import {
  clock,
  crowd,
  eventually,
  finishAll,
  hostsOf,
  modules,
  noneStarts,
  open,
  startExtra,
  user,
  Work,
} from './busy-token.ts';

beforeEach(() => open());

/** What could start by now has. */
const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

async function startTwo(): Promise<readonly FakeModule[]> {
  modules.most = 3;
  await startExtra();
  const works = crowd(20);
  await eventually(() => modules.furtherHosts.map(({ isLoggedIn }) => isLoggedIn)).toEqual([true, true]);
  await finishAll(works);
  // both are of use now
  await eventually(async () => {
    const three = crowd(3);
    await finishAll(three);
    return hostsOf(three);
  }).toEqual([1, 2, 3]);
  return modules.furtherHosts;
}

describe('of two further sessions', () => {
  test('each gets the work if it has the least to do', async () => {
    await startTwo();
    const works = crowd(6);
    await settle();
    expect(hostsOf(works)).toEqual([1, 2, 3, 1, 2, 3]);
    await works[2]?.finish();
    const next = new Work();
    await settle();
    expect(next.hosts).toEqual([3]);
    await finishAll([...works, next]);
    // a slot is asked once whether its token can be taken out
    expect(modules.count('slot')).toBe(1);
  });

  test('one that fails leaves the other', async () => {
    const [one, other] = await startTwo();
    const works = [
      new Work(),
      new Work(({ host }) => {
        if (host === one) throw ckr('CKR_DEVICE_ERROR', 'C_Sign');
      }),
    ];
    await finishAll(works);
    expect([one?.isAlive, other?.isAlive]).toEqual([false, true]);
    const next = crowd(2);
    await finishAll(next);
    expect(hostsOf(next)).toEqual([1, 3]);
  });

  test('the second one takes as many that wait as the first, at one time: not those that have something idle', async () => {
    modules.most = 3;
    await startExtra();
    const few = crowd(19);
    await aWhile();
    expect(modules.furtherHosts).toHaveLength(1);
    await finishAll(few);
    clock.pass(2);
    const enough = crowd(20);
    await eventually(() => modules.furtherHosts).toHaveLength(2);
    await finishAll(enough);
  });
});

test('of a token that wants no login one makes none', async () => {
  await open(fakeToken('hsm'));
  const works = crowd(18);
  await eventually(() => modules.furtherHosts[0]?.sessions.size).toBe(1);
  await finishAll(works);
  await eventually(async () => {
    const two = crowd(2);
    await finishAll(two);
    return hostsOf(two);
  }).toEqual([1, 2]);
  expect(modules.count('login')).toBe(0);
});

describe('while one starts, the first session', () => {
  async function useFirst(): Promise<void> {
    await user.run((at) => at.host.sign({ session: at.session, key: '', mechanism: { type: 1 } }, Buffer.from('data')));
  }

  async function reopenFirst(): Promise<void> {
    modules.fail('sign', ckr('CKR_DEVICE_ERROR', 'C_Sign'), 1);
    await useFirst();
  }

  test.each([
    ['is opened anew', reopenFirst],
    ['loses its process', async () => (await modules.get(PATH)).stop()],
  ])('%s: what failed by that is tried again', async (_, lose) => {
    const another = modules.another.bind(modules);
    let fail: ((error: Error) => void) | undefined;
    modules.another = () => new Promise((_resolve, reject) => (fail = reject));
    const works = crowd(18);
    await eventually(() => fail).toBeDefined();
    await lose();
    fail?.(new AgentError('ERR_MODULE_DIED', 'it died'));
    modules.another = another;
    await finishAll(works);
    await useFirst();
    await startExtra();
  });

  test('is opened anew: what the token said of the PIN holds all the same', async () => {
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    modules.onLogin = async () => {
      modules.onLogin = () => undefined;
      await answered;
      throw ckr('CKR_GENERAL_ERROR', 'C_Login');
    };
    const works = crowd(18);
    await eventually(() => modules.pins.length).toBe(2);
    const [starting] = modules.furtherHosts;
    const reopening = reopenFirst();
    await settle();
    answer();
    await reopening;
    expect(starting?.isAlive).toBe(false);
    expect(starting?.stopReason).toBeUndefined();
    await finishAll(works);
    await noneStarts();
    expect(modules.pins).toHaveLength(3);
  });

  test.each([
    ['its slot was asked about: no process is started', 'slot', []],
    ['it looks for its token: it makes no login', 'tokens', ['2 tokens']],
  ] as const)('is closed when %s', async (_, call, calls) => {
    modules.onAnswer = (answered) => {
      if (answered === call) void user[Symbol.asyncDispose]();
    };
    const works = crowd(18);
    await aWhile();
    expect(modules.calls.filter((each) => each.startsWith('2 '))).toEqual(calls);
    expect(modules.furtherHosts).toEqual([]);
    await finishAll(works);
  });
});
