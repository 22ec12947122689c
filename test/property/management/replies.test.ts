import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectManagement, encodeNotification } from '../../../src/management/index.ts';
import { FakeListener, GREETING } from '../../support/fake-daemon.ts';
import { notification, runs, text } from './arbitraries.ts';

let listener: FakeListener;
beforeAll(async () => {
  listener = await FakeListener.start();
});
afterAll(() => listener.stop());

/** A line inside a block: anything that doesn't end it, isn't a notification and no reply of its own. */
const inside = text.filter((line) => line !== 'END' && !line.startsWith('>'));

/** A command, its reply's lines, and what raw() then gives. */
const exchange = fc.oneof(
  fc.constantFrom(
    { line: 'pid', reply: ['SUCCESS: pid=1'], lines: [] as string[] },
    { line: 'hold release', reply: ['SUCCESS: hold release succeeded'], lines: [] },
    { line: 'kill x', reply: ["ERROR: common name 'x' not found"], lines: [] },
  ),
  fc.array(inside, { maxLength: 6 }).map((lines) => ({
    line: 'status',
    // what begins like an error would be one
    reply: ['OpenVPN STATISTICS', ...lines, 'END'],
    lines: ['OpenVPN STATISTICS', ...lines],
  })),
  fc.array(inside, { maxLength: 6 }).map((lines) => ({
    line: 'log on all',
    reply: ['SUCCESS: real-time log notification set to ON', ...lines.map((each) => `1,I,${each}`), 'END'],
    lines: lines.map((each) => `1,I,${each}`),
  })),
);

test('notifications anywhere in replies change no reply, and replies no notification', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(exchange, { minLength: 1, maxLength: 5 }),
      fc.array(
        notification.filter(({ type }) => !type.startsWith('PKCS11ID')),
        { maxLength: 12 },
      ),
      fc.infiniteStream(fc.nat(3)) as fc.Arbitrary<Iterator<number, number>>,
      fc.integer({ min: 1, max: 200 }),
      fc.boolean(),
      async (exchanges, notifications, dice, size, signing) => {
        const connecting = connectManagement(listener.address);
        const daemon = await listener.next();
        daemon.say(GREETING);
        const client = await connecting;
        const got: string[] = [];
        const ended = new Promise<void>((resolve) => {
          client.on('*', (it, lines) => {
            if (it.type === 'UNKNOWN' && it.line === 'the end') resolve();
            else got.push(lines.join('\n'));
          });
        });
        const asked = exchanges.map(({ line }) => client.exchange(line));
        const expected = notifications.map((it) => encodeNotification(it));
        const pending = expected.flat();
        let signed: Promise<void> | undefined;
        for (const { line, reply } of exchanges) {
          await daemon.hear(`${line}\n`);
          if (signing && signed === undefined) {
            signed = client.pkSig(Buffer.alloc(20));
            await daemon.hear('END\n');
          }
          const lines: string[] = [];
          for (const each of reply) lines.push(...pending.splice(0, dice.next().value), each);
          const bytes = Buffer.from(lines.map((each) => `${each}\r\n`).join(''));
          for (let at = 0; at < bytes.length; at += size) daemon.socket.write(bytes.subarray(at, at + size));
        }
        if (signed !== undefined) pending.push('SUCCESS: pk-sign command succeeded');
        daemon.socket.write([...pending, '>the end', ''].join('\r\n'));
        const replies = await Promise.all(asked);
        await signed;
        await ended;
        await client.close();
        expect(replies.map(({ raw }) => raw)).toEqual(exchanges.map(({ reply }) => reply));
        expect(replies.map(({ lines }) => lines)).toEqual(exchanges.map(({ lines }) => lines));
        expect(got.slice(1).sort()).toEqual(expected.map((lines) => lines.join('\n')).sort());
      },
    ),
    { numRuns: Math.ceil(runs / 4) },
  );
});
