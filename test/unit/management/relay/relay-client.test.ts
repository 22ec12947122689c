// One client of the relay, whose socket leads nowhere.
import { describe, expect, test } from 'vitest';
import { clientOf, turn } from './lone-client.ts';

/** Whether it has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  await turn();
  return settled;
}

describe('what waits for its turn', () => {
  test.each([
    ['empty lines too', 1_024, '\n', 513],
    ['by their length', 128, `${'x'.repeat(448)}\n`, 65],
  ])('holds up the client beyond so much, until half of it is done: %s', async (_, most, line, done) => {
    const { client, socket, say } = clientOf();
    say(line.repeat(most));
    expect(socket.isPaused()).toBe(false);
    say(line);
    expect(socket.isPaused()).toBe(true);
    for (let count = 0; count < done; count += 1) expect((await client.next())?.text).toBe(line.trim());
    expect(socket.isPaused()).toBe(true);
    await client.next();
    expect(socket.isPaused()).toBe(false);
  });

  test('is none of what somebody waits for', async () => {
    const { client, socket, say } = clientOf();
    const first = client.next();
    say('\n'.repeat(1_025));
    expect(await first).toEqual({ text: '', tooLong: false });
    expect(socket.isPaused()).toBe(false);
  });

  test('is done in order, also behind the end of its connection', async () => {
    const { client, socket, say } = clientOf();
    const first = client.next();
    say('one\ntwo\nthree\n');
    socket.destroy();
    await client.closed;
    expect([(await first)?.text, (await client.next())?.text, (await client.next())?.text]).toEqual([
      ...['one', 'two', 'three'],
    ]);
    expect([await client.next(), await client.next()]).toEqual([undefined, undefined]);
  });
});

describe('a client has left', () => {
  test('when it has ended its side, and said nothing that is still to be done', async () => {
    const { client, socket } = clientOf();
    const [left, next] = [client.left(), client.next()];
    expect([client.inputEnded, client.hasLeft, client.gone, await isSettled(left)]).toEqual([
      ...[false, false, false, false],
    ]);
    socket.emit('end');
    await left;
    expect([await next, client.inputEnded, client.hasLeft, client.gone]).toEqual([undefined, true, true, false]);
    await client.left();
  });

  test('not while something is still to be done, unless its connection is closed', async () => {
    const { client, socket, say } = clientOf();
    const left = client.left();
    say('one\n');
    socket.emit('end');
    expect([client.inputEnded, client.hasLeft, await isSettled(left)]).toEqual([true, false, false]);
    socket.destroy();
    expect([client.gone, client.hasLeft]).toEqual([true, true]);
    await left;
    await client.left();
  });

  test('when the last of what it said is taken', async () => {
    const { client, socket, say } = clientOf();
    say('one\n');
    socket.emit('end');
    await client.next();
    expect([client.hasLeft, client.gone]).toEqual([true, false]);
  });

  test('whatever broke its connection', async () => {
    const { client, socket } = clientOf();
    socket.destroy(new Error('ECONNRESET'));
    await client.closed;
    expect(client.hasLeft).toBe(true);
  });
});

describe('what is told unasked', () => {
  test('may wait up to so many bytes, and ends the connection beyond them', () => {
    const { client, dropped, told } = clientOf();
    client.notify('\xff'.repeat(100));
    expect([client.gone, told]).toEqual([false, ['\xff'.repeat(100)]]);
    client.notify('x');
    expect([client.gone, dropped]).toEqual([true, ['#1: 101 bytes wait for it']]);
    client.notify('x');
    expect(dropped).toHaveLength(1);
  });

  test('waits apart from replies, which the client asked for', () => {
    const { client, dropped, take } = clientOf();
    client.reply(['x'.repeat(1_000)]);
    client.notify('x'.repeat(100));
    expect(client.gone).toBe(false);
    take();
    client.reply(['x'.repeat(1_000)]);
    expect(client.gone).toBe(false);
    client.notify('x');
    expect([client.gone, dropped]).toEqual([true, ['#1: 101 bytes wait for it']]);
  });

  test('is nothing behind the end', async () => {
    const { client, told, take } = clientOf();
    client.notify('one');
    client.close();
    client.notify('two');
    client.reply(['three']);
    await turn();
    // what was written before is still to go out
    expect(client.gone).toBe(false);
    take();
    await client.closed;
    client.notify('two');
    client.reply(['three']);
    expect(told).toEqual(['one']);
  });
});

describe('a reply', () => {
  test('goes out in one piece, in the bytes that it came in, and none without a line', () => {
    const { client, clock, told } = clientOf();
    client.reply([]);
    expect([told, clock.waiting]).toEqual([[], 0]);
    client.reply(['a\xff', 'END']);
    expect(told).toEqual(['a\xff\r\nEND\r\n']);
  });

  test('is waited for until all of it is taken', async () => {
    const { client, clock, take } = clientOf();
    await client.flushed();
    client.reply(['one']);
    client.reply(['two']);
    const flushed = client.flushed();
    take();
    expect([await isSettled(flushed), clock.waiting]).toEqual([false, 1]);
    take();
    await flushed;
    expect(clock.waiting).toBe(0);
    await client.flushed();
  });

  test('is waited for no longer than the client is there', async () => {
    const { client, clock, socket } = clientOf();
    client.reply(['one']);
    const flushed = client.flushed();
    expect(await isSettled(flushed)).toBe(false);
    socket.destroy();
    await client.flushed();
    await flushed;
    expect(clock.waiting).toBe(0);
  });

  test('of which nothing is taken in a minute ends the connection, once', () => {
    const { client, clock, dropped } = clientOf();
    client.reply(['one']);
    clock.pass(59.999);
    expect(client.gone).toBe(false);
    clock.pass(0.001);
    expect([client.gone, client.wasDiscarded, dropped]).toEqual([true, true, ['#1: it takes nothing of a reply']]);
  });

  test('of which something is taken each minute may take as long as it likes', () => {
    const { client, clock, dropped, socket } = clientOf();
    const shown = (written: number, queued: number | undefined): void => {
      Object.defineProperty(socket, 'bytesWritten', { value: written, configurable: true });
      Object.defineProperty(socket, '_handle', {
        value: queued === undefined ? null : { writeQueueSize: queued },
        configurable: true,
      });
    };
    shown(1_000, 500);
    client.reply(['x'.repeat(1_000)]);
    for (const [written, queued] of [
      ...[[2_000, 500] as const, [2_000, 400] as const, [3_000, 400] as const, [3_000, undefined] as const],
    ]) {
      shown(written, queued);
      clock.pass(60);
      expect(client.gone).toBe(false);
    }
    // and what is written besides is nothing that was taken
    client.notify('x');
    shown(3_001, undefined);
    clock.pass(60);
    shown(1_000, 500);
    expect([client.gone, dropped]).toEqual([true, ['#1: it takes nothing of a reply']]);
  });

  test('begins the minute anew', () => {
    const { client, clock } = clientOf();
    client.reply(['one']);
    clock.pass(59);
    client.reply(['two']);
    clock.pass(59);
    expect([client.gone, clock.waiting]).toEqual([false, 1]);
  });
});

describe('the end', () => {
  test('lets go out what was written, and nothing more is carried out', async () => {
    const { client, socket, say, take, told } = clientOf();
    say('one\n');
    client.reply(['done']);
    client.close();
    expect([client.wasDiscarded, client.gone, client.hasLeft]).toEqual([true, false, true]);
    say('two\n');
    expect(await client.next()).toBeUndefined();
    expect(socket.destroyed).toBe(false);
    take();
    await client.closed;
    expect([told, client.gone]).toEqual([['done\r\n'], true]);
  });

  test('at once leaves nothing of it', async () => {
    const { client, say } = clientOf();
    const left = client.left();
    say('one\n');
    client.reply(['done']);
    expect(client.wasDiscarded).toBe(false);
    client.destroy();
    expect([client.wasDiscarded, client.gone]).toEqual([true, true]);
    await left;
    say('two\n');
    expect(await client.next()).toBeUndefined();
    await client.closed;
  });
});
