import { describe, expect, test } from 'vitest';
import type { RequestEntry } from '../../../src/audit/entry.ts';
import { MAX_LINE } from '../../../src/audit/line.ts';
import { textsOf, verdictOf, WrittenLog } from './written-log.ts';

const refused = (tunnel = 'office'): RequestEntry => ({
  ...{ type: 'request', tunnel, daemon: { pid: 1, user: 0 }, key: null, scheme: null, data: null, context: null },
  ...{ verdict: 'refused', code: null, duration: null },
});
const wrote = (bytes: number, where = 'before this line'): string =>
  `an agent was cut off while it wrote the ${bytes} bytes ${where}`;
const untold = (bytes: number): string => `${bytes} bytes that this line tells of are not those before it`;

/** Lines that an agent writes behind those that it has signed, and does not sign any more: they are taken away again. */
function unsigned(log: WrittenLog, write: (log: WrittenLog) => void): string {
  const { head } = log;
  const { length } = log.lines;
  write(log);
  log.head = head;
  return log.lines.splice(length).join('');
}

describe('lines that nothing signed', () => {
  test('are told of, however many they are', () => {
    const log = new WrittenLog().start();
    const [one, other] = [new WrittenLog(), new WrittenLog().add(refused(), false)];
    expect(textsOf(log.add(refused(), false).add(refused(), false).verify().faults)).toEqual([
      '4: entries 3 to 4 are not signed: an agent was cut off while it wrote, or somebody else wrote them',
    ]);
    expect(one.verify([other.text], { heads: [other.head] }).faults).toHaveLength(2);
    expect(textsOf(one.verify([other.text], { heads: [other.head] }).faults).at(-1)).toBe(
      '1: entry 1 is not signed: an agent was cut off while it wrote, or somebody else wrote it',
    );
  });

  test('are told of once', () => {
    const log = new WrittenLog().start().signed().add(refused(), false);
    const none = '6: this line is no entry';
    expect(textsOf(log.verify([`${log.text}x\n`]).faults)).toEqual([none]);
    // nor is a line that was doubled not signed
    const { lines } = new WrittenLog().start().signed();
    for (const [line, seq] of [
      [lines[2], 3],
      [lines[1], 2],
    ] as const)
      expect(textsOf(verdictOf([lines.join('') + String(line)], {}).faults)).toEqual([
        `5: entry ${seq} stands behind entry 4: moved, inserted or doubled`,
      ]);
  });

  test('count for nothing where the next agent tells of them', () => {
    const log = new WrittenLog().start();
    const left = unsigned(log, (to) => {
      to.add({ type: 'lost', entries: 1, signatures: 0, code: null, since: '2026-01-01T00:00:00.000Z' }, false);
      to.head = { seq: 7, hash: 'ab'.repeat(32) };
      to.add(refused(), false);
    });
    const before = log.take();
    log.recovered(left).checkpoint('end');
    const { faults, notes, entries, covered } = log.verify([before + left + log.text]);
    expect(textsOf(faults)).toEqual([]);
    expect(textsOf(notes)).toEqual([`5: ${wrote(left.length)}`]);
    expect({ entries, covered }).toEqual({ entries: 4, covered: 4 });
  });

  test('are a fault where the agent knows that another program wrote them', () => {
    const log = new WrittenLog().start().recovered('x\n', { cause: 'foreign' }).checkpoint('end');
    const [one, two, ...rest] = log.lines;
    expect(textsOf(log.verify([[one, two, 'x\n', ...rest].join('')]).faults)).toEqual([
      "4: the 2 bytes before this line are none of the agent's: somebody else wrote them",
    ]);
  });

  test('are told of to the byte, and from the last signed line on', () => {
    const log = new WrittenLog().start();
    const before = log.take();
    const { head } = log;
    const told = (more: { bytes?: number; sha256?: string }, from = head): string[] => {
      Object.assign(log, { head: from });
      log.recovered('torn\n', more).checkpoint('end');
      return textsOf(log.verify([`${before}torn\n${log.take()}`]).faults);
    };
    expect(told({})).toEqual([]);
    expect(told({ bytes: 6 })).toContain(`4: ${untold(6)}`);
    expect(told({ sha256: 'ab'.repeat(32) })).toContain(`4: ${untold(5)}`);
    expect(told({}, { seq: 1, hash: 'ab'.repeat(32) })).toContain(`4: ${untold(5)}`);
    expect(told({}, { ...head, seq: 7 })).toContain(`4: ${untold(5)}`);
  });

  test('may be none', () => {
    const log = new WrittenLog().start().recovered('').checkpoint('end');
    expect(log.verify()).toMatchObject({ faults: [], notes: [{ line: 3, text: wrote(0) }] });
  });

  test('may be all that stands there', () => {
    const log = new WrittenLog().recovered('torn\n').start();
    expect(log.verify([`torn\n${log.text}`])).toMatchObject({ faults: [], notes: [{ line: 2, text: wrote(5) }] });
    const later = Object.assign(new WrittenLog(), { head: { seq: 6, hash: 'ab'.repeat(32) } });
    later.recovered('torn\n').start();
    expect(textsOf(later.verify([`torn\n${later.text}`]).notes)).toEqual([
      `2: ${wrote(5)}`,
      '2: begins with entry 7: those before are not in these files',
    ]);
  });

  test('are a fault again where what told of them is not signed', () => {
    const log = new WrittenLog().start();
    const before = log.take();
    const { faults } = log.recovered('torn\n').verify([`${before}torn\n${log.text}`]);
    expect(textsOf(faults)).toEqual([
      '4: entry 3 is not signed: an agent was cut off while it wrote, or somebody else wrote it',
    ]);
  });

  test('do not excuse others that are missing further on', () => {
    const log = new WrittenLog().start();
    for (let count = 0; count < 4; count += 1) log.add(refused(), false);
    const [one, two, three, , five, six] = log.checkpoint('end').lines;
    const bad = log.verify([[one, two, 'x\n', three, five, six].join('')], { heads: [] });
    expect(textsOf(bad.faults)).toContain('5: entry 4 is missing before this line');
  });
});

describe('a line that is far too long', () => {
  const long = 'x'.repeat(3 * MAX_LINE);
  const sizes = [10_000, MAX_LINE / 2, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE, 10 * MAX_LINE];

  test.each(sizes)('is told of once, in whatever pieces it is read (%i)', (size) => {
    const log = new WrittenLog().start().signed();
    const text = log.lines.toSpliced(2, 0, `${long}\n`).join('');
    const { faults, entries } = verdictOf([text], {}, size);
    expect(textsOf(faults)).toEqual(['3: this line is no entry']);
    expect(entries).toBe(4);
  });

  test.each(sizes)('at the end of a file is half a line (%i)', (size) => {
    const end = 'the file ends inside a line: cut off, or an agent was while it wrote';
    const { text } = new WrittenLog().start();
    expect(textsOf(verdictOf([text + long], {}, size).faults)).toEqual(['3: this line is no entry', `3: ${end}`]);
    expect(textsOf(verdictOf([long], {}, size).faults)).toEqual(['1: this line is no entry', `1: ${end}`]);
  });

  test.each(sizes)('counts for nothing where the next agent tells of it (%i)', (size) => {
    const log = new WrittenLog().start();
    const before = log.take();
    const left = `y\n${long}\nz\n`;
    log.recovered(left).checkpoint('end');
    const keys = [log.pair.publicKey];
    expect(verdictOf([before + left + log.text], { keys }, size)).toMatchObject({ faults: [], entries: 4 });
  });

  test('is no entry, though it be signed', () => {
    const log = new WrittenLog().start().add(refused('x'.repeat(2 * MAX_LINE)));
    expect(textsOf(log.verify().faults)).toContain('3: this line is no entry');
    const fits = new WrittenLog().start().add(refused('x'.repeat(MAX_LINE - 1000)));
    expect(fits.verify()).toMatchObject({ faults: [], entries: 3 });
  });
});

describe('what a file ends with', () => {
  /** @returns the log, its first file, what that ends with, and a second file that tells of it */
  function torn(left: (log: WrittenLog) => string): [WrittenLog, string, string, string] {
    const log = new WrittenLog().start();
    const text = left(log);
    const first = log.take();
    return [log, first, text, log.continue(2, {}, false).recovered(text).checkpoint('end').take()];
  }
  const lastLine = (log: WrittenLog): string => unsigned(log, (to) => void to.signed()).slice(0, -1);

  test.each([
    ['half a line', (): string => '{"v":1,"seq":3,"ti'],
    ['lines that are not signed', (log): string => unsigned(log, (to) => void to.add(refused(), false))],
    ['a signed line without its end', lastLine],
    ['all of that', (log): string => `x\n${lastLine(log)}`],
  ] satisfies [string, (log: WrittenLog) => string][])('is no fault where the next file tells of it: %s', (_, left) => {
    const [log, first, text, second] = torn(left);
    const note = wrote(text.length, 'at the end of the file before');
    const { faults, notes, entries } = log.verify([first + text, second]);
    expect(textsOf(faults)).toEqual([]);
    expect(notes).toEqual([{ file: '2', line: 2, text: note }]);
    expect(entries).toBeGreaterThanOrEqual(5);
    // where that file is not at hand
    expect(textsOf(log.verify([second]).notes)).toEqual([
      '1: begins with entry 3: those before are not in these files',
      `2: ${note}`,
    ]);
    expect(log.verify([second]).faults).toEqual([]);
  });

  test('is a fault where it is not what the next file tells of', () => {
    const [log, first, text, second] = torn(() => '{"v":1,"seq":3,"ti');
    for (const other of ['', text.slice(1), `${text}x`]) {
      const { faults } = log.verify([first + other, second]);
      expect(textsOf(faults)).toContain(`2: ${untold(text.length)}`);
    }
  });

  test('is told of right behind the line that goes on, and nowhere else', () => {
    const log = new WrittenLog().start();
    const first = log.take();
    const left = '{"v":1,"seq":3,"ti';
    const end = (to: WrittenLog): string => to.recovered(left).checkpoint('end').take();
    const { head } = log;
    for (const second of [
      end(log.continue(2, {}, false).add(refused(), false)),
      end(Object.assign(log, { head }).start()),
      end(Object.assign(log.continue(2, {}, false), { head: { seq: 3, hash: 'ab'.repeat(32) } })),
    ]) {
      expect(textsOf(log.verify([first + left, second]).faults).join()).toContain(untold(left.length));
      expect(textsOf(log.verify([second]).faults).join()).toContain(untold(left.length));
    }
    const apart = `${Object.assign(log, { head }).continue(2, {}, false).take()}x\n${end(log)}`;
    expect(textsOf(log.verify([first + left, apart]).faults)).toEqual(['2: this line is no entry']);
    expect(textsOf(log.verify([apart]).faults)).toContain(`3: ${untold(left.length)}`);
  });

  test('stays a fault where the next file does not go on', () => {
    const log = new WrittenLog().start();
    const left = unsigned(log, (to) => void to.add(refused(), false).add(refused(), false));
    const first = log.take() + left;
    expect(log.verify([first, log.checkpoint('end').take()], { heads: [] }).faults.map(({ text }) => text)).toEqual([
      'entries 3 to 4 are not signed: an agent was cut off while it wrote, or somebody else wrote them',
      'entry 3 stands behind entry 4: moved, inserted or doubled',
    ]);
  });
});

describe('a write that is lost, and later ones that are not', () => {
  const hole = '\0'.repeat(200);

  /** So many times a signed line is lost, and others are not; and what tells of all behind the line before one of them. */
  function withHoles(count: number, told: number): [WrittenLog, string] {
    const log = new WrittenLog().start();
    let text = log.take();
    const places = [];
    for (let index = 0; index < count; index += 1) {
      places.push({ at: text.length, head: log.head });
      log.signed().take();
      text += hole + log.signed().signed().take();
    }
    const place = places[told];
    if (!place) throw new RangeError('no such place');
    log.head = place.head;
    return [log, text + log.recovered(text.slice(place.at)).checkpoint('end').take()];
  }

  test.each([
    [1, 0],
    [3, 0],
    [3, 2],
    [8, 0],
    [9, 1],
  ])('count for nothing where the next agent tells of them (%i, from %i on)', (count, told) => {
    const [log, text] = withHoles(count, told);
    const { faults, notes, isEnded } = log.verify([text]);
    if (told === 0) expect(textsOf(faults)).toEqual([]);
    expect(textsOf(faults).join()).not.toContain('bytes that this line tells of');
    expect(notes.map((note) => note.text)).toEqual([expect.stringContaining('an agent was cut off while it wrote')]);
    expect(isEnded).toBe(true);
  });

  test('are looked for no further back than an agent does', () => {
    const [log, text] = withHoles(9, 0);
    expect(textsOf(log.verify([text]).faults).join()).toContain('bytes that this line tells of');
  });

  test('are a fault where nothing tells of them, or of something else', () => {
    const [log, text] = withHoles(1, 0);
    const lines = text.split('\n');
    expect(log.verify([`${lines.slice(0, -3).join('\n')}\n`]).faults).not.toEqual([]);
    expect(textsOf(log.verify([text.replace('\0\0', '\0')]).faults).join()).toContain('bytes that this line tells of');
  });

  test('are told of in their own file', () => {
    const log = new WrittenLog().start();
    const before = log.take();
    const { head } = log;
    log.signed().take();
    const left = hole + log.signed().take();
    Object.assign(log, { head });
    const { faults } = log.verify([before + left, log.recovered(left).checkpoint('end').take()]);
    expect(textsOf(faults)).toContain(`1: ${untold(left.length)}`);
  });

  test('are no lines that follow one another, and are all there', () => {
    const log = new WrittenLog().start();
    const before = log.take();
    const { head } = log;
    const good = log.signed().signed().take();
    Object.assign(log, { head });
    const { faults } = log.verify([before + good + log.recovered(good).checkpoint('end').take()]);
    expect(textsOf(faults)).toContain(`7: ${untold(good.length)}`);
  });
});
