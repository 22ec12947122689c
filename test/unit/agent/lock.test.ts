import { describe, expect, test } from 'vitest';
import { Lock } from '../../../src/agent/lock.ts';
import { Secret } from '../../../src/secret.ts';
import { FakeClock } from './fake-clock.ts';

const right = (): Secret => new Secret('right');
const wrong = (): Secret => new Secret('wrong');
const LOCKED = expect.objectContaining({ code: 'ERR_LOCKED' }) as unknown;
const INCORRECT = expect.objectContaining({ code: 'ERR_PASSPHRASE_INCORRECT' }) as unknown;

describe('without a passphrase', () => {
  test('nothing is admitted until it is unlocked', async () => {
    const lock = new Lock(new FakeClock());
    lock.gate.check();
    await lock.lock(undefined);
    expect(() => {
      lock.gate.check();
    }).toThrow(LOCKED);
    expect(await lock.unlock(undefined)).toBe(true);
    lock.gate.check();
    // nothing is told of what was open
    expect(await lock.unlock(undefined)).toBe(false);
  });

  test('one that is locked is not locked again: its passphrase stays', async () => {
    const lock = new Lock(new FakeClock());
    await lock.lock(right());
    await expect(lock.lock(wrong())).rejects.toEqual(LOCKED);
    await lock.unlock(right());
    lock.gate.check();
  });
});

describe('with a passphrase', () => {
  test('it is closed at once, before the hash is made, and nothing else opens it then', async () => {
    const lock = new Lock(new FakeClock());
    const locking = lock.lock(right());
    expect(lock.isLocked).toBe(true);
    await expect(lock.unlock(undefined)).rejects.toEqual(INCORRECT);
    await locking;
    await lock.unlock(right());
    expect(lock.isLocked).toBe(false);
  });

  test('a wrong one is answered later and later, and guesses wait for each other', async () => {
    const clock = new FakeClock();
    const lock = new Lock(clock);
    await lock.lock(right());
    const answers: string[] = [];
    const guess = (name: string): Promise<unknown> =>
      lock.unlock(wrong()).catch(() => {
        answers.push(name);
      });
    const guesses = [guess('first'), guess('second')];
    while (answers.length < 2) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.pass(0.05);
    }
    await Promise.all(guesses);
    expect(answers).toEqual(['first', 'second']);
    // 100 and 200 ms at least
    expect(clock.now()).toBeGreaterThanOrEqual(300);
    expect(lock.isLocked).toBe(true);
  });
});
