import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Coverage, type Reached } from '../support/coverage.ts';
import { PARSER_SECONDS, random, SEED } from '../support/fuzz.ts';
import { Hangs } from '../support/hangs.ts';
import { mutated } from '../support/mutated.ts';
import { BYTE_TARGETS } from './bytes.ts';
import { LOG_TARGET } from './logs.ts';
import type { Target } from './target.ts';
import { TEXT_TARGETS } from './texts.ts';

const TARGETS = [...TEXT_TARGETS, ...BYTE_TARGETS, LOG_TARGET];
const MILLISECONDS = (PARSER_SECONDS * 1000) / TARGETS.length;
/** Inputs between two looks at the coverage, which take longer than they. */
const BATCH = 512;
/** Inputs that came to code which no seed comes to, found in long runs: base64, one a line. FUZZ_KEEP=1 adds to them. */
const CORPUS = join(import.meta.dirname, 'corpus');
const isToKeep = process.env['FUZZ_KEEP'] === '1';

const corpusFile = ({ name }: Target): string => join(CORPUS, `${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.txt`);

function corpusOf(target: Target): Buffer[] {
  const file = corpusFile(target);
  const kept = existsSync(file) ? readFileSync(file, 'latin1').split('\n').filter(Boolean) : [];
  return [...target.seeds, ...kept.map((line) => Buffer.from(line, 'base64'))];
}

/** Of a corpus, those that come to code that none before them comes to, the shortest first; without the seeds. */
async function smallest(target: Target, corpus: readonly Buffer[], hangs: Hangs): Promise<Buffer[]> {
  const coverage = new Coverage(...target.places);
  const comesFurther = async (bytes: Buffer): Promise<boolean> => {
    await read(target, bytes, random(1), hangs);
    return coverage.look();
  };
  for (const seed of target.seeds) await comesFurther(seed);
  const kept: Buffer[] = [];
  for (const bytes of corpus.toSorted((one, other) => one.length - other.length))
    if (await comesFurther(bytes)) kept.push(bytes);
  return kept;
}

async function read(target: Target, bytes: Buffer, pick: (below: number) => number, hangs: Hangs): Promise<boolean> {
  try {
    hangs.begin(bytes);
    return await target.read(bytes, pick);
  } catch (error) {
    throw new Error(`${target.name}, seed ${SEED}: of ${bytes.toString('base64') || 'nothing'}`, { cause: error });
  }
}

/** The inputs of a batch by which it came to some code, each found by halves: asking what has run takes longer than they do. */
async function comingTo(
  code: Reached,
  batch: readonly Buffer[],
  missed: (code: Reached, inputs: readonly Buffer[]) => Promise<Reached>,
): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (let left = code; left.size > 0; ) {
    let rest = batch;
    while (rest.length > 1) {
      const half = rest.slice(0, rest.length / 2);
      rest = isDeepStrictEqual(await missed(left, half), left) ? rest.slice(half.length) : half;
    }
    const then = await missed(left, rest);
    // only what had come before it led there
    if (isDeepStrictEqual(then, left)) break;
    found.push(...rest);
    left = then;
  }
  return found;
}

describe(`parsers, for ${PARSER_SECONDS} s together, seed ${SEED}`, () => {
  test.for(TARGETS)('$name', { timeout: MILLISECONDS + 300_000 }, async (target) => {
    const pick = random(SEED);
    const words = target.words?.map((word) => Buffer.from(word));
    const corpus = corpusOf(target);
    const coverage = new Coverage(...target.places);
    using hangs = new Hangs(`${target.name}, seed ${SEED}`);
    for (const bytes of corpus) await read(target, bytes, pick, hangs);
    coverage.look();
    const [known, began] = [coverage.percent, corpus.length];
    expect(known).toBeGreaterThan(0);
    const missed = async (code: Reached, inputs: readonly Buffer[]): Promise<Reached> => {
      for (const bytes of inputs) await read(target, bytes, random(1), hangs);
      return coverage.missed(code);
    };
    const found: Buffer[] = [];
    let [tried, taken] = [0, 0];
    const end = Date.now() + MILLISECONDS;
    do {
      const batch = Array.from({ length: BATCH }, () => mutated(corpus, pick, words));
      for (const bytes of batch) if (await read(target, bytes, pick, hangs)) taken += 1;
      tried += batch.length;
      const fresh = coverage.fresh();
      if (fresh.size === 0) continue;
      // of all of the batch: what came next to new code is as good a start as what came there
      corpus.push(...batch.filter(() => pick(8) === 0));
      if (isToKeep) found.push(...(await comingTo(fresh, batch, missed)));
    } while (Date.now() < end);
    expect(taken).toBeGreaterThan(0);
    console.log(
      `${target.name}: ${tried} inputs, ${taken} taken; corpus ${began} + ${corpus.length - began}; ` +
        `${known.toFixed(1)} % of the code ran with these, ${coverage.percent.toFixed(1)} % in the end`,
    );
    if (!isToKeep) return;
    mkdirSync(CORPUS, { recursive: true });
    const lines = (await smallest(target, [...corpus.slice(0, began), ...found], hangs)).map(
      (bytes) => `${bytes.toString('base64')}\n`,
    );
    writeFileSync(corpusFile(target), lines.join(''));
  });
});

test('each place and each file of the corpus is of use', () => {
  const root = join(import.meta.dirname, '../..');
  const places = TARGETS.flatMap((target) => target.places);
  expect(places.filter((place) => !existsSync(join(root, place)))).toEqual([]);
  const files = TARGETS.map((target) => basename(corpusFile(target)));
  expect(readdirSync(CORPUS).filter((name) => !files.includes(name))).toEqual([]);
});
