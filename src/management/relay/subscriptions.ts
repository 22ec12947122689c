/** Notifications that a daemon sends only to clients that asked for them, until they leave. */
export const TOPICS = ['log', 'state', 'echo'] as const;
export type Topic = (typeof TOPICS)[number];

/** The notifications that one client asked for. */
export class Subscriptions {
  /** From the moment when it asks: what the daemon is to be asked for. */
  readonly wanted: Set<Topic> = new Set<Topic>();
  /** From the reply on: what it gets. */
  readonly active: Set<Topic> = new Set<Topic>();
  /** Seconds between its byte counts, 0 for none; wanted and active as above. */
  wantedInterval = 0;
  #interval = 0;
  readonly #due = new Map<string, number>();

  /** The reply to `bytecount` is out. */
  startByteCounts(): void {
    this.#interval = this.wantedInterval;
    this.#due.clear();
  }

  /** The command that asked last was not carried out. */
  forgetWanted(): void {
    this.wanted.clear();
    for (const topic of this.active) this.wanted.add(topic);
    this.wantedInterval = this.#interval;
  }

  /**
   * Whether a byte count that came now is for this client. The daemon sends them in the shortest interval that
   * a client wants: of those, each gets the first in each interval of its own.
   *
   * @param source whose count it is: a client ID on servers
   * @param now milliseconds
   * @param upstream seconds between the counts that come
   */
  takesByteCount(source: string, now: number, upstream: number): boolean {
    if (this.#interval === 0) return false;
    const interval = this.#interval * 1000;
    if (this.#interval <= upstream) return true;
    const due = this.#due.get(source) ?? now - upstream * 1000 + interval;
    // the daemon's timer and ours don't tick together
    const early = (upstream * 1000) / 4;
    const takes = now >= due - early;
    this.#due.set(source, takes ? Math.max(due + interval, now) : due);
    return takes;
  }
}

/** The words of `log on all` and its like, with `off` as `on` where others still want what this client doesn't. */
export function forwardedWords(words: readonly string[], othersWant: boolean): readonly string[] {
  return words.map((word, index) => (othersWant && word === 'off' && index > 0 && index < 3 ? 'on' : word));
}

/** What `on` and `off` in those words did, given the reply's lines, and those lines as the client is to see them. */
export function outcome(
  topic: Topic,
  words: readonly string[],
  reply: readonly string[],
): { readonly lines: readonly string[]; readonly on: boolean | undefined } {
  const switches = words.slice(1, 3).filter((word) => word === 'on' || word === 'off');
  let on: boolean | undefined;
  const success = `SUCCESS: real-time ${topic} notification set to `;
  const lines = reply.map((line) => {
    if (!line.startsWith(success)) return line;
    const word = switches.shift();
    if (word === undefined) return line;
    on = word === 'on';
    return `${success}${on ? 'ON' : 'OFF'}`;
  });
  return { lines, on };
}
