import { expect, test } from 'vitest';
import { type AwaitedReply, ReplyMatcher } from '../../../../src/management/connection/reply-matcher.ts';

test('a reply that nobody awaits any more is not held', () => {
  const queue = new ReplyMatcher(1000);
  const giveUp = queue.push({ shape: { parts: [{ kind: 'block' }] }, says: /^\b$/, done: () => undefined });
  giveUp();
  for (let line = 0; line < 1000; line += 1) queue.take('x');
  queue.take('END');
  expect(queue.due).toBe(0);
});

test('acknowledgements of answers that are given up are not owed for ever', () => {
  const queue = new ReplyMatcher();
  for (let answer = 0; answer < 1000; answer += 1) {
    queue.push({ shape: { parts: [{ kind: 'line' }] }, says: /x/, claims: /^SUCCESS: x/, done: () => undefined })();
  }
  expect(queue.due).toBeLessThan(32);
});

test('replies are told apart by what they say, then by order', () => {
  const matcher = new ReplyMatcher();
  const came: string[] = [];
  const awaited = (name: string, says: RegExp, claims?: RegExp): AwaitedReply => ({
    ...{ shape: { parts: [{ kind: 'line' }] }, says, claims },
    done: ({ raw }, bytes) => came.push(`${name}: ${raw.join()} ${bytes.join()}`),
  });
  matcher.push(awaited('pk-sig', /^pk-sign/, /^SUCCESS: pk-sign /));
  matcher.push(awaited('pid', /^pid=/));
  const giveUp = matcher.push(awaited('given up', /^hold=/));
  matcher.push(awaited('verb', /^verb=/));
  giveUp();
  expect(matcher.size).toBe(3);
  expect(matcher.take('SUCCESS: pid=1')).toBe(true);
  expect(matcher.take('SUCCESS: verb=3', 'SUCCESS: verb=3\xff')).toBe(true);
  expect(matcher.take('SUCCESS: pk-sign command succeeded')).toBe(true);
  expect(matcher.take('what is this')).toBe(false);
  expect(came).toEqual([
    'pid: SUCCESS: pid=1 SUCCESS: pid=1',
    'verb: SUCCESS: verb=3 SUCCESS: verb=3\xff',
    'pk-sig: SUCCESS: pk-sign command succeeded SUCCESS: pk-sign command succeeded',
  ]);
  expect(matcher.due).toBe(0);
});
