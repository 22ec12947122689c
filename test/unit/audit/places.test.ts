import { describe, expect, test } from 'vitest';
import { textsOf, WrittenLog } from './written-log.ts';

/** start, checkpoint, two signatures (3 to 6), end (7) */
const log = new WrittenLog().start().signed().signed().checkpoint('end');
const { lines } = log;

describe('a line of another log', () => {
  test('with a number far ahead takes nothing from the lines that follow', () => {
    const other = Object.assign(new WrittenLog(), { head: { seq: 19, hash: 'ab'.repeat(32) } }).signed();
    const { faults, last } = log.verify([lines.toSpliced(3, 0, other.lines[0] ?? '').join('')]);
    expect(textsOf(faults)).toEqual([
      '4: entries 4 to 19 are missing before this line',
      '5: entry 4 stands behind entry 20: moved, inserted or doubled',
    ]);
    expect(last).toEqual(log.head);
  });

  test('with the number of the one before is told of, and not what follows', () => {
    const other = Object.assign(new WrittenLog(), { head: { seq: 2, hash: 'ab'.repeat(32) } }).signed();
    const { faults, last } = log.verify([lines.toSpliced(3, 0, other.lines[0] ?? '').join('')]);
    expect(textsOf(faults)).toEqual(['4: entry 3 stands behind entry 3: moved, inserted or doubled']);
    expect(last).toEqual(log.head);
  });
});

describe('entries are in further files', () => {
  test('only where a file ends by a rotation, and not where there is none, or by another checkpoint', () => {
    const options = { restAt: '/var/log/audit' };
    const missing = (from: number): string =>
      `entries ${from} to 7 are missing at the end: the state directory knows of them`;
    expect(textsOf(log.verify([lines.slice(0, 2).join('')], options).faults)).toEqual([`2: ${missing(3)}`]);
    expect(textsOf(log.verify([], options).faults)).toEqual([`0: ${missing(1)}`]);
  });
});

describe('what tells of a cut', () => {
  const TORN = '{"v":1,"seq":';

  test('of the file before may have to be written twice', () => {
    const cut = new WrittenLog().start();
    const first = cut.take();
    const { head } = cut;
    const again = cut.continue(2, {}, false).recovered(TORN).take();
    Object.assign(cut, { head });
    const second = again + cut.recovered(again).continue(2, {}, false).recovered(TORN).checkpoint('end').take();
    expect(textsOf(cut.verify([first + TORN, second]).faults)).toEqual([]);
  });

  test('takes away no other fault', () => {
    const cut = new WrittenLog().start().signed();
    const [one, two, , four] = cut.lines;
    cut.take();
    const second = cut.continue(2, { reason: 'replaced' }, false).recovered(TORN).checkpoint('end').take();
    expect(textsOf(cut.verify([[one, two, four, TORN].join(''), second]).faults)).toEqual([
      '3: entry 3 is missing before this line',
      '1: entries 1 to 4 were not in the file that stood in its place',
    ]);
  });

  test('is not taken back by the next one', () => {
    const cut = new WrittenLog().start();
    const before = cut.take();
    const { head } = cut;
    const left = `${TORN}\n${cut.recovered(`${TORN}\n`).checkpoint('interval').take()}`;
    Object.assign(cut, { head });
    const { faults } = cut.verify([before + left + cut.recovered(left).checkpoint('end').take()]);
    expect(textsOf(faults).join()).toContain(`${left.length} bytes that this line tells of are not those before it`);
  });
});
