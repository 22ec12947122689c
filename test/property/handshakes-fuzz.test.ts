import { expect, test } from 'vitest';
import { Unfit } from '../../src/signing/tls/reader.ts';
import { readTranscript } from '../../src/signing/tls/transcript.ts';
import { Coverage } from '../support/coverage.ts';
import { layoutOf } from '../support/handshake-layout.ts';
import { HANDSHAKES } from '../support/handshakes.ts';
import { HANDSHAKE_SECONDS as SECONDS, random, SEED } from '../support/fuzz.ts';
import { Hangs } from '../support/hangs.ts';
import { mutated } from '../support/mutated.ts';

/** Messages between two looks at the coverage, which take longer than they. */
const BATCH = 64;
/**
 * Blocks of code that reading takes at most: some for each message and each of its bytes. Lists of the smallest entries that there
 * can be take three a byte; what is read again and again would take thousands.
 */
const STEPS_A_MESSAGE = 1000;
const STEPS_A_BYTE = 8;

/** Reads it: what is no transcript is Unfit, and what is one has no byte too many. */
function read(message: Buffer, hangs: Hangs): boolean {
  try {
    hangs.begin(message);
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
  using hangs = new Hangs(`transcripts, seed ${SEED}`);
  for (const message of corpus) read(message, hangs);
  coverage.look();
  const [known, began] = [coverage.percent, corpus.length];
  let tried = 0;
  let taken = 0;
  let mostSteps = 0;
  const end = Date.now() + SECONDS * 1000;
  do {
    const batch = Array.from({ length: BATCH }, () => mutated(corpus, pick));
    for (const message of batch) if (read(message, hangs)) taken += 1;
    tried += batch.length;
    const hasNew = coverage.look();
    const bytes = batch.reduce((sum, { length }) => sum + length, 0);
    expect(coverage.steps).toBeLessThan(STEPS_A_MESSAGE * batch.length + STEPS_A_BYTE * bytes);
    mostSteps = Math.max(mostSteps, coverage.steps / bytes);
    if (!hasNew) continue;
    // all of the batch: what came next to new code is as good a start as what came there
    corpus.push(...batch.filter(() => pick(8) === 0));
  } while (Date.now() < end);
  console.log(
    `${tried} messages, ${taken} of them transcripts; corpus ${began} + ${corpus.length - began}; ` +
      `${known.toFixed(1)} % of the code ran with the seeds, ${coverage.percent.toFixed(1)} % in the end; ` +
      `at most ${mostSteps.toFixed(2)} blocks of it for a byte`,
  );
  expect(taken).toBeGreaterThan(0);
});
