import { expect, test, vi } from 'vitest';
import { Listeners } from '../../src/listeners.ts';

test('each hears of each event until it is undone', () => {
  const listeners = new Listeners();
  const [one, other] = [vi.fn(), vi.fn()];
  const undo = listeners.add(one);
  listeners.add(other);
  listeners.tell();
  undo();
  undo();
  listeners.tell();
  expect(one).toHaveBeenCalledTimes(1);
  expect(other).toHaveBeenCalledTimes(2);
});

test('a function given twice is two listeners', () => {
  const listeners = new Listeners();
  const listener = vi.fn();
  const undo = listeners.add(listener);
  listeners.add(listener);
  listeners.tell();
  undo();
  listeners.tell();
  expect(listener).toHaveBeenCalledTimes(3);
});

test('one that is added while all are told hears of the next event', () => {
  const listeners = new Listeners();
  const late = vi.fn();
  const undo = listeners.add(() => {
    undo();
    listeners.add(late);
  });
  listeners.tell();
  expect(late).not.toHaveBeenCalled();
  listeners.tell();
  expect(late).toHaveBeenCalledOnce();
});

test('the next event, once', async () => {
  const listeners = new Listeners();
  const next = listeners.next();
  listeners.tell();
  listeners.tell();
  await expect(next).resolves.toBeUndefined();
});

test('cleared: nothing is heard', () => {
  const listeners = new Listeners();
  const listener = vi.fn();
  listeners.add(listener);
  listeners.clear();
  listeners.tell();
  expect(listener).not.toHaveBeenCalled();
});
