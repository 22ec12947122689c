import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SYSTEM_CLOCK } from '../../src/clock.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

// WatchdogSec= may be years; what a timer of Node's can't take it calls after a millisecond, again and again
test.each([5, 2 ** 31 - 1, 2 ** 31, 2 ** 33])('calls once after %d milliseconds, and not before', (milliseconds) => {
  const call = vi.fn();
  SYSTEM_CLOCK.after(milliseconds, call);
  vi.advanceTimersByTime(milliseconds - 1);
  expect(call).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(call).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('can be called off at any time before', () => {
  const call = vi.fn();
  const callOff = SYSTEM_CLOCK.after(2 ** 33, call);
  vi.advanceTimersByTime(2 ** 32);
  callOff();
  vi.advanceTimersByTime(2 ** 34);
  expect(call).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
