import { AgentError } from '../../errors.ts';
import { heldLine } from '../wire/held-bytes.ts';
import { hasEnvironment, notificationWord, parseNotification } from './notification.ts';
import type { Notification } from './types.ts';

/** A notification and the lines that it was made of, as they came. */
export interface AssembledNotification {
  readonly notification: Notification;
  readonly lines: readonly string[];
  /** The same lines with one character a byte (latin1), for those who pass them on unchanged. */
  readonly bytes: readonly string[];
}

interface Block {
  readonly lines: string[];
  readonly bytes: string[];
  held: number;
}

/** How much of one ENV block is kept: far more than a daemon's own limits allow. In bytes as they are held. */
const MAX_BLOCK_LINES = 4096;
const MAX_BLOCK_BYTES = 4 * 1024 * 1024;

/** Lines that start with `>` to notifications; joins those that span lines, whatever comes between their lines. */
export class NotificationAssembler {
  /** Those that were begun; of many connections few have any. */
  #open: Map<string, Block> | undefined;

  /**
   * Takes one line and hands out the notifications that it completes.
   *
   * @param bytes the line as it came, one character a byte
   * @throws AgentError ERR_MANAGEMENT_LIMIT if an ENV block has more than 4,096 lines or takes more than 4 MiB
   */
  push(line: string, truncated: boolean, sink: (assembled: AssembledNotification) => void, bytes: string = line): void {
    const word = notificationWord(line);
    // only these two span lines
    if (!truncated && word !== 'CLIENT' && word !== 'UPDOWN') {
      sink({ notification: parseNotification([line]), lines: [line], bytes: [bytes] });
      return;
    }
    const block = this.#open?.get(word);
    const prefix = `>${word}:ENV,`;
    if (block !== undefined && line.startsWith(prefix)) {
      // a variable that the daemon cut is kept as far as it came
      block.lines.push(line);
      block.bytes.push(bytes);
      block.held += heldLine(line, bytes);
      if (block.lines.length > MAX_BLOCK_LINES || block.held > MAX_BLOCK_BYTES)
        throw new AgentError('ERR_MANAGEMENT_LIMIT', `a ${word} notification is too long to be held`);
      // cut there by the stream's end, it may have been the beginning of a variable's name
      if (line === `${prefix}END` && !truncated) this.#finish(word, sink);
      return;
    }
    if (block !== undefined && hasEnvironment(line)) this.#giveUp(word, sink);
    if (truncated) {
      sink({ notification: { type: 'TRUNCATED', of: word, line: line.slice(1) }, lines: [line], bytes: [bytes] });
    } else if (hasEnvironment(line)) {
      this.#open ??= new Map();
      this.#open.set(word, { lines: [line], bytes: [bytes], held: heldLine(line, bytes) });
    } else {
      sink({ notification: parseNotification([line]), lines: [line], bytes: [bytes] });
    }
  }

  /** The connection has ended: what was begun is TRUNCATED. */
  end(sink: (assembled: AssembledNotification) => void): void {
    for (const word of this.#open?.keys() ?? []) this.#giveUp(word, sink);
  }

  /** A block whose END never came says nothing that one could act upon: variables may be missing. */
  #giveUp(word: string, sink: (assembled: AssembledNotification) => void): void {
    const { lines, bytes } = this.#take(word);
    sink({ notification: { type: 'TRUNCATED', of: word, line: lines[0]?.slice(1) ?? '' }, lines, bytes });
  }

  #finish(word: string, sink: (assembled: AssembledNotification) => void): void {
    const { lines, bytes } = this.#take(word);
    sink({ notification: parseNotification(lines), lines, bytes });
  }

  #take(word: string): Pick<Block, 'lines' | 'bytes'> {
    const block = this.#open?.get(word) ?? { lines: [], bytes: [] };
    this.#open?.delete(word);
    return block;
  }
}
