import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { unlessAborted, within, withResolvers } from '../../src/promises.ts';

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });

test('withResolvers: settled from outside', async () => {
  const kept = withResolvers<number>();
  kept.resolve(1);
  expect(await kept.promise).toBe(1);
  const broken = withResolvers();
  broken.reject(new Error('no'));
  await expect(broken.promise).rejects.toThrow('no');
});

describe('within', () => {
  test('aborts when the time is over', async () => {
    using limit = within(1);
    await aborted(limit.signal);
    expect(limit.isLate).toBe(true);
  });

  test('aborts with the caller’s signal, and is not late then', async () => {
    const caller = new AbortController();
    using limit = within(60_000, caller.signal);
    caller.abort('why');
    expect(limit.signal.aborted).toBe(true);
    expect(limit.signal.reason).toBe('why');
    expect(limit.isLate).toBe(false);
    using already = within(1, caller.signal);
    expect(already.signal.aborted).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(already.isLate).toBe(false);
  });

  test('0 is no limit, and a disposed one aborts no more and leaves nothing behind', async () => {
    const caller = new AbortController();
    const signals = [0, 1].map((milliseconds) => {
      using limit = within(milliseconds, caller.signal);
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(1);
      return limit.signal;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    caller.abort();
    expect(signals.map((signal) => signal.aborted)).toEqual([false, false]);
  });
});

describe('unlessAborted', () => {
  test('gives what the work gives, and leaves nothing at the signal', async () => {
    const { signal } = new AbortController();
    expect(await unlessAborted(Promise.resolve(1), signal)).toBe(1);
    await expect(unlessAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('gives up at the signal, and where it was aborted before', async () => {
    const stop = new AbortController();
    const waiting = unlessAborted(new Promise(() => undefined), stop.signal);
    stop.abort('why');
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'why' });
    await expect(unlessAborted(new Promise(() => undefined), stop.signal)).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
  });
});
