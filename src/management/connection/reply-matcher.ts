import { parseLine } from '../wire/words.ts';
import { type Reply, ReplyCollector } from '../commands/reply.ts';
import type { ReplyShape } from '../commands/shape.ts';

/** A reply that is awaited. */
export interface AwaitedReply {
  readonly shape: ReplyShape;
  /** What its `SUCCESS:` line says, behind `SUCCESS: `. */
  readonly says: RegExp;
  /** Lines that are this reply's wherever it stands in the queue; for replies that come out of order. */
  readonly claims?: RegExp | undefined;
  /** The block that was sent behind the command's line, without END. */
  readonly body?: readonly string[] | undefined;
  /** @param bytes the reply's lines as they came, one character a byte */
  readonly done: (reply: Reply, bytes: readonly string[]) => void;
}

interface Entry {
  readonly awaited: AwaitedReply;
  readonly collector: ReplyCollector;
  /** Its command was given up, but the daemon may still send it. */
  abandoned: boolean;
  /** Words of body lines that the daemon took for commands, each to be answered with `unknown command [WORD]`. */
  drain: string[] | undefined;
}

/** Errors about a command's own line: the daemon takes the block behind it for commands. */
const REFUSED_BEFORE_BODY =
  /is not currently available|^ERROR: cannot parse|' command requires |^ERROR: unknown command|^ERROR: Options |^ERROR: no password is currently needed|we need one of type/;

/** Acknowledgements of pk-sig, rsa-sig and certificate that may be due after their commands were given up. */
const MAX_STALE_ANSWERS = 16;

/** `version N` is acknowledged by some daemons only; one that is not awaited is dropped. */
const VERSION_ACKNOWLEDGED = 'SUCCESS: Management client version set to ';

/**
 * Tells whose reply a line is. The daemon answers in order, but for the blocks that answer its own requests (pk-sig,
 * rsa-sig, certificate): it acknowledges those after whatever came in the same read (management_query_multiline in
 * manage.c). So lines are matched first by what they say, then by order.
 */
export class ReplyMatcher {
  #entries: Entry[] = [];
  readonly #maxHeld: number | undefined;

  /** @param maxHeld bytes of memory that one reply may take */
  constructor(maxHeld?: number) {
    this.#maxHeld = maxHeld;
  }

  /** Replies that are still waited for. */
  get size(): number {
    return this.#entries.filter((entry) => !entry.abandoned && entry.drain === undefined).length;
  }

  /** Replies that the daemon owes, of commands that were given up too. */
  get due(): number {
    return this.#entries.length;
  }

  /** The command was sent: its reply is awaited from now on. Returns how to stop waiting for it. */
  push(awaited: AwaitedReply): () => void {
    if (awaited.claims !== undefined) this.#forgetAnswers();
    const entry: Entry = {
      awaited,
      collector: new ReplyCollector(awaited.shape, this.#maxHeld),
      abandoned: false,
      drain: undefined,
    };
    this.#entries.push(entry);
    return () => {
      entry.abandoned = true;
      entry.collector.discard();
    };
  }

  /**
   * Takes a line that isn't a notification; false if no reply is due that it could belong to.
   *
   * @param bytes the line as it came, one character a byte
   */
  take(line: string, bytes: string = line): boolean {
    const entry = this.#owner(line);
    if (entry === undefined) return line.startsWith(VERSION_ACKNOWLEDGED) || line === '';
    this.#feed(entry, line, bytes);
    return true;
  }

  /** Whether a line belongs to the reply that has begun, though it begins as notifications do. */
  holds(line: string): boolean {
    return this.#entries.some(({ collector }) => collector.holds(line));
  }

  /** Takes a notification that is the reply of a command (pkcs11-id-count, pkcs11-id-get); false if none awaits it. */
  takeNotification(word: string, line: string, bytes: string = line): boolean {
    const entry = this.#entries.find((each) => each.collector.notificationWord === word);
    if (entry === undefined) return false;
    this.#feed(entry, line, bytes);
    return true;
  }

  #owner(line: string): Entry | undefined {
    const open = this.#entries.find((entry) => entry.collector.open);
    if (open !== undefined) return open;
    const claiming = this.#entries.find((entry) => claims(entry, line));
    if (claiming !== undefined) return claiming;
    const inOrder = this.#entries.filter((entry) => entry.awaited.claims === undefined && entry.drain === undefined);
    const success = /^SUCCESS: ?(.*)$/s.exec(line)?.[1];
    const fitting = inOrder.find((entry) => success !== undefined && entry.awaited.says.test(success));
    // the daemon answers in order: a reply that was given up and should have come before this one never comes
    if (fitting !== undefined && inOrder.slice(0, inOrder.indexOf(fitting)).every((entry) => entry.abandoned))
      return fitting;
    if (line.startsWith(VERSION_ACKNOWLEDGED)) return undefined;
    const first = inOrder[0];
    if (first === undefined || line.startsWith('ERROR:')) return first;
    // what can't be the beginning of the reply that is due
    const due = first.awaited.shape.parts[0]?.kind;
    return due === 'notification' || (due === 'block' && success !== undefined) ? undefined : first;
  }

  #feed(entry: Entry, line: string, bytes: string): void {
    if (entry.drain !== undefined) {
      entry.drain.shift();
      if (entry.drain.length === 0) this.#remove(entry);
      return;
    }
    entry.collector.push(line, bytes);
    if (!entry.collector.done) return;
    const reply = entry.collector.reply();
    if (entry.awaited.claims === undefined) this.#forgetBefore(entry);
    if (entry.awaited.body !== undefined && REFUSED_BEFORE_BODY.test(line)) {
      entry.drain = [...entry.awaited.body, 'END'].flatMap((text) => parseLine(text)?.[0] ?? []);
    } else {
      this.#remove(entry);
    }
    if (!entry.abandoned) entry.awaited.done(reply, entry.collector.bytes);
  }

  /** Acknowledgements of answers that were given up, to a daemon that asked again since, are kept only while they are few. */
  #forgetAnswers(): void {
    const isStale = ({ awaited, abandoned, drain }: Entry): boolean =>
      awaited.claims !== undefined && (abandoned || drain !== undefined);
    let excess = this.#entries.filter(isStale).length - MAX_STALE_ANSWERS;
    if (excess > 0) this.#entries = this.#entries.filter((entry) => !(isStale(entry) && excess-- > 0));
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter((each) => each !== entry);
  }

  /** An answer in order shows that what was sent before it, and isn't awaited any more, is over. */
  #forgetBefore(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    const over = (each: Entry): boolean =>
      each.drain !== undefined || (each.abandoned && each.awaited.claims === undefined);
    this.#entries = this.#entries.filter((each, index) => index >= at || !over(each));
  }
}

function claims(entry: Entry, line: string): boolean {
  const word = entry.drain?.[0];
  // before 2.7 the daemon doesn't name the command
  if (entry.drain !== undefined)
    return (
      word !== undefined &&
      (line.startsWith(`ERROR: unknown command [${word}]`) || line.startsWith('ERROR: unknown command, '))
    );
  return entry.awaited.claims?.test(line) === true && !entry.collector.done;
}
