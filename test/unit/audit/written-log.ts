import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { ContinueEntry, Entry, Head, RecoveredEntry } from '../../../src/audit/entry.ts';
import { NO_HEAD } from '../../../src/audit/entry.ts';
import { formatLine } from '../../../src/audit/line.ts';
import type { Finding, Verdict, VerifierOptions } from '../../../src/audit/verdict.ts';
import { Verifier } from '../../../src/audit/verifier.ts';

const LOG = '0123456789abcdef'.repeat(2);

/** A log that a test writes, line by line. */
export class WrittenLog {
  readonly pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } = generateKeyPairSync('ed25519');
  readonly lines: string[] = [];
  head: Head = NO_HEAD;

  /** @param isLast of all that is written at once */
  add(entry: Entry, isLast = true): this {
    const time = new Date(Date.UTC(2026, 0, 1) + this.lines.length * 1000);
    const { text, head } = formatLine(entry, this.head, time, this.pair.privateKey, isLast);
    this.lines.push(text);
    this.head = head;
    return this;
  }

  get #publicKey(): string {
    return this.pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  }

  start(): this {
    const publicKey = this.#publicKey;
    return this.add(
      { type: 'start', release: '1.0.0', pid: 1, user: 0, publicKey, log: LOG, file: 1 },
      false,
    ).checkpoint('start');
  }

  /** A further file. */
  continue(file: number, more: Partial<ContinueEntry> = {}, isLast = true): this {
    const about = { publicKey: this.#publicKey, log: LOG, file };
    const after = `audit.00000${file - 1}`;
    return this.add({ type: 'continue', ...about, reason: 'rotated', after, aside: null, ...more }, isLast);
  }

  /** Tells of what stands before it. */
  recovered(left: string, more: Partial<RecoveredEntry> = {}): this {
    const bytes = Buffer.from(left);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return this.add({ type: 'recovered', bytes: bytes.length, sha256, cause: 'cut-off', ...more }, false);
  }

  checkpoint(reason: 'start' | 'interval' | 'rotate' | 'end'): this {
    return this.add({ type: 'checkpoint', reason });
  }

  /** A request that was signed. */
  signed(tunnel = 'office'): this {
    const about = {
      ...{ tunnel, daemon: { pid: 4711, user: 0 }, key: 'ab'.repeat(32), scheme: 'ECDSA,hashalg=SHA256' },
      ...{ data: 'cd'.repeat(32), context: null },
    };
    this.add({ type: 'request', ...about, verdict: 'accepted', code: null, duration: null }, false);
    const of = this.head.seq;
    return this.add({
      type: 'outcome',
      of,
      ...about,
      outcome: 'signed',
      code: null,
      signature: 'ef'.repeat(32),
      duration: 3.5,
    });
  }

  /** What was written since the last time, as a file of its own. */
  take(): string {
    return this.lines.splice(0).join('');
  }

  get text(): string {
    return this.lines.join('');
  }

  verify(files: readonly (string | Buffer)[] = [this.text], options: VerifierOptions = {}): Verdict {
    const { head, pair } = this;
    return verdictOf(files, { heads: [head], keys: [pair.publicKey], ...options });
  }
}

export const textsOf = (findings: readonly Finding[]): string[] => findings.map(({ line, text }) => `${line}: ${text}`);

/** Files are called 1, 2, … @param size of the chunks */
export function verdictOf(files: readonly (string | Buffer)[], options: VerifierOptions, size = 1000): Verdict {
  const verifier = new Verifier(options);
  for (const [index, file] of files.entries()) {
    const bytes = Buffer.from(file);
    verifier.beginFile(String(index + 1));
    for (let at = 0; at < bytes.length; at += size) verifier.push(bytes.subarray(at, at + size));
    verifier.endFile();
  }
  return verifier.finish();
}
