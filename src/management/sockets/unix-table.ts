import { readFileSync } from 'node:fs';

/** A unix socket that listens, or what else a socket's number stands for. */
export interface UnixRow {
  readonly isListeningStream: boolean;
  /** Absent of a socket without a name; of one in the abstract namespace it begins with `@`. */
  readonly path: string | undefined;
}

const ACCEPTS = 0x10000;
const STREAM = 1;

/**
 * The unix socket of this number, by /proc/net/unix (net/unix/af_unix.c): Node does not tell of a descriptor what path it has.
 * @returns undefined for another kind of socket, one of another network namespace, and where there is no such file
 */
export function readUnixRow(inode: number): UnixRow | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/self/net/unix', 'utf8');
  } catch {
    return undefined;
  }
  return unixRow(text, inode);
}

/** As {@link readUnixRow}, from the file's content. */
export function unixRow(text: string, inode: number): UnixRow | undefined {
  for (const line of text.split('\n')) {
    // Num: RefCount Protocol Flags Type St Inode [Path]
    const [, flags = '', type = '', own = '', path] =
      /^\S+ \S+ \S+ ([0-9A-F]+) ([0-9A-F]+) [0-9A-F]+ +(\d+)(?: (.*))?$/.exec(line) ?? [];
    if (Number(own) !== inode || own === '') continue;
    const isListeningStream =
      Number.parseInt(type, 16) === STREAM && (Number.parseInt(flags, 16) & ACCEPTS) === ACCEPTS;
    return { isListeningStream, path };
  }
  return undefined;
}
