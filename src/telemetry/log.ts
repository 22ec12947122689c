import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from '../log-level.ts';
import { printable, printableJson } from './printable.ts';

export interface LogOptions {
  readonly level: LogLevel;
  /** Human-readable lines instead of JSON. */
  readonly pretty: boolean;
  readonly write: (line: string) => void;
}

/** The second net under `Secret`: whatever is logged under these names never shows. */
const SECRET_NAMES: ReadonlySet<string> = new Set(['pin', 'password', 'passphrase', 'secret']);

/** The fields without secrets. By ourselves: pino's `redact` copies every record, and costs more than the rest of a line. */
function censored(fields: Record<string, unknown>): Record<string, unknown> {
  if (!Object.entries(fields).some(([name, value]) => isSecret(name, value))) return fields;
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      SECRET_NAMES.has(name) ? '<redacted>' : isPlain(value) ? censored(value) : value,
    ]),
  );
}

/** Whether it, or anything in it, is not to be shown. */
function isSecret(name: string, value: unknown): boolean {
  return SECRET_NAMES.has(name) || (isPlain(value) && Object.entries(value).some(([each, it]) => isSecret(each, it)));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && (Array.isArray(value) || value.constructor === Object);
}

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

/** When what is logged now came about, if that was before. */
let past: number | undefined;

/** Logs what came about at `time` (of Date.now). */
export function logAsOf(time: number, write: () => void): void {
  past = time;
  try {
    write();
  } finally {
    past = undefined;
  }
}

const timestamp = (): string => `,"time":"${new Date(past ?? Date.now()).toISOString()}"`;

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
      timestamp,
      formatters: { level: (label) => ({ level: label }), log: censored },
    },
    destination,
  );
}
