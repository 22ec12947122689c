/**
 * The cost of a line while it is held, in bytes beside its characters: the string's own head, and its places in arrays.
 * An empty line is not free: a daemon that sends a hundred million of them would end the process.
 */
const LINE_BYTES = 64;
/** The cost of a parsed notification beside its lines. */
const NOTIFICATION_BYTES = 256;
/** V8 keeps a string with any character above U+00FF in two bytes a character. */
const CHARACTER_BYTES = 2;

/**
 * How many bytes of memory a line takes at most while it is held.
 *
 * @param bytes the line as it came, if that is held too: a second string where it isn't ASCII
 */
export function heldLine(line: string, bytes: string = line): number {
  return LINE_BYTES + CHARACTER_BYTES * line.length + (bytes === line ? 0 : LINE_BYTES + bytes.length);
}

/** How many bytes of memory a notification that came in these lines takes at most while it waits. */
export function heldNotification(lines: readonly string[], bytes: readonly string[] = lines): number {
  return lines.reduce((sum, line, index) => sum + heldLine(line, bytes[index]), NOTIFICATION_BYTES);
}

/** How much of what a daemon sent may be held in one place, in bytes, by default: 256 MiB. */
export const DEFAULT_MAX_HELD: number = 256 * 1024 * 1024;
