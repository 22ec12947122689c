import { expect, test } from 'vitest';
import { Unfit } from '../../src/signing/tls/reader.ts';
import { readTranscript } from '../../src/signing/tls/transcript.ts';
import { Coverage } from '../support/coverage.ts';
import { joinMessages, layoutOf, splitMessages, u16 } from '../support/handshake-layout.ts';
import { HANDSHAKES, TRANSCRIPTS, type Handshake } from '../support/handshakes.ts';
import { random, SECONDS, SEED } from '../support/fuzz.ts';

/** Messages between two looks at the coverage, which take longer than they. */
const BATCH = 64;
const LONGEST = 64 * 1024;

/** One of the corpus, with one to four changes. */
function mutated(corpus: readonly Buffer[], pick: (below: number) => number): Buffer {
  let message = Buffer.from(corpus[pick(corpus.length)] ?? '');
  for (let left = 1 + pick(4); left > 0; left--) {
    const at = pick(message.length + 1);
    const other = corpus[pick(corpus.length)] ?? Buffer.alloc(0);
    const length = 1 + pick(1 << pick(10));
    const end = Math.min(at + length, message.length);
    switch (pick(7)) {
      case 0: // another byte
        if (at < message.length) message[at] = pick(256);
        break;
      case 1: // a number that is close, as a length is when it is wrong
        if (at < message.length) message[at] = (message[at] ?? 0) + (pick(2) === 0 ? 1 : -1) * (1 + pick(2));
        break;
      case 2: // cut
        message = message.subarray(0, at);
        break;
      case 3: // something taken out
        message = Buffer.concat([message.subarray(0, at), message.subarray(end)]);
        break;
      case 4: // something doubled
        message = Buffer.concat([message.subarray(0, end), message.subarray(at)]);
        break;
      case 5: // a piece of another one put in
        message = Buffer.concat([message.subarray(0, at), other.subarray(at, at + length), message.subarray(at)]);
        break;
      default: // goes on as another one
        message = Buffer.concat([message.subarray(0, at), other.subarray(Math.min(at, other.length))]);
    }
  }
  return message.subarray(0, LONGEST);
}

/** Reads it: what is no transcript is Unfit, and what is one has no byte too many. */
function read(message: Buffer): boolean {
  try {
    readTranscript(message);
  } catch (error) {
    if (error instanceof Unfit) return false;
    throw error;
  }
  // by other code: each byte has its place
  const end = layoutOf(message).at(-1)?.end;
  expect(end).toBe(message.length);
  return true;
}

test(`transcripts that are broken, for ${SECONDS} s, seed ${SEED}`, {
  timeout: SECONDS * 1000 + 300_000,
}, () => {
  const pick = random(SEED);
  const corpus = HANDSHAKES.map(({ message }) => message);
  const coverage = new Coverage('/signing/tls/');
  for (const message of corpus) read(message);
  coverage.hasNew();
  const [known, began] = [coverage.size, corpus.length];
  let tried = 0;
  let taken = 0;
  const end = Date.now() + SECONDS * 1000;
  while (Date.now() < end) {
    const batch = Array.from({ length: BATCH }, () => mutated(corpus, pick));
    for (const message of batch) if (read(message)) taken += 1;
    tried += batch.length;
    if (!coverage.hasNew()) continue;
    // all of the batch: what came next to new code is as good a start as what came there
    corpus.push(...batch.filter(() => pick(8) === 0));
  }
  coverage.stop();
  console.log(
    `${tried} messages, ${taken} of them transcripts; corpus ${began} + ${corpus.length - began}; ` +
      `blocks of code ${known} + ${coverage.size - known}`,
  );
  expect(tried).toBeGreaterThan(0);
});

/** A handshake whose hello has so many extensions of four bytes, all that fit. */
function withExtensions({ message }: Handshake, count: number): Buffer {
  const [hello, ...rest] = splitMessages(message);
  if (!hello) throw new Error('no messages');
  const suites = 35 + hello.body.readUInt8(34);
  const list = suites + 2 + hello.body.readUInt16BE(suites) + 2;
  const more = Array.from({ length: count }, (_, type) => Buffer.concat([u16(0x8000 + type), u16(0)]));
  const extensions = Buffer.concat([hello.body.subarray(list + 2), ...more]);
  const body = Buffer.concat([hello.body.subarray(0, list), u16(extensions.length), extensions]);
  return Buffer.concat([Buffer.of(1, body.length >> 16), u16(body.length & 0xffff), body, joinMessages(rest)]);
}

test('one with as many extensions as fit is read like any other', () => {
  for (const handshake of TRANSCRIPTS) expect(read(withExtensions(handshake, 16_000))).toBe(true);
});
