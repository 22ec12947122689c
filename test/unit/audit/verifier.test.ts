import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { formatLine, parseLine } from '../../../src/audit/line.ts';
import { NO_HEAD } from '../../../src/audit/entry.ts';
import { textsOf, verdictOf, WrittenLog } from './written-log.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** start, checkpoint, two signatures (3 to 6), checkpoint (7), one signature (8, 9), end (10) */
const log = new WrittenLog().start().signed().signed().checkpoint('interval').signed('home').checkpoint('end');
const { lines } = log;
const without = (...left: number[]): string => lines.filter((_, index) => !left.includes(index + 1)).join('');

describe('a line', () => {
  test('has the hash of the one before, and of all that stands before its own', () => {
    const [first = '', second = ''] = lines;
    const [, body = '', hash] = /^(.*),"hash":"([0-9a-f]{64})"\}\n$/.exec(first) ?? [];
    expect(hash).toBe(sha256(body));
    expect(second).toContain(`"prev":"${hash}"`);
    expect(first).toContain(`"prev":"${'0'.repeat(64)}"`);
  });

  test('is read as it was written, whatever a name has in it', () => {
    const tunnel = 'ü "quoted" \\ \u2028 \u202e \u0007 \ud800 ,"hash":"';
    const [line = ''] = new WrittenLog().signed(tunnel).lines;
    expect(parseLine(Buffer.from(line.slice(0, -1)))).toMatchObject({ seq: 1, type: 'request', tunnel });
  });

  test('is none in another spelling, though its hash fits', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { text } = formatLine({ type: 'checkpoint', reason: 'end' }, NO_HEAD, new Date(), privateKey, true);
    const [, body = ''] = /^(.*),"hash":/.exec(text) ?? [];
    for (const other of [
      body.replace('"v":1', '"v":1,"v":1'),
      body.replace(':', ': '),
      body.replace('"v":1', '"v":2'),
    ]) {
      expect(parseLine(Buffer.from(`${other},"hash":"${sha256(other)}"}`))).toBe('unknown');
    }
  });
});

test('a signature counts in one spelling only', () => {
  const [, before = '', last = '', behind = ''] = /^(.*)(.)(=="),"hash":/.exec(lines[9] ?? '') ?? [];
  // the last character has four bits that nothing reads
  const body = `${before}${String.fromCharCode(last.charCodeAt(0) + 1)}${behind}`;
  const text = [...lines.slice(0, 9), `${body},"hash":"${sha256(body)}"}\n`].join('');
  expect(textsOf(log.verify([text], { heads: [] }).faults)).toContain(
    '10: this checkpoint is not signed by the given key',
  );
});

describe('a log is verified', () => {
  test('whole: nothing to say', () => {
    expect(log.verify()).toEqual({
      ...{ faults: [], notes: [], entries: 10, first: 1, last: log.head },
      ...{ checkpoints: 3, covered: 10, isEnded: true },
    });
    expect(verdictOf([log.text], {}, 7)).toMatchObject({ faults: [], entries: 10 });
  });

  test('a changed line is told of, and that one only', () => {
    const changed = [...lines];
    changed[4] = changed[4]?.replace('office', 'orifice') ?? '';
    expect(textsOf(log.verify([changed.join('')]).faults)).toEqual([
      '5: this line was changed: its hash does not fit it',
    ]);
  });

  test('a changed line with a hash that fits is told of by the next one', () => {
    const body = (lines[4] ?? '').replace('office', 'orifice').replace(/,"hash":.*\n$/, '');
    const changed = lines.with(4, `${body},"hash":"${sha256(body)}"}\n`);
    expect(textsOf(log.verify([changed.join('')]).faults)).toEqual([
      '6: entry 5 was replaced: this line follows another one',
    ]);
  });

  test('dropped, doubled and swapped lines', () => {
    expect(textsOf(log.verify([without(4, 5)]).faults)).toEqual(['4: entries 4 to 5 are missing before this line']);
    expect(textsOf(log.verify([without(1)]).faults)).toEqual([
      '1: the log begins with entry 2: those before were cut off, or copied elsewhere',
    ]);
    const doubled = lines.toSpliced(6, 0, lines[2] ?? '').join('');
    expect(textsOf(log.verify([doubled]).faults)).toEqual([
      '7: entry 3 stands behind entry 6: moved, inserted or doubled',
    ]);
    const swapped = lines
      .with(4, lines[5] ?? '')
      .with(5, lines[4] ?? '')
      .join('');
    expect(textsOf(log.verify([swapped]).faults)).toEqual([
      '5: entry 5 is missing before this line',
      '6: entry 5 stands behind entry 6: moved, inserted or doubled',
    ]);
  });

  test('an inserted line that is no entry, and one of another log', () => {
    expect(textsOf(log.verify([lines.toSpliced(3, 0, 'x\n').join('')]).faults)).toEqual(['4: this line is no entry']);
    const other = new WrittenLog().start().signed().signed().signed().signed().signed();
    const inserted = lines.toSpliced(3, 0, other.lines[9] ?? '').join('');
    expect(textsOf(log.verify([inserted]).faults)).toEqual([
      '4: entries 4 to 9 are missing before this line',
      '4: entry 10 is not the one that the state directory knows of',
      '4: entries 3 to 10 are not proven: this line is not signed by the given key',
      '5: entry 4 stands behind entry 10: moved, inserted or doubled',
    ]);
  });

  test('what is cut off at the end is missed if the state directory knows of it', () => {
    const cut = without(9, 10);
    expect(textsOf(log.verify([without(8, 9, 10)]).faults)).toEqual([
      '7: entries 8 to 10 are missing at the end: the state directory knows of them',
    ]);
    expect(textsOf(log.verify([cut]).faults)).toEqual([
      '8: entry 8 is not signed: an agent was cut off while it wrote, or somebody else wrote it',
      '8: entries 9 to 10 are missing at the end: the state directory knows of them',
    ]);
    expect(log.verify([without(8, 9, 10)], { heads: [] })).toMatchObject({ faults: [], isEnded: false, covered: 7 });
    const inside = log.text.slice(0, -200);
    expect(textsOf(log.verify([inside], { heads: [] }).faults)).toEqual([
      '10: this line is no entry',
      '10: the file ends inside a line: cut off, or an agent was while it wrote',
    ]);
    expect(textsOf(log.verify([log.text.slice(0, -1)]).faults)).toEqual(['10: the last line lacks its end']);
  });

  test('a log that was written anew from a line on is found by the checkpoint, or by the state directory', () => {
    const forged = new WrittenLog();
    Object.assign(forged, { head: { seq: 6, hash: /"hash":"(.*)"/.exec(lines[5] ?? '')?.[1] } });
    forged.checkpoint('interval').signed('elsewhere').checkpoint('end');
    const text = [...lines.slice(0, 6), ...forged.lines].join('');
    expect(textsOf(log.verify([text]).faults)).toEqual([
      '7: this checkpoint is not signed by the given key',
      '10: entry 10 is not the one that the state directory knows of',
      '10: this checkpoint is not signed by the given key',
    ]);
    expect(textsOf(verdictOf([text], {}).faults)).toEqual([
      '7: this checkpoint is not signed by the key that the log names',
      '10: this checkpoint is not signed by the key that the log names',
    ]);
  });

  test('over several files; one that is left out, or begins in the middle, is told of', () => {
    const chained = new WrittenLog().start().signed().checkpoint('rotate');
    const first = chained.text;
    chained.continue(2).signed().checkpoint('rotate');
    const second = chained.text.slice(first.length);
    chained.continue(3).checkpoint('end');
    const third = chained.text.slice(first.length + second.length);
    expect(chained.verify([first, second, third])).toMatchObject({ faults: [], notes: [], entries: 11 });
    expect(chained.verify([second, third])).toMatchObject({
      faults: [],
      notes: [{ file: '1', line: 1, text: 'begins with entry 6: those before are not in these files' }],
    });
    expect(chained.verify([first, third]).faults).toEqual([
      { file: '2', line: 1, text: 'entries 6 to 9 are missing before this line' },
    ]);
    const truncated = second.replace(/^.*\n/, '');
    expect(textsOf(chained.verify([truncated, third]).faults)).toEqual([
      '1: the log begins with entry 7: those before were cut off, or copied elsewhere',
    ]);
    const copied = [`${first}${chained.lines[5] ?? ''}`, truncated, third];
    expect(chained.verify(copied)).toMatchObject({
      faults: [],
      notes: [{ file: '2', line: 1, text: 'the file was truncated by another program: nothing is missing here' }],
    });
  });

  test('what an agent that was cut off left behind is no fault where its successor tells of it', () => {
    const torn = '{"v":1,"seq":5,"ti';
    const recovered = new WrittenLog().start().signed();
    const gap = `${torn}\n`;
    const recover = (text: string): string => {
      const entry = { type: 'recovered', bytes: text.length, sha256: sha256(text), cause: 'cut-off' } as const;
      return recovered.add(entry).lines.pop() ?? '';
    };
    const before = recovered.text;
    const line = recover(gap);
    recovered.checkpoint('end');
    const after = recovered.lines.pop() ?? '';
    const text = (inBetween: string): string => before + inBetween + line + after;
    expect(recovered.verify([text(gap)])).toMatchObject({
      faults: [],
      notes: [{ line: 6, text: 'an agent was cut off while it wrote the 19 bytes before this line' }],
    });
    expect(textsOf(recovered.verify([text(gap.replace('5', '6'))]).faults)).toEqual([
      '6: 19 bytes that this line tells of are not those before it',
      '5: this line is no entry',
    ]);
    expect(textsOf(recovered.verify([text('')]).faults)).toEqual([
      '5: 19 bytes that this line tells of are not those before it',
    ]);
  });

  test('what told of the file before, and was cut off itself, counts for nothing', () => {
    const chained = new WrittenLog().start();
    const first = chained.text;
    const torn = '{"v":1,"seq":3,"ti';
    const tell = (text: string): WrittenLog =>
      chained.add({ type: 'recovered', bytes: text.length, sha256: sha256(text), cause: 'cut-off' }, false);
    const { head } = chained;
    const publicKey = chained.pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
    const about = { publicKey, log: '0123456789abcdef'.repeat(2), file: 2 };
    chained.add({ type: 'continue', ...about, reason: 'rotated', after: 'audit.000001', aside: null }, false);
    tell(torn);
    const cutOff = chained.lines.splice(2).join('');
    chained.head = head;
    tell(cutOff).continue(2).checkpoint('end');
    const faults = textsOf(chained.verify([first + torn, cutOff + chained.text.slice(first.length)]).faults);
    expect(faults).toEqual([
      '3: this line is no entry',
      '3: the file ends inside a line: cut off, or an agent was while it wrote',
    ]);
  });

  test('entries that were lost are told of', () => {
    const lost = new WrittenLog().start();
    lost.add({ type: 'lost', entries: 3, signatures: 1, code: 'ENOSPC', since: '2026-01-01T00:00:00.000Z' });
    expect(textsOf(lost.verify().notes)).toEqual([
      '3: 3 entries could not be written since 2026-01-01T00:00:00.000Z (ENOSPC), and 1 signatures left without one',
    ]);
  });

  test('what is no log at all is not kept in memory, nor told of without end', () => {
    const verdict = verdictOf([Buffer.alloc(1_000_000, 'x'), 'y\n'.repeat(5_000)], {});
    expect(verdict.faults[0]).toEqual({ file: '1', line: 1, text: 'this line is no entry' });
    expect(verdict.faults).toHaveLength(1000);
    expect(verdict).toMatchObject({ entries: 0, last: undefined });
    expect(textsOf(verdictOf([''], {}).faults)).toEqual([
      '1: the file is empty: what stood in it was cut off, or copied elsewhere',
    ]);
  });
});
