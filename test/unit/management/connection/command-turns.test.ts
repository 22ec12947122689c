import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { LINE } from '../../../../src/management/commands/shape.ts';
import { replyShape } from '../../../../src/management/commands/table.ts';
import {
  type CommandOptions,
  CommandQueue,
  type OutgoingCommand,
} from '../../../../src/management/connection/command-queue.ts';
import { coded, soon } from '../pair.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('a secret is zeroed', () => {
  const { shape, says } = { shape: replyShape('password', 0), says: /^/ };
  const password = (): OutgoingCommand => ({
    ...{ name: 'password', bytes: Buffer.from('password x "1234"\n'), secret: true, shape, says },
  });
  const isZeroed = ({ bytes }: OutgoingCommand): boolean => bytes.every((byte) => byte === 0);
  /** Keeps what is written for itself. */
  const queueOf = (): { queue: CommandQueue; written: (() => void)[] } => {
    const written: (() => void)[] = [];
    const queue = new CommandQueue(
      (_, done) => done && written.push(done),
      () => undefined,
      0,
    );
    return { queue, written };
  };
  const closed = new AgentError('ERR_MANAGEMENT_CLOSED', 'closed');

  test('once it is written, and not before', async () => {
    const { queue, written } = queueOf();
    const command = password();
    const submitted = queue.submit(command).catch((error: unknown) => error);
    queue.close(closed);
    expect(await soon(submitted)).toBe(closed);
    expect(isZeroed(command)).toBe(false);
    for (const done of written) done();
    expect(isZeroed(command)).toBe(true);
  });

  test('once it is written, also if it was given up while it was not', async () => {
    const { queue, written } = queueOf();
    const giving = new AbortController();
    const command = password();
    const submitted = queue.submit(command, { signal: giving.signal }).catch((error: unknown) => error);
    giving.abort();
    expect(await soon(submitted)).toEqual(coded('ERR_ABORTED'));
    // the socket may have yet to read it
    expect(isZeroed(command)).toBe(false);
    for (const done of written) done();
    expect(isZeroed(command)).toBe(true);
  });

  test('that was never sent: at the end, and when it is given up', async () => {
    const { queue } = queueOf();
    const giving = new AbortController();
    const [first, queued, givenUp, aborted, late] = [password(), password(), password(), password(), password()];
    const all = [queue.submit(first), queue.submit(queued), queue.submit(givenUp, { signal: giving.signal })];
    giving.abort();
    expect([queued, givenUp].map(isZeroed)).toEqual([false, true]);
    all.push(queue.submit(aborted, { signal: giving.signal }));
    queue.close(closed);
    all.push(queue.submit(late));
    const codes = all.map((each) => soon(each.catch((error: unknown) => (error as AgentError).code)));
    expect(await Promise.all(codes)).toEqual([
      ...['ERR_MANAGEMENT_CLOSED', 'ERR_MANAGEMENT_CLOSED', 'ERR_ABORTED', 'ERR_ABORTED', 'ERR_MANAGEMENT_CLOSED'],
    ]);
    expect([queued, aborted, late].map(isZeroed)).toEqual([true, true, true]);
  });
});

describe('in its turn', () => {
  /** A queue whose commands are written nowhere, and how often it told of a change. */
  function queueing(timeout = 0): {
    queue: CommandQueue;
    sent: string[];
    told: { changed: number };
    ask: (line: string, more?: Partial<OutgoingCommand>, options?: CommandOptions) => Promise<unknown>;
  } {
    const sent: string[] = [];
    const told = { changed: 0 };
    const queue = new CommandQueue(
      (bytes) => sent.push(String(bytes).trim()),
      () => (told.changed += 1),
      timeout,
    );
    return {
      ...{ queue, sent, told },
      ask: (line, more, options) =>
        queue
          .submit({ name: line, bytes: Buffer.from(`${line}\n`), shape: LINE, says: /^/, ...more }, options)
          .then(({ text }) => text)
          .catch((error: unknown) => error),
    };
  }
  const ANSWER = { claims: /^SUCCESS: signed/, body: [] };

  test('a command waits as long as it was told, and leaves no timer behind', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { queue, ask } = queueing(0);
    const [one, two] = [ask('one'), ask('two', {}, { timeout: 1_000 })];
    expect(vi.getTimerCount()).toBe(1);
    queue.replies.take('SUCCESS: 1');
    queue.replies.take('SUCCESS: 2');
    expect([await soon(one), await soon(two), vi.getTimerCount()]).toEqual(['1', '2', 0]);
    const late = ask('late', {}, { timeout: 1_000 });
    vi.advanceTimersByTime(999);
    expect(queue.size).toBe(1);
    vi.advanceTimersByTime(1);
    expect(await soon(late)).toEqual(coded('ERR_MANAGEMENT_TIMEOUT', 'the late command within 1000 ms'));
  });

  test('none is sent before the reply to the one before, though an answer that went ahead is acknowledged', async () => {
    const { queue, sent, ask } = queueing();
    const [one, two, signed] = [ask('one'), ask('two'), ask('pk-sig', ANSWER)];
    expect([sent, queue.size]).toEqual([['one', 'pk-sig'], 3]);
    queue.replies.take('SUCCESS: signed');
    expect(await soon(signed)).toBe('signed');
    expect([sent, queue.size]).toEqual([['one', 'pk-sig'], 2]);
    queue.replies.take('SUCCESS: 1');
    expect([await soon(one), sent, queue.size]).toEqual(['1', ['one', 'pk-sig', 'two'], 1]);
    queue.replies.take('SUCCESS: 2');
    expect([await soon(two), queue.size]).toEqual(['2', 0]);
  });

  test('an answer waits for the reply to a line that leaves no room behind it, and for no other', async () => {
    const longest = 'x'.repeat(768);
    for (const [line, more, isFirst] of [
      [longest, {}, true],
      [`${longest}x`, {}, false],
      // a block's lines are read one by one
      [`${longest}x`, { body: ['x'] }, true],
    ] as const) {
      const { queue, sent, ask } = queueing();
      const [one, signed] = [ask(line, more), ask('pk-sig', ANSWER)];
      expect(sent).toEqual(isFirst ? [line, 'pk-sig'] : [line]);
      queue.replies.take('SUCCESS: 1');
      expect(await soon(one)).toBe('1');
      expect(sent).toEqual([line, 'pk-sig']);
      queue.replies.take('SUCCESS: signed');
      expect(await soon(signed)).toBe('signed');
    }
  });

  test('what has no reply is done when it is sent, and the next one goes', async () => {
    const { queue, sent, ask } = queueing();
    const none = { shape: { parts: [] } };
    expect([await soon(ask('one', none)), await soon(ask('two', none)), queue.size]).toEqual([undefined, undefined, 0]);
    const [three, four, five] = [ask('three'), ask('four', none), ask('five')];
    queue.replies.take('SUCCESS: 3');
    expect([await soon(three), await soon(four), sent.slice(2), queue.size]).toEqual([
      ...['3', undefined, ['three', 'four', 'five'], 1],
    ]);
    queue.replies.take('SUCCESS: 5');
    expect(await soon(five)).toBe('5');
  });

  test('whoever regulates the connection is told of what is asked, answered and given up', async () => {
    const { queue, told, ask } = queueing();
    const giving = new AbortController();
    const one = ask('one');
    expect(told.changed).toBe(1);
    queue.replies.take('SUCCESS: 1');
    expect(told.changed).toBe(2);
    const two = ask('two', {}, { signal: giving.signal });
    giving.abort();
    expect([await soon(one), await soon(two)]).toEqual(['1', coded('ERR_ABORTED')]);
    expect([told.changed, queue.size, queue.replies.due]).toEqual([4, 0, 1]);
  });

  test('what is given up is not sent, and the next one is', async () => {
    const { sent, ask, queue } = queueing();
    const giving = new AbortController();
    const one = ask('one', {}, { signal: giving.signal });
    const two = ask('two', {}, { signal: giving.signal });
    const three = ask('three');
    giving.abort();
    expect([await soon(one), await soon(two)]).toEqual([coded('ERR_ABORTED', 'one'), coded('ERR_ABORTED', 'two')]);
    expect(sent).toEqual(['one', 'three']);
    for (const reply of ['SUCCESS: 1', 'SUCCESS: 3']) queue.replies.take(reply);
    expect(await soon(three)).toBe('3');
    expect(await soon(ask('late', {}, { signal: giving.signal }))).toEqual(coded('ERR_ABORTED', 'late'));
  });

  test('whoever gives up is told why, and his signal is left alone once there is a reply', async () => {
    const { queue, ask } = queueing();
    const giving = new AbortController();
    const [one, two] = [ask('one', {}, { signal: giving.signal }), ask('two', {}, { signal: giving.signal })];
    queue.replies.take('SUCCESS: 1');
    expect([await soon(one), getEventListeners(giving.signal, 'abort').length]).toEqual(['1', 1]);
    const reason = new Error('enough');
    giving.abort(reason);
    expect(await soon(two)).toMatchObject({ code: 'ERR_ABORTED', cause: reason });
  });

  test('of a command that has no reply, no bytes are passed on', async () => {
    const { ask } = queueing();
    const came: unknown[] = [];
    const onReply: CommandOptions['onReply'] = ({ raw }, bytes) => came.push(raw, bytes);
    expect(await soon(ask('one', { shape: { parts: [] } }, { onReply }))).toBeUndefined();
    expect(came).toEqual([[], []]);
  });

  test('at the end all fails, but for what closes the connection, and was sent', async () => {
    const over = new AgentError('ERR_MANAGEMENT_CLOSED', 'closed');
    const exit = { shape: { parts: [], closes: true } } as const;
    const { queue, sent, ask } = queueing();
    const [one, two] = [ask('exit', exit), ask('exit', exit)];
    expect([sent, queue.size]).toEqual([['exit'], 2]);
    queue.close(over);
    expect([await soon(one), await soon(two), queue.size]).toEqual([undefined, over, 0]);
    expect([await soon(ask('late')), sent]).toEqual([over, ['exit']]);
  });
});
