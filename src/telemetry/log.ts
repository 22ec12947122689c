import { pino, type DestinationStream, type Logger } from 'pino';
import { printable, printableJson } from './printable.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** Human-readable lines instead of JSON. */
  readonly pretty: boolean;
  readonly write: (line: string) => void;
}

/** The second net under `Secret`: whatever is logged under these names never shows. */
const SECRET_NAMES = ['pin', 'password', 'passphrase', 'secret'];

function prettyValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** A log record as a line for a terminal: time, level, message, the rest as name=value. */
function prettyLine(json: string): string {
  const { time, level, msg, ...rest } = JSON.parse(json) as { time: string; level: string; msg?: string };
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${prettyValue(value)}`);
  return printable([time.slice(11, 19), level.toUpperCase().padEnd(5), msg ?? '', ...fields].join(' ')) + '\n';
}

/** The process's logger: one record a line, with nothing in it that acts on a terminal. */
export function createLog({ level, pretty, write }: LogOptions): Logger {
  const destination: DestinationStream = {
    write: (json) => {
      write(pretty ? prettyLine(json) : printableJson(json));
    },
  };
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: '<redacted>' },
    },
    destination,
  );
}
