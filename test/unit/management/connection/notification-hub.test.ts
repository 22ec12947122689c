import { describe, expect, test } from 'vitest';
import type { Notification } from '../../../../src/management/index.ts';
import { GREETING } from '../../../support/fake-daemon.ts';
import { coded, setUp } from '../pair.ts';

const { pair } = setUp();

describe('notifications', () => {
  test('what came before anybody listened is kept, for all who start together', async () => {
    const { client, daemon } = await pair({}, `${GREETING}>HOLD:Waiting for hold release:0\r\n>PK_SIGN:AAAA,ECDSA\r\n`);
    daemon.say('>STATE:1,CONNECTING,,,,,,\r\n');
    const held: unknown[] = [];
    const all: unknown[] = [];
    client.on('HOLD', (notification) => held.push(notification.waitSeconds));
    client.on('*', (notification, lines) => all.push([notification.type, ...lines]));
    const stream = client.notifications();
    const types = [];
    for (let index = 0; index < 4; index += 1) types.push(((await stream.next()).value as Notification).type);
    expect(types).toEqual(['INFO', 'HOLD', 'PK_SIGN', 'STATE']);
    expect(held).toEqual([0]);
    expect(all).toContainEqual(['PK_SIGN', '>PK_SIGN:AAAA,ECDSA']);
  });

  test('iterating ends when the daemon closes, after what came before', async () => {
    const { client, daemon } = await pair();
    daemon.say('>FATAL:bye\r\n>LOG:1,I,unfini');
    daemon.socket.end();
    await client.closed;
    const types: string[] = [];
    for await (const { type } of client) types.push(type);
    expect(types).toEqual(['INFO', 'FATAL', 'TRUNCATED']);
    expect((await client.closed).by).toBe('daemon');
  });

  test('a slow reader holds the daemon back, but not the reply that it awaits', async () => {
    const { client, daemon } = await pair({ highWaterMark: 10 });
    const stream = client.notifications();
    for (let index = 0; index < 200; index += 1) daemon.say(`>BYTECOUNT:${index},0\r\n`);
    const asked = client.raw('pid');
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=7\r\n');
    expect((await asked).text).toBe('pid=7');
    const seen: number[] = [];
    for await (const notification of stream) {
      if (notification.type === 'BYTECOUNT') seen.push(notification.bytesIn);
      if (seen.length === 200) break;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index));
  });

  test('taken one after the other, from what was kept to the last; what fails concerns no other', async () => {
    const { client, daemon } = await pair({}, `${GREETING}>HOLD:Waiting for hold release:0\r\n`);
    const taken: string[] = [];
    let underWay = 0;
    const taker = client.takeEach(async ({ type }) => {
      underWay += 1;
      await new Promise((resolve) => setImmediate(resolve));
      taken.push(`${type} ${underWay}`);
      underWay -= 1;
      if (type === 'HOLD') throw new Error('this one can not be taken');
    });
    for (let index = 0; index < 100; index += 1) daemon.say('>BYTECOUNT:1,2\r\n');
    daemon.say('>FATAL:bye\r\n');
    daemon.socket.end();
    await taker.over();
    expect(taken).toEqual(['INFO 1', 'HOLD 1', ...Array.from({ length: 100 }, () => 'BYTECOUNT 1'), 'FATAL 1']);
    expect([taker.size, taker.held]).toEqual([0, 0]);
    // and to who comes when all is over
    await client.takeEach(() => Promise.resolve()).over();
  });

  test('next: the next of a type, given up by signal or with the connection', async () => {
    const { client, daemon } = await pair();
    const next = client.next('HOLD');
    daemon.say('>HOLD:Waiting for hold release:3\r\n');
    expect((await next).waitSeconds).toBe(3);
    await expect(client.next('HOLD', { signal: AbortSignal.abort() })).rejects.toEqual(coded('ERR_ABORTED'));
    await expect(client.next('HOLD', { timeout: 1 })).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
    const never = client.next('HOLD');
    daemon.socket.end();
    await expect(never).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    await expect(client.next('HOLD')).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('a request that the daemon cut is noticed at once and answered with an empty block', async () => {
    const { client, daemon } = await pair();
    const cut = client.next('TRUNCATED');
    daemon.say('>PK_SIGN:'.padEnd(10_239, 'A'));
    expect((await cut).of).toBe('PK_SIGN');
    const answered = client.pkSig(null);
    await daemon.hear('pk-sig\nEND\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await answered;
  });

  test('a listener that throws is not the connection’s end', async () => {
    const { client, daemon } = await pair();
    const others = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    const held = client.next('HOLD');
    client.on('HOLD', () => {
      throw new Error('the listener’s own');
    });
    daemon.say('>HOLD:x\r\n');
    await held;
    expect(await thrown).toMatchObject({ message: 'the listener’s own' });
    for (const other of others) process.on('uncaughtException', other as () => void);
  });
});
