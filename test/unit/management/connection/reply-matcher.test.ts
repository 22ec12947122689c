import { describe, expect, test } from 'vitest';
import { BLOCK, LINE, notificationShape } from '../../../../src/management/commands/shape.ts';
import { type AwaitedReply, ReplyMatcher } from '../../../../src/management/connection/reply-matcher.ts';
import { coded } from '../pair.ts';

test('a reply that takes more memory than it may is none', () => {
  const matcher = new ReplyMatcher(1000);
  matcher.push({ shape: BLOCK, says: /^/, done: () => undefined });
  matcher.take('x');
  expect(() => matcher.take('x'.repeat(1000))).toThrow(coded('ERR_MANAGEMENT_LIMIT'));
});

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

/** A matcher, what came to whom, and how to await a reply. */
function matching(): {
  matcher: ReplyMatcher;
  came: string[];
  await: (name: string, more?: Partial<AwaitedReply>) => () => void;
} {
  const [matcher, came] = [new ReplyMatcher(), [] as string[]];
  return {
    matcher,
    came,
    await: (name, more) =>
      matcher.push({
        ...{ shape: LINE, says: new RegExp(`^${name}`), done: ({ raw }) => came.push(`${name}: ${raw.join()}`) },
        ...more,
      }),
  };
}

describe('a line that comes', () => {
  test('when nothing is due is nobody’s, but for what some daemons say of their own accord', () => {
    const { matcher } = matching();
    expect(['SUCCESS: pid=1', 'ERROR: no', 'x', ''].map((line) => matcher.take(line))).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(matcher.take('SUCCESS: Management client version set to 5')).toBe(true);
    expect(matcher.takeNotification('PKCS11ID-COUNT', '>PKCS11ID-COUNT:1')).toBe(false);
    expect(matcher.holds('a,1.2.3.4:5,1,2,now')).toBe(false);
  });

  test('to acknowledge a version is not the reply of what was asked behind it', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('pid=');
    expect(matcher.take('SUCCESS: Management client version set to 5')).toBe(true);
    expect(came).toEqual([]);
    awaited('Management client version');
    matcher.take('SUCCESS: pid=1');
    matcher.take('SUCCESS: Management client version set to 5');
    expect(came).toHaveLength(2);
  });

  test('in words of a later command belongs to the first, while that is awaited', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('pid=');
    awaited('verb=');
    matcher.take('SUCCESS: verb=3');
    matcher.take('SUCCESS: pid=1');
    expect(came).toEqual(['pid=: SUCCESS: verb=3', 'verb=: SUCCESS: pid=1']);
  });

  test('that can not begin the reply which is due is nobody’s; an error is always one', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('count', { shape: notificationShape('PKCS11ID-COUNT') });
    expect(['SUCCESS: x', 'x'].map((line) => matcher.take(line))).toEqual([false, false]);
    expect(matcher.takeNotification('HOLD', '>HOLD:x')).toBe(false);
    expect(matcher.takeNotification('PKCS11ID-COUNT', '>PKCS11ID-COUNT:1')).toBe(true);
    awaited('block', { shape: BLOCK });
    expect(matcher.take('SUCCESS: x')).toBe(false);
    for (const line of ['one', 'SUCCESS: x', 'ERROR: x', 'END']) expect(matcher.take(line)).toBe(true);
    awaited('refused', { shape: BLOCK });
    expect(matcher.take('ERROR: no')).toBe(true);
    expect(came).toEqual(['count: >PKCS11ID-COUNT:1', 'block: one,SUCCESS: x,ERROR: x,END', 'refused: ERROR: no']);
  });

  test('shows that what was given up before it never gets its reply; what waits elsewhere still does', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('pid=')();
    const giveUpAnswer = awaited('pk-sign', { claims: /^SUCCESS: pk-sign/ });
    awaited('mute=')();
    awaited('verb=');
    awaited('hold=')();
    awaited('last=');
    expect([matcher.due, matcher.size]).toEqual([6, 3]);
    giveUpAnswer();
    expect(matcher.take('SUCCESS: verb=3')).toBe(true);
    // the answer, and the two behind
    expect([matcher.due, matcher.size]).toEqual([3, 1]);
    expect(matcher.take('SUCCESS: pk-sign command succeeded')).toBe(true);
    expect(matcher.take('SUCCESS: last=1')).toBe(true);
    expect(came).toEqual(['verb=: SUCCESS: verb=3', 'last=: SUCCESS: last=1']);
    expect(matcher.due).toBe(0);
  });
});

describe('a line that looks like another', () => {
  test('begins a block, where it only has SUCCESS in its midst', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('block', { shape: BLOCK });
    expect(matcher.take('SUCCESS:x')).toBe(false);
    for (const line of ['log SUCCESS: x', 'END']) expect(matcher.take(line)).toBe(true);
    expect(came).toEqual(['block: log SUCCESS: x,END']);
  });

  test('and is no success is not the reply of one who takes any', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('pid=')();
    awaited('');
    for (const line of ['x', 'SUCCESS: done']) matcher.take(line);
    expect(came).toEqual([': SUCCESS: done']);
  });

  test('and is an error ends what a notification would', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('count', { shape: notificationShape('PKCS11ID-COUNT') });
    expect(matcher.take('ERROR: no')).toBe(true);
    expect(came).toEqual(['count: ERROR: no']);
  });

  test('is kept for what was given up, while only answers came, however many', () => {
    const { matcher, came, await: awaited } = matching();
    for (let command = 0; command < 40; command += 1) awaited('pid=')();
    awaited('pk-sign', { claims: /^SUCCESS: pk-sign/ });
    matcher.take('SUCCESS: pk-sign command succeeded');
    expect(matcher.due).toBe(40);
    awaited('verb=');
    for (let command = 0; command < 40; command += 1) matcher.take('SUCCESS: pid=1');
    expect(came).toHaveLength(1);
    matcher.take('SUCCESS: verb=3');
    expect(came).toHaveLength(2);
  });
});

describe('a block that the daemon did not want', () => {
  const claims = /^(?:SUCCESS|ERROR): certificate command |^ERROR: The certificate command is not /;

  test.each([
    ['ERROR: The client-auth command is not currently available'],
    ['ERROR: cannot parse CID'],
    ["ERROR: The 'client-auth' command requires 2 parameters"],
    ["ERROR: unknown command [client-auth], enter 'help' for more options"],
    ['ERROR: Options error: missing quotation'],
    ['ERROR: no password is currently needed at this time'],
    ["ERROR: password of type 'x' entered, but we need one of type 'y'"],
  ])('has each of its lines answered as a command: %s', (error) => {
    const { matcher, came, await: awaited } = matching();
    awaited('auth', { body: ['push one', '', '# nothing', 'iroute two', 'push one'] });
    awaited('pid=');
    matcher.take(error);
    expect(came).toEqual([`auth: ${error}`]);
    expect([matcher.due, matcher.size]).toEqual([2, 1]);
    for (const word of ['push', 'iroute', 'push', 'END']) {
      expect(matcher.take(`ERROR: unknown command [${word}], enter 'help' for more options`)).toBe(true);
      expect(came).toHaveLength(1);
    }
    matcher.take('SUCCESS: pid=1');
    expect(came).toEqual([`auth: ${error}`, 'pid=: SUCCESS: pid=1']);
    expect(matcher.due).toBe(0);
  });

  test('before 2.7 without the command’s name', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('certificate', { claims, body: ['x'] });
    awaited('pid=');
    matcher.take('ERROR: The certificate command is not currently available');
    for (let line = 0; line < 2; line += 1) matcher.take("ERROR: unknown command, enter 'help' for more options");
    matcher.take('ERROR: no');
    expect(came).toEqual(['certificate: ERROR: The certificate command is not currently available', 'pid=: ERROR: no']);
  });

  test('is over when another command is answered, and of another word it says nothing', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('auth', { body: ['push one'] });
    awaited('x');
    awaited('pid=');
    matcher.take('ERROR: cannot parse CID');
    matcher.take('ERROR: unknown command [x], enter');
    expect(came[1]).toBe('x: ERROR: unknown command [x], enter');
    matcher.take('SUCCESS: pid=1');
    expect(came).toHaveLength(3);
    expect(matcher.due).toBe(0);
  });

  test('and that was taken before it was refused gets no more answers', () => {
    const { matcher, await: awaited } = matching();
    awaited('auth', { body: ['push one'] });
    matcher.take('ERROR: client-auth command failed');
    expect(matcher.due).toBe(0);
    // nor does a command without one
    awaited('x');
    matcher.take('ERROR: unknown command [x], enter');
    expect(matcher.due).toBe(0);
  });

  test('of answers that are given up the oldest are forgotten, never one that is awaited', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('certificate', { claims });
    for (let answer = 0; answer < 40; answer += 1) awaited(`${answer}`, { claims: /^never/ })();
    expect([matcher.due, matcher.size]).toEqual([18, 1]);
    matcher.take('SUCCESS: certificate command succeeded');
    expect(came).toHaveLength(1);
  });

  test('is over with its last line, also one that was given up, or can not be read as a command', () => {
    const { matcher, came, await: awaited } = matching();
    awaited('auth', { body: ['push one', '"open'] })();
    matcher.take('ERROR: cannot parse CID');
    for (const word of ['push', 'END']) {
      expect(matcher.due).toBe(1);
      expect(matcher.take(`ERROR: unknown command [${word}], enter`)).toBe(true);
    }
    expect([matcher.due, came]).toEqual([0, []]);
  });

  test('and whose lines are never answered is forgotten, when many are', () => {
    const { matcher, await: awaited } = matching();
    for (let answer = 0; answer < 40; answer += 1) {
      awaited('certificate', { claims, body: ['x'] });
      matcher.take('ERROR: The certificate command is not currently available');
    }
    expect(matcher.due).toBeLessThan(20);
  });
});
