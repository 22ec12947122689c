// Time, chance and processes of a simulated world. All that runs in it is begun by one of its events, one after the other: so
// that a seed makes the same world each time.
import { Random } from './random.ts';

/** What one run of the agent holds. When it has died, nothing in it runs any more: all that would begin it is dropped. */
export class Process {
  readonly pid: number;
  isAlive = true;
  /** It was told to end in good order. */
  isStopping = false;
  diedAt = 0;
  /** It has ended by itself: what it had to write down is written. */
  hasEnded = false;
  /** What a token said could not be written down. */
  hasUnrecordedPins = false;
  /** System calls of it that have not come back. */
  calls = 0;
  /** What it has not given back, by kind. */
  readonly held: Map<string, Set<object>> = new Map<string, Set<object>>();
  /** Ends what the system ends with a process. */
  readonly onDeath: (() => void)[] = [];

  constructor(pid: number) {
    this.pid = pid;
  }

  hold(kind: string, what: object): void {
    const all = this.held.get(kind) ?? new Set();
    this.held.set(kind, all);
    all.add(what);
  }

  release(kind: string, what: object): void {
    this.held.get(kind)?.delete(what);
  }

  count(kind: string): number {
    return this.held.get(kind)?.size ?? 0;
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly owner: Process | undefined;
  readonly call: () => void;
  isOff: boolean;
}

/** Where the wall clock of each world begins. */
const BEGINNING = globalThis.Date.UTC(2026, 5, 1, 12);
/** Milliseconds that a world lasts at most. */
const LONGEST = 3_600_000;
const realImmediate = globalThis.setImmediate;

export class Kernel {
  /** Milliseconds since the world began; they only grow. */
  now = 0;
  /** What the wall clock is ahead of that. */
  wallOffset: number = BEGINNING;
  readonly random: Random;
  readonly violations: string[] = [];
  /** What happened, a line each; undefined if nobody reads it. */
  readonly lines: string[] | undefined;
  readonly counts: Map<string, number> = new Map<string, number>();
  process: Process;
  events = 0;
  /** How long what the system does takes, as a rule, in milliseconds. */
  readonly #heap: Event[] = [];
  #order = 0;
  #pids = 1000;

  constructor(seed: number, isLogged: boolean) {
    this.random = new Random(seed);
    this.lines = isLogged ? [] : undefined;
    this.process = new Process(this.#pids);
  }

  get wall(): number {
    return Math.floor(this.wallOffset + this.now);
  }

  /** @param what a text that is dear to make is made only if somebody reads it */
  say(who: string, what: string | (() => string)): void {
    if (!this.lines) return;
    const text = typeof what === 'string' ? what : what();
    this.lines.push(`${(this.now / 1000).toFixed(4).padStart(9)} ${who.padEnd(10)} ${text}`);
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  violate(what: string): void {
    this.violations.push(what);
    this.say('VIOLATION', what);
  }

  nextPid(): number {
    this.#pids += 1;
    return this.#pids;
  }

  /** A process takes the place of the one that has died. */
  startProcess(): Process {
    this.process = new Process(this.nextPid());
    return this.process;
  }

  /** At once and without a word, as by SIGKILL. */
  kill(process: Process): void {
    if (!process.isAlive) return;
    process.isAlive = false;
    process.diedAt = this.now;
    for (const call of process.onDeath.splice(0)) call();
  }

  /** Calls after so many milliseconds, unless its owner has died by then. */
  after(milliseconds: number, call: () => void, owner?: Process): () => void {
    const wait = Number.isFinite(milliseconds) && milliseconds > 0 ? milliseconds : 0;
    const event: Event = { at: this.now + wait, order: this.#order++, owner, call, isOff: false };
    this.#push(event);
    return () => {
      event.isOff = true;
    };
  }

  /** A system call of the agent: settles later, or never if the process dies. @param hang milliseconds more than usual */
  io<Result>(work: () => Result, hang = 0): Promise<Result> {
    const owner = this.process;
    owner.calls += 1;
    return new Promise((resolve, reject) => {
      this.after(
        0.05 + this.random.next() * 1.5 + hang,
        () => {
          owner.calls -= 1;
          try {
            resolve(work());
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        },
        owner,
      );
    });
  }

  /** Runs until it is `over`. @returns whether there was nothing left to happen before */
  async run(over: () => boolean): Promise<boolean> {
    for (;;) {
      // what the event began in promises and next ticks comes to its end before
      await new Promise<void>((resolve) => {
        realImmediate(resolve);
      });
      if (over()) return false;
      const event = this.#pop();
      if (!event || this.now > LONGEST) return true;
      if (event.isOff || event.owner?.isAlive === false) continue;
      this.now = event.at;
      this.events += 1;
      try {
        event.call();
      } catch (error) {
        this.violate(`thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  }

  #isBefore(one: Event, other: Event): boolean {
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    for (let at = heap.length - 1; at > 0; ) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (!parent || !this.#isBefore(event, parent)) break;
      heap[at] = parent;
      heap[above] = event;
      at = above;
    }
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        const [one, other] = [heap[below], heap[least]];
        if (one && other && this.#isBefore(one, other)) least = below;
      }
      const [here, there] = [heap[at], heap[least]];
      if (least === at || !here || !there) return first;
      heap[at] = there;
      heap[least] = here;
      at = least;
    }
  }
}

let present: Kernel | undefined;

/** The world's that runs: Node's modules have no other way to know it. */
export function kernel(): Kernel {
  if (!present) throw new Error('no world runs');
  return present;
}

export function enter(next: Kernel | undefined): void {
  present = next;
}
