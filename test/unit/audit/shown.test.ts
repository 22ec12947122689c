import { describe, expect, test } from 'vitest';
import type { RequestEntry } from '../../../src/audit/entry.ts';
import { MAX_LINE } from '../../../src/audit/line.ts';
import { linesOf, outcomeOf, Requests, type Shown, type ShownFilter } from '../../../src/audit/shown.ts';
import { WrittenLog } from './written-log.ts';

async function* inPieces(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    const piece = Buffer.from(bytes.subarray(at, at + size));
    yield await Promise.resolve(piece);
    // as a reader does that fills its buffer anew
    piece.fill(0);
  }
}

async function readLines(text: string, size: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesOf(inPieces(text, size))) lines.push(line.toString());
  return lines;
}

const ABOUT = {
  ...{ tunnel: 'office', daemon: { pid: 4711, user: 0 }, key: 'ab12'.repeat(16), scheme: 'ECDSA' },
  ...{ data: null, context: null },
};
const ofRequest = (verdict: RequestEntry['verdict'], more: Partial<RequestEntry> = {}): RequestEntry => ({
  ...{ type: 'request', ...ABOUT, verdict, code: null, duration: null },
  ...more,
});

/** What is shown of a log's files, and then of what never ended. */
function shownOf(files: readonly (readonly string[])[], filter: ShownFilter = {}): { shown: Shown[]; open: Shown[] } {
  const requests = new Requests(filter);
  const shown: Shown[] = [];
  for (const lines of files) {
    for (const line of lines) shown.push(...requests.take(Buffer.from(line.slice(0, -1))));
    requests.endFile();
  }
  return { shown, open: requests.unfinished() };
}

const seqs = (entries: readonly Shown[]): number[] => entries.map(({ seq }) => seq);

describe('the lines of a file', () => {
  test.each([1, 2, 3, 5, 100])('are the same in whatever pieces it is read (%i)', async (size) => {
    expect(await readLines('one\n\nthree\nfour\n', size)).toEqual(['one', '', 'three', 'four']);
    expect(await readLines('one\nhalf', size)).toEqual(['one', 'half']);
    expect(await readLines('', size)).toEqual([]);
  });

  test('what is too long for one is counted', async () => {
    const requests = new Requests({});
    const long = 'x'.repeat(3 * MAX_LINE);
    for await (const line of linesOf(inPieces(`${long}\n${long}`, MAX_LINE / 2))) requests.take(line);
    expect(requests.strange).toBe(2);
  });

  test('what is too long for one is an empty line, and no line behind it is', async () => {
    const long = 'x'.repeat(3 * MAX_LINE);
    const size = MAX_LINE / 2;
    expect(await readLines(`one\n${long}\nthree\nfour\n`, size)).toEqual(['one', '', 'three', 'four']);
    expect(await readLines(`one\n${long}`, size)).toEqual(['one', '']);
    const longest = 'y'.repeat(MAX_LINE);
    expect(await readLines(`${longest}\ntwo\n`, size)).toEqual([longest, 'two']);
  });
});

describe('a request', () => {
  test('is shown once: by its outcome, or as what became of it at once', () => {
    const log = new WrittenLog()
      .start()
      .signed()
      .add(ofRequest('refused', { code: 'ERR_POLICY' }))
      .checkpoint('end');
    const { shown, open } = shownOf([log.lines]);
    expect(shown).toMatchObject([
      { seq: 4, type: 'outcome', outcome: 'signed' },
      { seq: 5, type: 'request', verdict: 'refused' },
    ]);
    expect(shown.map(outcomeOf)).toEqual(['signed', 'refused']);
    expect(open).toEqual([]);
  });

  test('that never ended is shown at the end, as one without an outcome', () => {
    const log = new WrittenLog().start().add(ofRequest('accepted')).signed().checkpoint('end');
    const { shown, open } = shownOf([log.lines]);
    expect([seqs(shown), seqs(open)]).toEqual([[5], [3]]);
    expect(open.map(outcomeOf)).toEqual([undefined]);
  });

  test('is over where its outcome stands in a later file', () => {
    const log = new WrittenLog().start().add(ofRequest('accepted')).checkpoint('rotate');
    const first = log.lines.splice(0);
    log.continue(2);
    log.add({ type: 'outcome', of: 3, ...ABOUT, outcome: 'failed', code: null, signature: null, duration: 1 });
    expect(shownOf([first, log.lines])).toMatchObject({ shown: [{ of: 3, outcome: 'failed' }], open: [] });
  });

  test('whose entry was lost is shown, and ends no other', () => {
    const log = new WrittenLog().start().add(ofRequest('accepted'));
    log.add({ type: 'outcome', of: null, ...ABOUT, outcome: 'signed', code: null, signature: null, duration: 1 });
    const { shown, open } = shownOf([log.lines]);
    expect([seqs(shown), seqs(open)]).toEqual([[4], [3]]);
  });
});

describe('requests are picked', () => {
  /** start, checkpoint, of office (3, 4), of home (5, 6), dropped (7), refused without a key (8), never ended (9) */
  const log = new WrittenLog().start().signed().signed('home');
  log
    .add(ofRequest('dropped'))
    .add(ofRequest('refused', { key: null }))
    .add(ofRequest('accepted'));
  const at = (line: number): Date => new Date(Date.UTC(2026, 0, 1) + (line - 1) * 1000);
  const picked = (filter: ShownFilter): number[][] => {
    const { shown, open } = shownOf([log.lines], filter);
    return [seqs(shown), seqs(open)];
  };

  test('all, without a filter', () => {
    expect(picked({})).toEqual([[4, 6, 7, 8], [9]]);
  });

  test('by tunnel', () => {
    expect(picked({ tunnel: 'office' })).toEqual([[4, 7, 8], [9]]);
    expect(picked({ tunnel: 'home' })).toEqual([[6], []]);
    expect(picked({ tunnel: 'off' })).toEqual([[], []]);
  });

  test('by the beginning of a key’s fingerprint, in either case', () => {
    expect(picked({ key: 'AB12' })).toEqual([[7], [9]]);
    expect(picked({ key: 'abab' })).toEqual([[4, 6], []]);
    expect(picked({ key: 'b12' })).toEqual([[], []]);
  });

  test('by outcome', () => {
    expect(picked({ outcome: 'signed' })).toEqual([[4, 6], []]);
    expect(picked({ outcome: 'dropped' })).toEqual([[7], []]);
    expect(picked({ outcome: 'refused' })).toEqual([[8], []]);
  });

  test('by time: from the first moment on, and up to the last, which is none of them', () => {
    expect(picked({ since: at(6) })).toEqual([[6, 7, 8], [9]]);
    expect(picked({ until: at(7) })).toEqual([[4, 6], []]);
    expect(picked({ since: at(6), until: at(7) })).toEqual([[6], []]);
  });
});

describe('lines that nothing signed', () => {
  const sha256 = 'ab'.repeat(32);

  /** A request that is refused (3), and others (4, 5) that nothing signs. */
  const unsigned = (): WrittenLog => {
    const log = new WrittenLog().start().add(ofRequest('refused'));
    return log.add(ofRequest('refused'), false).add(ofRequest('refused'), false);
  };

  test('are not shown, and counted, at the end of a file', () => {
    const requests = new Requests({});
    const { lines } = unsigned();
    const shown = lines.flatMap((line) => requests.take(Buffer.from(line.slice(0, -1))));
    expect([seqs(shown), requests.strange]).toEqual([[3], 0]);
    requests.endFile();
    expect(requests.strange).toBe(2);
    // nor does a signed line of the next file make them count
    const next = new WrittenLog().add(ofRequest('refused'));
    expect(next.lines.flatMap((line) => requests.take(Buffer.from(line.slice(0, -1))))).toHaveLength(1);
    requests.endFile();
    expect(requests.strange).toBe(2);
  });

  test('are not shown where the next agent tells of them', () => {
    const log = new WrittenLog().start().add(ofRequest('refused'));
    const sealed = log.head;
    log.add(ofRequest('accepted'), false).add(ofRequest('refused'), false);
    log.head = sealed;
    log.add({ type: 'recovered', bytes: 1, sha256, cause: 'cut-off' }, false).checkpoint('end');
    const { shown, open } = shownOf([log.lines]);
    expect([seqs(shown), seqs(open)]).toEqual([[3], []]);
  });

  test('are shown when a signed line follows, whatever else tells of lines elsewhere', () => {
    const log = unsigned().add({ type: 'recovered', bytes: 1, sha256, cause: 'cut-off' }, false).checkpoint('end');
    expect(seqs(shownOf([log.lines]).shown)).toEqual([3, 4, 5]);
  });

  test('and those that are no entries are counted', () => {
    const requests = new Requests({});
    expect(requests.take(Buffer.from('x'))).toEqual([]);
    expect(requests.take(Buffer.from(''))).toEqual([]);
    expect(requests.strange).toBe(2);
  });
});
