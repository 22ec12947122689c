import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { errorCode, errorText, type AgentErrorCode } from '../errors.ts';
import { LineSink } from '../telemetry/line-sink.ts';
import type { LogLevel } from '../log-level.ts';
import { createLog } from '../telemetry/log.ts';
import { printable } from '../telemetry/printable.ts';
import { EXIT } from './exit-codes.ts';

export type Logger = ReturnType<typeof createLog>;

const STDOUT = 1;
const STDERR = 2;
/** Milliseconds that the last lines get at the end for a reader that is slow. */
const LAST_LINES = 1_000;
/** Milliseconds between tries to write. */
const PAUSE = 10;

/** Is the log for a person, who reads it on a terminal? Else it is JSON, for programs. */
export const isLogPretty: boolean = isatty(STDERR);

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
}

function isRetry(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EAGAIN' || code === 'EINTR';
}

/**
 * Standard error, so that a write into it does not wait: neither for a reader who has stopped reading nor for a terminal
 * that is halted. A pipe or terminal is opened anew where the system can do that: whoever shares ours sees no change.
 */
function openStderr(): number {
  try {
    const kind = fstatSync(STDERR);
    if (kind.isFIFO() || kind.isCharacterDevice()) {
      return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    }
  } catch {
    // no /proc, or a pipe of another user
  }
  // Node's own stream makes a socket (systemd's journal) or a pipe so, and undoes it at the end
  process.stderr.on('error', () => undefined);
  return STDERR;
}

let descriptor: number | undefined;
/** Puts lines around what else stands on the terminal. */
let frame = (lines: string): string => lines;

/** Has a prompt, or a notice, stay below all lines: `around` gives them with what erases it and draws it again. */
export function frameStderr(around: (lines: string) => string): void {
  frame = around;
}

const stderr: LineSink = new LineSink({
  write: (bytes) => writeSync((descriptor ??= openStderr()), bytes),
  lostLine: (count) => {
    let line = '';
    const log = createLog({ level: 'warn', pretty: isLogPretty, write: (text) => (line = text) });
    log.warn({ lines: count }, `${count} log lines were lost`);
    return line;
  },
});

/** Lines that could not be written so far. */
export function lostLines(): number {
  return stderr.lostSoFar;
}

let putOff: (() => void)[] = [];
let soon: NodeJS.Immediate | undefined;

/**
 * Makes and writes lines at the end of this turn of the event loop, when all answers are on their way: but before any other
 * line, and before the end. No later: whoever got a signature may look for its line.
 */
export function soonOnStderr(write: () => void): void {
  putOff.push(write);
  soon ??= setImmediate(writeLinesPutOff);
}

/** Writes them now, as far as that is possible without waiting: for whoever is about to end the process. */
export function writeLinesPutOff(): void {
  clearImmediate(soon);
  soon = undefined;
  const writes = putOff;
  putOff = [];
  for (const write of writes) write();
}

/** What stands on standard error, in the order in which it came about. */
function toStderr(text: string): void {
  writeLinesPutOff();
  stderr.write(text);
}

/** A logger on standard error: JSON, or readable where that is a terminal. */
export function stderrLog(level: LogLevel, pretty: boolean = isLogPretty): Logger {
  return createLog({
    level,
    pretty,
    write: (line) => {
      toStderr(frame(line));
    },
  });
}

/** A line for people on standard error, under the command's name. */
export function complain(text: string): void {
  toStderr(frame(`pksigd: ${printable(text)}\n`));
}

/** Text on standard error as it is: lines, or what stands below all lines. */
export function writeStderr(text: string): void {
  toStderr(text);
}

/** One of several reasons why `run` ends, whatever the log's level. */
export function logDetail(code: AgentErrorCode | undefined, text: string): void {
  stderrLog('error').error(code === undefined ? {} : { code }, text);
}

/** The reason why `run` ends, as the last record of its log, whatever the log's level. */
export function logFatal(code: AgentErrorCode | undefined, text: string, stack?: string): void {
  const fields = { ...(code !== undefined && { code }), error: text, ...(stack !== undefined && { stack }) };
  stderrLog('fatal').fatal(fields, 'pksigd ends');
}

/** Ends `run` where it stands, with the reason. */
export function endAtOnce(error: unknown): void {
  logFatal(errorCode(error), errorText(error));
  flushStderr();
  process.exit(EXIT.failed);
}

/** Waits for what is still to be written on standard error, for a while. */
export function flushStderr(): void {
  writeLinesPutOff();
  for (let waited = 0; stderr.isWaiting && waited < LAST_LINES; waited += PAUSE) {
    pause();
    stderr.drain();
  }
}

/** Ends a command whose output can't be written; without a word if its reader had enough (`pksigd keys | head`). */
export function stdoutFailed(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE')
    complain(`can't write to standard output: ${errorText(error)}`);
  flushStderr();
  process.exit(EXIT.failed);
}

/** Writes a command's output, all of it. */
export function print(text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(STDOUT, bytes, offset);
    } catch (error) {
      if (!isRetry(error)) stdoutFailed(error);
      pause();
    }
  }
}
