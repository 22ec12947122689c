import { type HeapProfiler, Session } from 'node:inspector';
import { describe, expect, test } from 'vitest';
import { Unfit } from '../../src/signing/tls/reader.ts';
import { readTranscript } from '../../src/signing/tls/transcript.ts';
import { Coverage } from '../support/coverage.ts';
import { insertAt, layoutOf, u16 } from '../support/handshake-layout.ts';
import { TRANSCRIPTS } from '../support/handshakes.ts';

// what a transcript costs is counted, in blocks of code that ran and in bytes that were allocated: neither a busy machine nor a
// fast one changes that

/** One with all that can be stretched. */
const HANDSHAKE = TRANSCRIPTS.find(({ name, tls }) => tls === '1.2' && name.includes('p256'))?.message ?? Buffer.of();
const FIELDS = layoutOf(HANDSHAKE);

function fieldAt(name: string): number {
  const field = FIELDS.find((each) => each.name === name);
  if (!field) throw new Error(`no ${name}`);
  return field.start;
}

const repeat = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
const extension = (type: number, content: Buffer): Buffer => Buffer.concat([u16(type), u16(content.length), content]);
/** An extension with a list of so many entries. */
const listed = (type: number, count: number, entry: Buffer): Buffer => {
  const list = repeat(count, () => entry);
  return extension(type, Buffer.concat([u16(list.length), list]));
};

const EMPTY_SEQUENCE = Buffer.of(0x30, 0);

/** What may be there many times, by how many: where it stands, and what is put there. */
const STRETCHED: Readonly<
  Record<string, { most: number; at: string; before?: number; make: (count: number) => Buffer }>
> = {
  'cipher suites': { most: 8_000, at: 'ClientHello cipher suites', make: (count) => repeat(count, () => u16(0x0a0a)) },
  extensions: {
    most: 4_000,
    at: 'ClientHello extension type',
    make: (count) => repeat(count, (index) => extension(0x8000 + index, Buffer.of())),
  },
  'key shares': {
    most: 4_000,
    at: 'ClientHello extension type',
    make: (count) => listed(51, count, Buffer.of(0, 0, 0, 1, 0)),
  },
  protocols: { most: 8_000, at: 'ClientHello extension type', make: (count) => listed(16, count, Buffer.of(1, 0)) },
  'certificates of the server': {
    ...{ most: 4_000, at: 'server certificate', before: 3 },
    make: (count) => repeat(count, () => Buffer.concat([Buffer.of(0, 0, 2), EMPTY_SEQUENCE])),
  },
  'certificates of the client': {
    ...{ most: 4_000, at: 'client certificate', before: 3 },
    make: (count) => repeat(count, () => Buffer.concat([Buffer.of(0, 0, 2), EMPTY_SEQUENCE])),
  },
  "CAs' names": {
    ...{ most: 4_000, at: 'CertificateRequest CA', before: 2 },
    make: (count) => repeat(count, () => Buffer.concat([u16(2), EMPTY_SEQUENCE])),
  },
  'signature schemes': {
    ...{ most: 8_000, at: 'CertificateRequest signature schemes' },
    make: (count) => repeat(count, () => u16(0x0403)),
  },
};

interface Stretched {
  readonly what: string;
  readonly most: number;
  /** @param isWhole false: its last byte is missing, which is noticed when all else is read */
  readonly message: (count: number, isWhole: boolean) => Buffer;
}

const CASES: readonly Stretched[] = Object.entries(STRETCHED).map(([what, { most, at, before = 0, make }]) => ({
  ...{ what, most },
  message: (count, isWhole) => {
    const message = insertAt(HANDSHAKE, fieldAt(at) - before, make(count));
    return isWhole ? message : message.subarray(0, -1);
  },
}));

function read(message: Buffer, isWhole: boolean): void {
  try {
    readTranscript(message);
    expect(isWhole).toBe(true);
  } catch (error) {
    if (!(error instanceof Unfit) || isWhole) throw error;
  }
}

const allocated = ({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number =>
  children.reduce((sum, child) => sum + allocated(child), selfSize);

/** Bytes that V8 gives out while something is done, whatever becomes of them: it takes samples. */
function allocatedBy(work: () => void): number {
  const session = new Session();
  session.connect();
  let bytes = 0;
  const collected = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true };
  session.post('HeapProfiler.startSampling', { samplingInterval: 256, ...collected });
  work();
  session.post('HeapProfiler.stopSampling', (_, { profile }) => {
    bytes = allocated(profile.head);
  });
  session.disconnect();
  return bytes;
}

describe('a transcript is read in time and memory that grow with its length', () => {
  test.for(CASES.flatMap((each) => [true, false].map((isWhole) => ({ ...each, isWhole }))))(
    'many $what, whole: $isWhole',
    ({ most, message, isWhole }) => {
      const coverage = new Coverage('/signing/tls/');
      const messages = [most / 4, most / 2, most].map((count) => message(count, isWhole));
      const [some = 0, twice = 0, four = 0] = messages.map((each) => {
        coverage.look();
        read(each, isWhole);
        coverage.look();
        return coverage.steps;
      });
      expect(twice).toBeGreaterThanOrEqual(some + most / 4);
      expect(four - twice).toBeLessThanOrEqual(2.02 * (twice - some));

      const [first = 0, , last = 0] = messages.map((each) =>
        allocatedBy(() => {
          read(each, isWhole);
        }),
      );
      expect(first).toBeGreaterThan(0);
      expect(last).toBeLessThan(6 * first);
    },
  );
});
