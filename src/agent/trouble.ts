import type { Level, Log } from './log.ts';

/** Time, as the agent sees it. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls once after so many milliseconds. Returns how to call that off. Does not keep the process alive. */
  after(milliseconds: number, call: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, call) => {
    const timer = setTimeout(call, milliseconds);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

/** What keeps something from working. */
export interface Complaint {
  /** `error` where it needs a person. */
  readonly level: Extract<Level, 'warn' | 'error'>;
  /** The log line's text. */
  readonly text: string;
  readonly fields?: object;
  /** Milliseconds for which it may last before a word is said. Default 0. */
  readonly patience?: number;
}

/** Milliseconds from the first line to the second; each further pause is twice as long. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 600_000;

interface Episode {
  complaint: Complaint;
  readonly since: number;
  /** How often it was said, when last, and how loud. */
  times: number;
  at: number;
  level: Complaint['level'];
}

/**
 * Says what keeps one thing from working: once that has lasted for a while, then again after 5, 10, 20 s and so on up to
 * ten minutes, until it is over.
 */
export class Trouble {
  readonly #log: Log;
  readonly #fields: object;
  readonly #clock: Clock;
  readonly #over: string;
  #episode: Episode | undefined;
  #stopTimer: () => void = () => undefined;

  /**
   * @param fields of each line
   * @param over the text of the line that says, at level info, that it is over
   */
  constructor(log: Log, fields: object, over: string, clock: Clock = SYSTEM_CLOCK) {
    this.#log = log;
    this.#fields = fields;
    this.#over = over;
    this.#clock = clock;
  }

  /** This is what is wrong from now on. If something was before, patience and pauses count on from there. */
  set(complaint: Complaint): void {
    const now = this.#clock.now();
    this.#episode ??= { complaint, since: now, times: 0, at: now, level: 'warn' };
    this.#episode.complaint = complaint;
    this.#sayInTime(this.#episode);
  }

  /** Says nothing until it is set again, but does not take it for over. */
  hush(): void {
    this.#stopTimer();
  }

  /** It is over. */
  clear(): void {
    const episode = this.#episode;
    this.stop();
    if (episode !== undefined && episode.times > 0)
      this.#log.info({ ...this.#fields, seconds: this.#lasted(episode) }, this.#over);
  }

  /** Nobody is to hear of it any more. */
  stop(): void {
    this.#stopTimer();
    this.#episode = undefined;
  }

  #sayInTime(episode: Episode): void {
    this.#stopTimer();
    const { complaint, since, times, at, level } = episode;
    const isLouder = complaint.level === 'error' && level === 'warn';
    const pause = Math.min(FIRST_PAUSE * 2 ** (times - 1), LONGEST_PAUSE);
    const due = times === 0 || isLouder ? since + (complaint.patience ?? 0) : at + pause;
    const wait = due - this.#clock.now();
    if (wait > 0) {
      this.#stopTimer = this.#clock.after(wait, () => {
        this.#say(episode);
      });
    } else {
      this.#say(episode);
    }
  }

  #say(episode: Episode): void {
    const { level, text, fields } = episode.complaint;
    const seconds = this.#lasted(episode);
    this.#log[level]({ ...this.#fields, ...fields, ...(seconds > 0 && { seconds }) }, text);
    episode.times += 1;
    episode.at = this.#clock.now();
    episode.level = level;
    this.#sayInTime(episode);
  }

  #lasted({ since }: Episode): number {
    return Math.round((this.#clock.now() - since) / 1000);
  }
}
