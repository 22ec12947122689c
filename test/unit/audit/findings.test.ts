import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ContinueReason, Head } from '../../../src/audit/entry.ts';
import { textsOf, verdictOf, WrittenLog } from './written-log.ts';

const SINCE = '2026-01-01T00:00:00.000Z';
const base64 = (key: KeyObject): string => key.export({ format: 'der', type: 'spki' }).toString('base64');

/** A log of two files: entries 1 to 5, and 6 to 9. */
function twoFiles(reason: ContinueReason = 'rotated', aside: string | null = null): [WrittenLog, string, string] {
  const log = new WrittenLog().start().signed().checkpoint('rotate');
  const first = log.take();
  return [log, first, log.continue(2, { reason, aside }).signed().checkpoint('end').take()];
}

describe('entries that the state directory knows of', () => {
  const [log, first, second] = twoFiles();

  test('may stand in further files, where the last one given ends by a rotation', () => {
    const { faults, notes } = log.verify([first], { restAt: '/var/log/audit' });
    expect(faults).toEqual([]);
    expect(textsOf(notes)).toEqual(['5: entries 6 to 9 are in further files, such as /var/log/audit']);
    expect(log.verify([first, second], { restAt: '/var/log/audit' })).toMatchObject({ faults: [], notes: [] });
  });

  test('are missing where there are no further files, or nothing leads to them', () => {
    const missing = ['5: entries 6 to 9 are missing at the end: the state directory knows of them'];
    expect(textsOf(log.verify([first]).faults)).toEqual(missing);
    const unrotated = first.split('\n').slice(0, 4).join('\n').concat('\n');
    const cut = second.split('\n').slice(0, 3).join('\n').concat('\n');
    expect(textsOf(log.verify([unrotated], { restAt: '/var/log/audit' }).faults)).toEqual([
      '4: entries 5 to 9 are missing at the end: the state directory knows of them',
    ]);
    expect(textsOf(log.verify([first, cut], { restAt: '/var/log/audit' }).faults)).toEqual([
      '3: entry 9 is missing at the end: the state directory knows of them',
    ]);
  });

  test('must be there, unless they are older than the files that are given', () => {
    const whole = new WrittenLog().start().signed().signed();
    const { hash } = whole.head;
    const without = whole.lines.toSpliced(4, 1).join('');
    expect(textsOf(whole.verify([without], { heads: [{ seq: 5, hash }] }).faults)).toEqual([
      '5: entry 5 is missing before this line',
      '5: entry 5 is not there: the state directory knows of it',
    ]);
    expect(log.verify([second], { heads: [{ seq: 3, hash }] }).faults).toEqual([]);
    expect(textsOf(log.verify([second], { heads: [{ seq: 6, hash }] }).faults)).toEqual([
      '1: entry 6 is not the one that the state directory knows of',
    ]);
  });
});

describe('a file that goes on where entries were missing', () => {
  test.each([
    ['deleted', 'were in a file that was removed while the agent wrote it'],
    ['missing', 'were in no file that the agent found when it started'],
  ] as const)('is a fault (%s), unless they are here', (reason, text) => {
    const [log, first, second] = twoFiles(reason);
    expect(log.verify([second])).toMatchObject({
      faults: [{ line: 1, text: `entries 1 to 5 ${text}` }],
      notes: [],
    });
    expect(log.verify([first, second])).toMatchObject({
      faults: [],
      notes: [{ file: '2', line: 1, text: `entries 1 to 5 ${text}: they are here` }],
    });
  });

  test('is a fault for good where another file stood in its place, and says what that is called', () => {
    const [log, first, second] = twoFiles('replaced', 'audit.000002');
    const text = 'entries 1 to 5 were not in the file that stood in its place, which is called audit.000002 now';
    for (const files of [[first, second], [second]])
      expect(log.verify(files)).toMatchObject({ faults: [{ line: 1, text }], notes: [] });
  });

  test('is a fault where what tells of a cut stands before it, and nothing else does', () => {
    const log = new WrittenLog().start();
    log.take();
    log.recovered('torn\n').continue(2, { reason: 'missing' }).checkpoint('end');
    const { faults, notes } = log.verify([`torn\n${log.text}`]);
    expect(textsOf(faults)).toEqual(['3: entries 1 to 3 were in no file that the agent found when it started']);
    expect(textsOf(notes)).toEqual([
      '2: an agent was cut off while it wrote the 5 bytes before this line',
      '2: begins with entry 3: those before are not in these files',
    ]);
  });

  test.each(['rotated', 'moved', 'truncated', 'switched'] as const)('is none where nothing was lost (%s)', (reason) => {
    const [log, first, second] = twoFiles(reason);
    expect(log.verify([first, second])).toMatchObject({ faults: [], notes: [] });
    expect(textsOf(log.verify([second]).notes)).toEqual([
      '1: begins with entry 6: those before are not in these files',
    ]);
  });
});

describe('an agent’s beginning', () => {
  test('is the first line of a log, with nothing before it', () => {
    const at = (head: Head): string[] => {
      const log = Object.assign(new WrittenLog(), { head });
      return textsOf(log.start().verify().faults);
    };
    const hash = '0'.repeat(64);
    expect(at({ seq: 0, hash })).toEqual([]);
    const text = 'those before were cut off, or copied elsewhere';
    expect(at({ seq: 4, hash })).toEqual([`1: the log begins with entry 5: ${text}`]);
    expect(at({ seq: 0, hash: 'ab'.repeat(32) })).toEqual([`1: the log begins with entry 1: ${text}`]);
    expect(textsOf(new WrittenLog().signed().verify().faults)).toEqual([`1: the log begins with entry 1: ${text}`]);
  });

  test('stands before what is written behind the end of another', () => {
    const ended = (): WrittenLog => new WrittenLog().start().checkpoint('end');
    expect(textsOf(ended().signed().verify().faults)).toEqual([
      '4: this line follows the end of an agent, and none began',
    ]);
    for (const log of [
      ended().start(),
      ended().continue(2),
      ended().recovered('').start(),
      ended().add({ type: 'unproven', from: 1, to: 3 }).start(),
    ])
      expect(log.verify().faults).toEqual([]);
  });

  test('says that it does not know what stands before it, if it has another key', () => {
    const log = new WrittenLog().start();
    log.add({ type: 'unproven', from: 1, to: 2 }).start();
    const { faults, notes } = log.verify();
    expect(faults).toEqual([]);
    expect(textsOf(notes)).toEqual([
      '3: entries 1 to 2 are not known to the agent that begins here: its key did not sign them',
    ]);
  });
});

describe('a key', () => {
  test('is named by the log where none is given, and each agent may have its own', () => {
    const log = new WrittenLog().start().signed();
    const other = Object.assign(new WrittenLog(), { head: log.head }).start().signed().checkpoint('end');
    expect(verdictOf([log.text + other.text], {})).toMatchObject({ faults: [], covered: 9 });
    expect(textsOf(verdictOf([log.text + other.text], { keys: [log.pair.publicKey] }).faults)).toEqual([
      '6: this checkpoint is not signed by the given key',
      '9: this checkpoint is not signed by the given key',
    ]);
  });

  test('that is named must be of Ed25519', () => {
    const about = { type: 'start', release: '1.0.0', pid: 1, user: 0, log: 'ab'.repeat(16), file: 1 } as const;
    const { publicKey, privateKey } = generateKeyPairSync('ed448');
    for (const named of [base64(publicKey), 'AAAA']) {
      const log = Object.assign(new WrittenLog(), { pair: { publicKey, privateKey } });
      const { faults, notes } = verdictOf([log.add({ ...about, publicKey: named }, false).checkpoint('end').text], {});
      expect(textsOf(faults)).toEqual(['1: this line names no Ed25519 key']);
      expect(textsOf(notes)).toEqual(['2: this checkpoint was not checked: no key is known']);
    }
  });

  test('that has not signed lines proves none of them', () => {
    const log = new WrittenLog().start().signed();
    const forged = Object.assign(new WrittenLog(), { head: log.head }).signed().signed();
    const text = log.text + forged.text;
    expect(textsOf(verdictOf([text], {}).faults)).toEqual([
      '8: entries 3 to 8 are not proven: this line is not signed by the key that the log names',
    ]);
    const [, , second] = twoFiles();
    const seals = second.split('\n').slice(0, 3).join('\n').concat('\n');
    expect(textsOf(verdictOf([seals], { keys: [log.pair.publicKey] }).faults)).toEqual([
      '3: entries 6 to 8 are not proven: this line is not signed by the given key',
    ]);
  });

  test('that nobody knows checks nothing, and that is said', () => {
    const log = new WrittenLog().start();
    const { faults, notes, checkpoints, covered } = verdictOf([log.lines[1] ?? ''], {});
    expect(faults).toHaveLength(1);
    expect(textsOf(notes)).toEqual(['1: this checkpoint was not checked: no key is known']);
    expect({ checkpoints, covered }).toEqual({ checkpoints: 1, covered: undefined });
    expect(textsOf(log.verify([log.lines[1] ?? '']).notes)).toEqual([]);
  });
});

describe('lost entries', () => {
  test('without a signature that left, and without a known cause', () => {
    const log = new WrittenLog().start();
    log.add({ type: 'lost', entries: 3, signatures: 0, code: null, since: SINCE });
    expect(textsOf(log.verify().notes)).toEqual([`3: 3 entries could not be written since ${SINCE} (unknown)`]);
  });

  test('are told of so often, and not without end', () => {
    const log = new WrittenLog().start();
    for (let count = 0; count < 1001; count += 1)
      log.add({ type: 'lost', entries: 1, signatures: 0, code: null, since: SINCE }, count === 1000);
    expect(log.verify()).toMatchObject({ faults: [], notes: { length: 1000 } });
  });
});
