import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { BoundServer } from '../management/internal.ts';
import { MEANINGLESS_SIGNALS } from '../signals.ts';
import { writeLinesPutOff, type Logger } from './standard-streams.ts';
import { terminal } from './terminal.ts';

/** Milliseconds in which one signal is one line of the log, however often it comes. */
const QUIET = 10_000;
const STDERR = 2;

/** Says of a signal that has little or no effect that it came: whoever sent it expected something. */
function logQuietly(name: NodeJS.Signals, log: Logger, level: 'info' | 'warn', text: string): void {
  let unsaid = 0;
  let isQuiet = false;
  const say = (times: number): void => {
    log[level]({ signal: name, ...(times > 1 && { times }) }, text);
    unsaid = 0;
    isQuiet = true;
    setTimeout(() => {
      isQuiet = false;
      if (unsaid > 0) say(unsaid);
    }, QUIET).unref();
  };
  process.on(name, () => {
    if (isQuiet) unsaid += 1;
    else say(1);
  });
}

/** Whether a descriptor is a terminal that has hung up: not one any more, and nothing can be written to it. */
function hasHungUp(descriptor: number): boolean {
  try {
    if (!fstatSync(descriptor).isCharacterDevice() || isatty(descriptor)) return false;
    writeSync(descriptor, '');
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EIO';
  }
  return false;
}

/**
 * At its exit Node sets terminals back to what they were, and aborts where that fails, as it does after a hang-up. A
 * descriptor that is another file by then it leaves alone.
 */
export function leaveDeadTerminals(): void {
  for (const descriptor of [0, 1, 2]) {
    try {
      if (!fstatSync(descriptor).isCharacterDevice() || isatty(descriptor)) continue;
      closeSync(descriptor);
      openSync('/dev/null', 'r+'); // takes the lowest free number: this one
    } catch {
      // closed already
    }
  }
}

/**
 * What signals do to `run`: the first SIGINT or SIGTERM gives up a prompt and aborts `stop`, a second one of the two ends
 * the process as if nobody caught it, but for the sockets' files, which go. The end of the terminal that the log goes to
 * (SIGHUP) does as the first. Any other SIGHUP calls `reload`; without it `refresh`, which is a line of the log, as the signals are
 * that mean nothing. SIGUSR1, which is caught since the process began so that it opens no debugger, calls `report`.
 */
export function handleSignals(
  stop: AbortController,
  log: Logger,
  report: () => void,
  { reload, refresh }: { readonly reload: (() => void) | undefined; readonly refresh: () => void },
): void {
  const hadTerminal = isatty(STDERR) || hasHungUp(STDERR);
  const begin = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    terminal.stop();
    log.info({ signal: name }, 'stopping as soon as the requests under way are answered');
    stop.abort();
  };
  let isSecond = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!isSecond) {
        isSecond = true;
        begin(name);
        return;
      }
      BoundServer.removeFiles();
      writeLinesPutOff();
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    });
  }
  const lookAtTerminal = (): void => {
    // after a hang-up the file is still open, but is not a terminal any more
    if (hadTerminal && !isatty(STDERR)) begin('SIGHUP');
  };
  process.on('SIGHUP', () => {
    lookAtTerminal();
    if (!stop.signal.aborted) (reload ?? refresh)();
  });
  // one that came before now was not heard
  lookAtTerminal();
  process.on('SIGUSR1', report);
  for (const name of MEANINGLESS_SIGNALS) {
    if (name === 'SIGUSR1') continue;
    if (name !== 'SIGHUP') logQuietly(name, log, 'warn', 'this signal has no effect on pksigd');
    else if (!reload) logQuietly(name, log, 'info', 'reading the certificates anew: there is no configuration file');
  }
}
