import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Entry, Head } from '../../../../src/audit/entry.ts';
import { NO_HEAD } from '../../../../src/audit/entry.ts';
import { formatLine, parseLine } from '../../../../src/audit/line.ts';

/** Somebody who can write the log's files, and has not got the agent's key. */
const { privateKey } = generateKeyPairSync('ed25519');

/** Lines with hashes that fit, signed by a key of his own or not at all. */
export function forgedLines(entries: readonly Entry[], head: Head = NO_HEAD, isSigned = false): string {
  let text = '';
  for (const [index, entry] of entries.entries()) {
    const isLast = isSigned && index === entries.length - 1;
    const line = formatLine(entry, head, new Date(), privateKey, isLast);
    text += line.text;
    head = line.head;
  }
  return text;
}

/** What looks like a request that was signed. */
export const INVENTED: Entry = {
  ...{ type: 'outcome', of: null, tunnel: 'invented', daemon: { pid: 1, user: 1000 }, key: null, scheme: 'ECDSA' },
  ...{ data: 'ab'.repeat(32), context: null, outcome: 'signed', code: null, signature: 'cd'.repeat(32), duration: 1 },
};

export function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
}

/** The last line that can be read in a file. */
export function headOf(path: string): Head {
  const entries = linesOf(path).flatMap((line) => {
    const entry = parseLine(Buffer.from(line));
    return typeof entry === 'string' ? [] : [{ seq: entry.seq, hash: entry.hash }];
  });
  return entries.at(-1) ?? NO_HEAD;
}

/** Changes a line, and the hashes of all from there on. Signatures stay as they are. */
export function rewritten(lines: readonly string[], at: number, change: (line: string) => string): string {
  let prev = '0'.repeat(64);
  let text = '';
  for (const [index, line] of lines.entries()) {
    const changed = index === at ? change(line) : line;
    const body = changed.replace(/,"hash":"[0-9a-f]{64}"\}$/, '');
    const linked = index < at ? body : body.replace(/"prev":"[0-9a-f]{64}"/, `"prev":"${prev}"`);
    prev = createHash('sha256').update(linked).digest('hex');
    text += `${linked},"hash":"${prev}"}\n`;
  }
  return text;
}

/** As the log's files are written. */
export function put(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
}
