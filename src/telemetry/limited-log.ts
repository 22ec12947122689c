/** The logger that lines are written to; pino's fits. */
export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export type Level = keyof Log;

/** A line of the log, before it is written. */
export interface Line {
  readonly level: Level;
  readonly fields: object;
  readonly text: string;
}

/** Lines of one text that may be written at once… */
const BURST = 100;
/** …and in each second from then on. */
const RATE = 2;

interface Allowance {
  /** Lines that may be written now. */
  left: number;
  /** When it was reckoned last, in milliseconds. */
  at: number;
  /** Lines that were not written since one was. */
  suppressed: number;
}

/**
 * Writes lines that others can cause as often as they like: of lines with one text some are left out where there are
 * hundreds, since they would fill a disk. The next one that is written says how many.
 */
export class LimitedLog {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #allowances = new Map<string, Allowance>();

  /** @param now milliseconds */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  write({ level, fields, text }: Line): void {
    const at = this.#now();
    // texts are the agent's own and few: what comes from outside stands in the fields
    const allowance = this.#allowances.get(text) ?? { left: BURST, at, suppressed: 0 };
    this.#allowances.set(text, allowance);
    allowance.left = Math.min(BURST, allowance.left + ((at - allowance.at) / 1000) * RATE);
    allowance.at = at;
    if (allowance.left < 1) {
      allowance.suppressed += 1;
      return;
    }
    allowance.left -= 1;
    this.#log[level](allowance.suppressed === 0 ? fields : { ...fields, suppressed: allowance.suppressed }, text);
    allowance.suppressed = 0;
  }
}
