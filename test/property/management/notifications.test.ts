import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type DecodedLine,
  encodeDynamicChallenge,
  encodeInfoMessage,
  encodeNotification,
  LineDecoder,
  type Notification,
  NotificationAssembler,
  parseDynamicChallenge,
  parseInfoMessage,
  parseLine,
  parseNotification,
  quoteParameter,
} from '../../../src/management/index.ts';
import { notification, runs, text } from './arbitraries.ts';

const numRuns = runs;

test('parse(encode(x)) is x, for every notification', () => {
  fc.assert(
    fc.property(notification, (it) => {
      expect(parseNotification(encodeNotification(it))).toEqual(it);
    }),
    { numRuns: numRuns * 5 },
  );
});

test('whatever a line says, it is read without an error and nothing of it is lost', () => {
  fc.assert(
    fc.property(fc.string(), text, (one, two) => {
      for (const line of [
        one,
        `>${two}`,
        `>CLIENT:${one}`,
        `>PASSWORD:${two}`,
        `>STATE:${two}`,
        `>INFOMSG:WEB_AUTH:${one}`,
      ]) {
        const it = parseNotification([line]);
        if (it.type === 'UNKNOWN') expect(`>${it.line}`).toBe(line);
        if (it.type === 'STRAY') expect(it.line).toBe(line);
      }
      expect(encodeInfoMessage(parseInfoMessage(`X${one}`))).toBe(`X${one}`);
    }),
    { numRuns },
  );
});

test('a dynamic challenge comes back as it was', () => {
  const word = fc.string({ unit: fc.constantFrom(...Array.from('abc019=+/')) });
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), word, text, text, (echo, responseRequired, stateId, username, question) => {
      const challenge = { echo, responseRequired, stateId, username, text: question };
      expect(parseDynamicChallenge(encodeDynamicChallenge(challenge))).toEqual(challenge);
    }),
    { numRuns },
  );
});

test('the daemon reads back every word that was quoted', () => {
  const word = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((each) => !/[\u0000-\u001f\u007f]/.test(each));
  fc.assert(
    fc.property(fc.array(fc.oneof(word, text), { maxLength: 15 }), (words) => {
      expect(parseLine(words.map((each) => quoteParameter(each)).join(' '))).toEqual(words);
    }),
    { numRuns },
  );
});

/** Bytes of a stream, cut anywhere. */
const stream = fc.tuple(
  fc.array(
    fc.oneof(
      notification.map((it) =>
        encodeNotification(it)
          .map((line) => `${line}\r\n`)
          .join(''),
      ),
      text.map((line) => `${line}\n`),
      fc.constantFrom('ENTER PASSWORD:', '\r\n', 'END\r\n', '\r', '>PK_SIGN:'.padEnd(150, 'A'), '>LOG:1,I,x\r\n'),
    ),
    { maxLength: 20 },
  ),
  fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
);

function decode(bytes: Buffer, sizes: readonly number[], cutAt: number): DecodedLine[] {
  const decoder = new LineDecoder({ cutAt });
  const lines: DecodedLine[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    // the chunk's memory is the socket's: it is used again
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    decoder.push(chunk, (line) => lines.push(line));
    chunk.fill(0x21);
    at += size;
  }
  const rest = decoder.end();
  return rest === undefined ? lines : [...lines, { kind: 'truncated', text: rest }];
}

test('any chunking gives the same lines, cut ones among them, and the same notifications', () => {
  fc.assert(
    fc.property(stream, fc.constantFrom(100, 10_239), ([parts, sizes], cutAt) => {
      const bytes = Buffer.from(parts.join(''));
      const whole = decode(bytes, [bytes.length || 1], cutAt);
      expect(decode(bytes, sizes, cutAt)).toEqual(whole);
      expect(decode(bytes, [1], cutAt)).toEqual(whole);
      expect(assemble(decode(bytes, sizes, cutAt))).toEqual(assemble(whole));
    }),
    { numRuns },
  );
});

function assemble(lines: readonly DecodedLine[]): Notification[] {
  const assembler = new NotificationAssembler();
  const found: Notification[] = [];
  const sink = (assembled: { notification: Notification }): void => {
    found.push(assembled.notification);
  };
  for (const line of lines) if (line.kind !== 'prompt') assembler.push(line.text, line.kind === 'truncated', sink);
  assembler.end(sink);
  return found;
}
