import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { Rejections } from '../../../../src/management/sockets/rejections.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('the first is told at once, the others together, each reason by itself', () => {
  const told: [string, string, number][] = [];
  const rejections = new Rejections((error, peer, count) => told.push([error.code, peer, count]));
  const many = new AgentError('ERR_MANAGEMENT_LIMIT', 'too many');
  for (let at = 0; at < 3_000; at += 1) rejections.add(many, `peer ${at}`);
  rejections.add(new AgentError('ERR_MANAGEMENT_PASSWORD', 'wrong'), 'other');
  expect(told.splice(0)).toEqual([
    ['ERR_MANAGEMENT_LIMIT', 'peer 0', 1],
    ['ERR_MANAGEMENT_PASSWORD', 'other', 1],
  ]);
  vi.runOnlyPendingTimers();
  expect(told.splice(0)).toEqual([['ERR_MANAGEMENT_LIMIT', 'peer 2999', 2_999]]);
  // the next window began with that
  rejections.add(many, 'late');
  expect(told).toEqual([]);
  rejections.flush();
  expect(told.splice(0)).toEqual([['ERR_MANAGEMENT_LIMIT', 'late', 1]]);
  // after a quiet time the first is told at once again
  rejections.add(many, 'first');
  vi.runAllTimers();
  rejections.add(many, 'again');
  expect(told).toEqual([
    ['ERR_MANAGEMENT_LIMIT', 'first', 1],
    ['ERR_MANAGEMENT_LIMIT', 'again', 1],
  ]);
});

test('at the end nothing is told twice', () => {
  const told: number[] = [];
  const rejections = new Rejections((_, __, count) => told.push(count));
  rejections.add(new AgentError('ERR_MANAGEMENT_LIMIT', 'too many'), 'one');
  rejections.flush();
  expect(told).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});
