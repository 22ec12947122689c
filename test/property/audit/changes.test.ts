import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseLine } from '../../../src/audit/line.ts';
import { verdictOf, WrittenLog } from '../../unit/audit/written-log.ts';

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 500);

/** Two files, with all that an agent writes. */
const log = new WrittenLog().start().signed().signed('home').checkpoint('interval').signed().checkpoint('rotate');
const first = Buffer.from(log.text);
log.continue(2).signed().checkpoint('interval');
log.add({ type: 'lost', entries: 2, signatures: 0, code: 'ENOSPC', since: '2026-01-01T00:00:00.000Z' });
log.signed('home').checkpoint('end');
const second = Buffer.from(log.text).subarray(first.length);
const FILES = [first, second] as const;

function faultsOf(files: readonly Buffer[], size: number): number {
  const keys = [log.pair.publicKey];
  return verdictOf(files, { keys, heads: [log.head] }, size).faults.length;
}

const linesOf = (file: Buffer): string[] => file.toString().split('\n').slice(0, -1);
const joined = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''));

interface Change {
  readonly what: string;
  readonly file: 0 | 1;
  readonly bytes: Buffer;
}

const ofLines = (
  what: string,
  change: (lines: string[], one: number, other: number) => string[],
): fc.Arbitrary<Change> =>
  fc.tuple(fc.constantFrom(0 as const, 1 as const), fc.nat(), fc.nat()).map(([file, one, other]) => {
    const lines = linesOf(FILES[file]);
    const changed = change(lines, one % lines.length, other % lines.length);
    return { what: `${what} ${one % lines.length}, ${other % lines.length}`, file, bytes: joined(changed) };
  });

const ofBytes = (what: string, change: (bytes: Buffer, at: number, byte: number) => Buffer): fc.Arbitrary<Change> =>
  fc
    .tuple(fc.constantFrom(0 as const, 1 as const), fc.nat(), fc.integer({ min: 1, max: 255 }))
    .map(([file, given, byte]) => {
      const at = given % FILES[file].length;
      return { what: `${what} at ${at}`, file, bytes: change(FILES[file], at, byte) };
    });

const CHANGES: readonly fc.Arbitrary<Change>[] = [
  ofLines('drop line', (lines, one) => lines.toSpliced(one, 1)),
  ofLines('double line', (lines, one, other) => lines.toSpliced(other, 0, lines[one] ?? '')),
  ofLines('swap lines', (lines, one, other) => lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '')),
  ofLines('insert a line', (lines, one) => lines.toSpliced(one, 0, '{"v":1}')),
  ofLines('replace a line', (lines, one, other) => lines.with(one, lines[other] ?? '')),
  ofLines('cut lines', (lines, one) => lines.slice(0, one)),
  ofLines('cut lines at the beginning', (lines, one) => lines.slice(one)),
  ofBytes('change a byte', (bytes, at, byte) => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ byte;
    return changed;
  }),
  ofBytes('drop a byte', (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])),
  ofBytes('insert a byte', (bytes, at, byte) =>
    Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at)]),
  ),
  ofBytes('cut off', (bytes, at) => bytes.subarray(0, at)),
  ofBytes('cut off at the beginning', (bytes, at) => bytes.subarray(at)),
];

describe('an audit log', () => {
  test('has no fault as it was written, however it is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), (size) => faultsOf(FILES, size) === 0),
      { numRuns: 50, seed: 1 },
    );
  });

  test('shows any single change', () => {
    const property = fc.property(fc.oneof(...CHANGES), fc.integer({ min: 1, max: 5_000 }), ({ file, bytes }, size) => {
      fc.pre(!bytes.equals(FILES[file]));
      return faultsOf(file === 0 ? [bytes, second] : [first, bytes], size) > 0;
    });
    fc.assert(property, { numRuns, seed: 20261128 });
  });

  test('shows each byte that is another one', () => {
    const short = new WrittenLog().start().signed().checkpoint('end');
    const bytes = Buffer.from(short.text);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      if (short.verify([changed]).faults.length === 0) expect.fail(`byte ${at}`);
    }
  });

  test('shows the line of a changed byte, but for the end of a line', () => {
    const lines = linesOf(first);
    const property = fc.property(fc.nat(lines.length - 1), fc.nat(), (index, given) => {
      const line = lines[index] ?? '';
      const at = given % line.length;
      const changed = line.slice(0, at) + (line[at] === 'x' ? 'y' : 'x') + line.slice(at + 1);
      const { faults } = verdictOf([joined(lines.with(index, changed)), second], { heads: [log.head] });
      return faults.some((fault) => fault.file === '1' && fault.line === index + 1);
    });
    fc.assert(property, { numRuns, seed: 20261128 });
  });

  test('has no line that is two entries', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (tunnel) => {
        const [line = ''] = new WrittenLog().signed(tunnel).lines;
        const entry = parseLine(Buffer.from(line.slice(0, -1)));
        return !line.slice(0, -1).includes('\n') && typeof entry !== 'string' && 'tunnel' in entry;
      }),
      { numRuns, seed: 20261128 },
    );
  });
});
