import { createHash, generateKeyPairSync } from 'node:crypto';
import { expect } from 'vitest';
import { type ContinueReason, type Entry, type Head, NO_HEAD } from '../../src/audit/entry.ts';
import { formatLine } from '../../src/audit/line.ts';
import { Verifier } from '../../src/audit/verifier.ts';
import { pieces, type Target } from './target.ts';

const KEYS = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')] as const;
const MOST_STEPS = 64;
const CHECKPOINTS = ['start', 'interval', 'rotate', 'end'] as const;
const CONTINUES: readonly ContinueReason[] = [
  ...(['rotated', 'moved', 'truncated', 'switched', 'deleted', 'missing', 'replaced'] as const),
];

/** An audit log that agents write and others damage: a byte a step, its low half what, its high half how. */
class ScriptedLog {
  readonly files: Buffer[] = [];
  readonly heads: Head[] = [];
  #file = Buffer.alloc(0);
  /** Bytes of the file that a signed line ends. */
  #signed = 0;
  #head = NO_HEAD;
  #writer = 0;
  #last = Buffer.alloc(0);
  /** Of the file before: what stands behind its last signed line. */
  #leftBefore = Buffer.alloc(0);

  constructor(script: Buffer) {
    for (const byte of script.subarray(0, MOST_STEPS)) this.#step(byte & 15, byte >> 4);
    this.#nextFile();
  }

  #step(what: number, how: number): void {
    const key = KEYS[this.#writer % 2] ?? KEYS[0];
    const publicKey = key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const named = { log: '0'.repeat(32), publicKey: how === 15 ? 'x' : publicKey, file: this.files.length + 1 };
    switch (what) {
      case 0: {
        this.#write({ type: 'start', release: '0', pid: 1, user: null, ...named }, how % 2 === 0);
        return;
      }
      case 1:
      case 2: {
        const lost = { entries: how, signatures: how % 3, code: null, since: new Date(0).toISOString() };
        this.#write({ type: 'lost', ...lost }, what === 1);
        return;
      }
      case 3: {
        this.#write({ type: 'checkpoint', reason: CHECKPOINTS[how % 4] ?? 'end' }, true);
        return;
      }
      case 4:
      case 5: {
        if (what === 4) this.#nextFile();
        const reason = CONTINUES[how % CONTINUES.length] ?? 'moved';
        this.#write({ type: 'continue', reason, after: null, aside: how > 7 ? 'x' : null, ...named }, how === 0);
        return;
      }
      case 6:
      case 7: {
        // what stands behind the last signed line of this file, or of the one before; or a byte more
        const left = what === 6 ? this.#file.subarray(this.#signed) : this.#leftBefore;
        const sha256 = createHash('sha256').update(left).digest('hex');
        const bytes = left.length + (how === 3 ? 1 : 0);
        this.#write({ type: 'recovered', bytes, sha256, cause: how % 2 === 0 ? 'cut-off' : 'foreign' }, how > 7);
        return;
      }
      case 8: {
        this.#write({ type: 'unproven', from: 1, to: this.#head.seq }, how % 2 === 0);
        return;
      }
      case 9: {
        this.#append(Buffer.from('{"v":1,"seq":2}'.slice(0, how) + (how % 2 === 0 ? '\n' : '')));
        return;
      }
      case 10:
        this.#file = this.#file.subarray(0, Math.max(0, this.#file.length - (1 << how)));
        return;
      case 11: {
        this.#nextFile();
        return;
      }
      case 12:
        this.#head = this.heads.at(-how) ?? NO_HEAD;
        return;
      case 13: {
        this.#append(how === 0 ? Buffer.alloc(70_000, 'x') : Buffer.from('\n'));
        return;
      }
      case 14:
        this.#writer = how;
        return;
      default: {
        this.#append(this.#last);
        return;
      }
    }
  }

  #nextFile(): void {
    this.#leftBefore = this.#file.subarray(this.#signed);
    this.files.push(this.#file);
    this.#file = Buffer.alloc(0);
    this.#signed = 0;
  }

  #append(bytes: Buffer): void {
    this.#file = Buffer.concat([this.#file, bytes]);
  }

  #write(entry: Entry, isLast: boolean): void {
    const key = KEYS[this.#writer % 2] ?? KEYS[0];
    const { text, head } = formatLine(entry, this.#head, new Date(0), key.privateKey, isLast);
    this.#last = Buffer.from(text);
    this.#append(this.#last);
    if (isLast || entry.type === 'checkpoint') this.#signed = this.#file.length;
    this.#head = head;
    this.heads.push(head);
  }
}

/** With what the log itself names, with the key of one of its agents, with what a state directory knows. */
function askings(heads: readonly Head[]): ConstructorParameters<typeof Verifier>[0][] {
  return [{}, { keys: [KEYS[0].publicKey] }, { heads: heads.slice(-3), restAt: 'elsewhere' }];
}

const step = (what: number, how = 0): number => what | (how << 4);
const script = (...steps: readonly number[]): Buffer => Buffer.from(steps);

/** Logs whose lines are genuine, of which mutated text has none: their order, and what is between them, is what is wrong. */
export const LOG_TARGET: Target = {
  name: 'audit logs, line by line',
  places: ['/src/audit/verifier.ts', '/src/audit/breaks.ts', '/src/audit/gap.ts'],
  seeds: [
    script(step(0, 1), step(3), step(1), step(3, 3)),
    // rotated, and gone on
    script(step(0, 1), step(3), step(1), step(3, 2), step(4), step(3, 1), step(3, 3)),
    // cut off in a line, and told of
    script(step(0, 1), step(3), step(2), step(10, 3), step(6), step(3, 1)),
    // the same at the end of a file before
    script(step(0, 1), step(3), step(2), step(10, 3), step(12, 2), step(4, 1), step(7), step(3, 1)),
    // a log that is not there any more, and one of another agent
    script(step(0, 1), step(3), step(11), step(4, 5), step(3, 1), step(14, 1), step(0), step(8), step(3, 3)),
    script(step(9, 4), step(13), step(13, 1), step(15), step(0), step(15), step(12, 3), step(1), step(3)),
  ],
  read: (bytes, pick) => {
    const { files, heads } = new ScriptedLog(bytes);
    const verdict = (
      options: ConstructorParameters<typeof Verifier>[0],
      isCut: boolean,
    ): ReturnType<Verifier['finish']> => {
      const verifier = new Verifier(options);
      for (const [index, file] of files.entries()) {
        verifier.beginFile(`${index}`);
        for (const part of isCut ? pieces(file, pick) : [file]) verifier.push(part);
        verifier.endFile();
      }
      return verifier.finish();
    };
    const lines = files.reduce((sum, file) => sum + file.toString('latin1').split('\n').length, 0);
    let isTaken = false;
    for (const options of askings(heads)) {
      const whole = verdict(options, false);
      expect(verdict(options, true)).toEqual(whole);
      expect(whole.entries).toBeLessThanOrEqual(lines);
      for (const { text } of [...whole.faults, ...whole.notes]) expect(text).not.toMatch(/\n|undefined|NaN|Infinity/);
      if (whole.faults.length === 0) isTaken = true;
    }
    return isTaken;
  },
};
