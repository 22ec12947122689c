import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { NotificationStream, NotificationTaker } from '../../../../src/management/connection/notification-readers.ts';
import type { Notification } from '../../../../src/management/index.ts';
import { soon } from '../pair.ts';

const ignore = (): void => undefined;
const stray = (line: string): Notification => ({ type: 'STRAY', line });
const lineOf = (notification: Notification | undefined): unknown =>
  notification?.type === 'STRAY' ? notification.line : undefined;
const ended = { done: true, value: undefined };

/** A stream, and how often it told of a change, or left. */
function streaming(): {
  stream: NotificationStream;
  told: { changed: number; left: number };
  push: (...lines: string[]) => void;
} {
  const told = { changed: 0, left: 0 };
  const stream = new NotificationStream(
    () => (told.changed += 1),
    () => (told.left += 1),
  );
  const push = (...lines: string[]): void => {
    for (const line of lines) stream.push(stray(line), [line]);
  };
  return { stream, told, push };
}

describe('a stream', () => {
  test('keeps order, and its count of what waits, however far the reader lags', async () => {
    const { stream, push } = streaming();
    const numbers = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, index) => `${from + index}`);
    const read: unknown[] = [];
    const take = async (count: number): Promise<void> => {
      for (let each = 0; each < count; each += 1) read.push(lineOf((await stream.next()).value as Notification));
    };
    push(...numbers(0, 1_500));
    const { held } = stream;
    await take(1_000);
    push(...numbers(1_500, 2_500));
    expect(stream.size).toBe(1_500);
    await take(1_400);
    expect(stream.size).toBe(100);
    expect(stream.held).toBeLessThan(held);
    await take(100);
    expect(read).toEqual(numbers(0, 2_500));
    expect([stream.size, stream.held]).toEqual([0, 0]);
  });

  test('counts the bytes of what waits, one by one', async () => {
    const { stream, push } = streaming();
    push('a');
    const one = stream.held;
    expect(one).toBeGreaterThan(0);
    push('b', 'c');
    expect([stream.size, stream.held]).toEqual([3, 3 * one]);
    await stream.next();
    expect([stream.size, stream.held]).toEqual([2, 2 * one]);
  });

  test('gives each to one who waits already, in their order, and keeps nothing of it', async () => {
    const { stream, push } = streaming();
    const waiting = [stream.next(), stream.next()];
    push('a', 'b', 'c');
    expect(stream.size).toBe(1);
    expect((await Promise.all(waiting)).map(({ value, done }) => [lineOf(value as Notification), done])).toEqual([
      ['a', false],
      ['b', false],
    ]);
  });

  test('tells that there is room again when something is read', async () => {
    const { stream, told, push } = streaming();
    push('a');
    expect(told.changed).toBe(0);
    await stream.next();
    expect(told.changed).toBe(1);
  });

  test('ends behind what came before, with the error once', async () => {
    const { stream, push } = streaming();
    push('a');
    stream.end(new Error('broken'));
    stream.end(undefined);
    push('too late');
    expect(lineOf((await stream.next()).value as Notification)).toBe('a');
    await expect(stream.next()).rejects.toThrow('broken');
    expect([await stream.next(), await stream.next()]).toEqual([ended, ended]);
  });

  test('without an error is over for all who wait, and later', async () => {
    const { stream } = streaming();
    const waiting = [stream.next(), stream.next()];
    stream.end(undefined);
    expect(await Promise.all(waiting)).toEqual([ended, ended]);
    expect(await stream.next()).toEqual(ended);
  });

  test('that breaks says so to the first who waits, and is over for the others', async () => {
    const { stream } = streaming();
    const waiting = [stream.next(), stream.next()];
    stream.end(new Error('broken'));
    expect(await Promise.allSettled(waiting)).toEqual([
      expect.objectContaining({ status: 'rejected' }),
      { status: 'fulfilled', value: ended },
    ]);
    expect(await stream.next()).toEqual(ended);
  });

  test('that is left holds nothing any more, and leaves the hub', async () => {
    const { stream, told, push } = streaming();
    push('a', 'b');
    expect(await stream.return()).toEqual(ended);
    expect([stream.size, stream.held]).toEqual([0, 0]);
    expect(told).toEqual({ changed: 1, left: 1 });
    push('c');
    expect(await stream.next()).toEqual(ended);
  });
});

describe('what was read is held no more', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  /** Pushes so many, reads some of them, and says how many of these are still in memory. */
  async function leftOf(pushed: number, read: number): Promise<[left: number, waits: number]> {
    const { stream } = streaming();
    const refs = Array.from({ length: pushed }, (_, index) => {
      const notification = stray(`${index}`);
      stream.push(notification, []);
      return new WeakRef(notification);
    });
    for (let each = 0; each < read; each += 1) await stream.next();
    // what a turn has made or looked at is held until its end
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    const left = refs.slice(0, read).filter((each) => each.deref() !== undefined).length;
    return [left, stream.size];
  }

  test('when nothing waits', async () => {
    expect(await leftOf(1, 1)).toEqual([0, 0]);
  });

  test('but for some, by a reader who lags behind all the time', async () => {
    const [left, waits] = await leftOf(3_000, 2_000);
    expect(left).toBeLessThan(1_000);
    expect(waits).toBe(1_000);
  });
});

describe('a taker', () => {
  test('leaves others their turn while it takes many', async () => {
    const taken: unknown[] = [];
    let atTurn: number | undefined;
    const taker = new NotificationTaker(ignore, (notification) => {
      if (taken.length === 0) setImmediate(() => (atTurn = taken.length));
      taken.push(lineOf(notification));
      return Promise.resolve();
    });
    const lines = Array.from({ length: 200 }, (_, index) => `${index}`);
    for (const line of lines) taker.push(stray(line), [line]);
    taker.end();
    await taker.over();
    expect(taken).toEqual(lines);
    expect(atTurn).toBe(64);
  });

  test('is told of all that came together before the first is taken, and of room after each', async () => {
    let changed = 0;
    const sizes: number[] = [];
    const taker = new NotificationTaker(
      () => (changed += 1),
      () => {
        sizes.push(taker.size);
        return Promise.resolve();
      },
    );
    for (const line of ['a', 'b', 'c']) taker.push(stray(line), [line]);
    expect([sizes, taker.size]).toEqual([[], 3]);
    taker.end();
    await taker.over();
    expect([sizes, changed]).toEqual([[2, 1, 0], 3]);
  });

  test('is over when the last is taken, and not before', async () => {
    const steps: string[] = [];
    let go: () => void = ignore;
    const taker = new NotificationTaker(ignore, async () => {
      steps.push('begun');
      await new Promise<void>((resolve) => (go = resolve));
      steps.push('taken');
    });
    taker.push(stray('a'), ['a']);
    await Promise.resolve();
    taker.end();
    const over = taker.over().then(() => steps.push('over'));
    go();
    await over;
    expect(steps).toEqual(['begun', 'taken', 'over']);
    // and to who asks later
    await taker.over();
  });

  test('is not over while more may come, and needs nobody who waits for that', async () => {
    const taker = new NotificationTaker(ignore, () => Promise.resolve());
    const over = taker.over();
    taker.push(stray('a'), ['a']);
    expect(await soon(over)).toBe('nothing yet');
    taker.end();
    expect(await soon(over)).toBeUndefined();
    const alone = new NotificationTaker(ignore, () => Promise.resolve());
    alone.push(stray('a'), ['a']);
    alone.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect([alone.size, await soon(alone.over())]).toEqual([0, undefined]);
  });

  test('takes what comes later, and is over at the end of the connection', async () => {
    const taken: unknown[] = [];
    const taker = new NotificationTaker(ignore, (notification) => {
      taken.push(lineOf(notification));
      return Promise.resolve();
    });
    for (const line of ['a', 'b']) {
      taker.push(stray(line), [line]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toEqual(['a', 'b']);
    const over = taker.over();
    taker.end();
    await over;
  });
});
