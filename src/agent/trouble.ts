import type { Clock } from '../clock.ts';
import type { Emit, TroubleDetails, TroubleEvent, TroubleKind, TroubleSubject } from './events.ts';

/** What keeps something from working. */
export interface Complaint {
  readonly trouble: TroubleKind;
  /** `error` where it needs a person. */
  readonly level: 'warn' | 'error';
  readonly details?: TroubleDetails;
  /** Milliseconds for which it may last before it is told. Default 0. */
  readonly patience?: number;
  /** There is a socket, or a host, and nobody listens there (yet): a daemon makes its socket first, then listens. */
  readonly isRefused?: boolean;
}

/** Milliseconds in which a person at a client of the relay may answer, before a word is said. */
export const RELAY_PATIENCE = 15_000;
/** Milliseconds from the first event to the second; each further pause is twice as long. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 600_000;

/** One for all: a tunnel has two troubles for each of its connections. */
const NOTHING = (): void => undefined;

interface Episode {
  complaint: Complaint;
  readonly since: number;
  /** How often it was told, when last, and how loud. */
  times: number;
  at: number;
  level: Complaint['level'];
}

/**
 * Tells what keeps one thing from working: once that has lasted for a while, then again after 5, 10, 20 s and so on up to
 * ten minutes, until it is over.
 */
export class Trouble {
  readonly #emit: Emit<TroubleEvent>;
  readonly #subject: TroubleSubject;
  readonly #clock: Clock;
  #episode: Episode | undefined;
  #stopTimer: () => void = NOTHING;

  constructor(emit: Emit<TroubleEvent>, subject: TroubleSubject, clock: Clock) {
    this.#emit = emit;
    this.#subject = subject;
    this.#clock = clock;
  }

  /** This is what is wrong from now on. If something was before, patience and pauses count on from there. */
  set(complaint: Complaint): void {
    const now = this.#clock.now();
    this.#episode ??= { complaint, since: now, times: 0, at: now, level: 'warn' };
    this.#episode.complaint = complaint;
    this.#tellInTime(this.#episode);
  }

  /** Tells nothing until it is set again, but does not take it for over. */
  hush(): void {
    this.#stopTimer();
  }

  /** It is over. */
  clear(): void {
    const episode = this.#episode;
    this.stop();
    if (episode !== undefined && episode.times > 0)
      this.#emit({ type: 'trouble-over', subject: this.#subject, seconds: this.#lasted(episode) });
  }

  /** Nothing is to be told of it any more. */
  stop(): void {
    this.#stopTimer();
    this.#episode = undefined;
  }

  #tellInTime(episode: Episode): void {
    this.#stopTimer();
    const { complaint, since, times, at, level } = episode;
    const isLouder = complaint.level === 'error' && level === 'warn';
    const pause = Math.min(FIRST_PAUSE * 2 ** (times - 1), LONGEST_PAUSE);
    const due = times === 0 || isLouder ? since + (complaint.patience ?? 0) : at + pause;
    const wait = due - this.#clock.now();
    if (wait > 0) {
      this.#stopTimer = this.#clock.after(wait, () => {
        this.#tell(episode);
      });
    } else {
      this.#tell(episode);
    }
  }

  #tell(episode: Episode): void {
    const { trouble, level, details = {} } = episode.complaint;
    this.#emit({ type: 'trouble', trouble, level, details, seconds: this.#lasted(episode) });
    episode.times += 1;
    episode.at = this.#clock.now();
    episode.level = level;
    this.#tellInTime(episode);
  }

  #lasted({ since }: Episode): number {
    return Math.round((this.#clock.now() - since) / 1000);
  }
}
