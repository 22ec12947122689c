/** The logger that the agent writes to; pino's fits. */
export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export type Level = keyof Log;

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
 * A log for what others can make happen as often as they like: of lines with one text some are left out where there are
 * hundreds, since they would fill a disk. The next one that is written says how many.
 * @param now milliseconds
 */
export function limitedLog(log: Log, now: () => number): Log {
  const allowances = new Map<string, Allowance>();
  const write = (level: Level, fields: object, text: string): void => {
    const at = now();
    // texts are the agent's own and few: what comes from outside stands in the fields
    const allowance = allowances.get(text) ?? { left: BURST, at, suppressed: 0 };
    allowances.set(text, allowance);
    allowance.left = Math.min(BURST, allowance.left + ((at - allowance.at) / 1000) * RATE);
    allowance.at = at;
    if (allowance.left < 1) {
      allowance.suppressed += 1;
      return;
    }
    allowance.left -= 1;
    log[level](allowance.suppressed === 0 ? fields : { ...fields, suppressed: allowance.suppressed }, text);
    allowance.suppressed = 0;
  };
  return {
    debug: (fields, text) => {
      write('debug', fields, text);
    },
    info: (fields, text) => {
      write('info', fields, text);
    },
    warn: (fields, text) => {
      write('warn', fields, text);
    },
    error: (fields, text) => {
      write('error', fields, text);
    },
  };
}
