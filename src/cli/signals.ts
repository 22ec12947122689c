import { isatty } from 'node:tty';
import { MEANINGLESS_SIGNALS } from '../signals.ts';
import type { Logger } from './standard-streams.ts';

/** Milliseconds in which one signal is one line of the log, however often it comes. */
const QUIET = 10_000;
const STDERR = 2;

/** Says of a signal that has no effect that it came: whoever sent it expected something. */
function logMeaningless(name: NodeJS.Signals, log: Logger): void {
  let unsaid = 0;
  let isQuiet = false;
  const say = (times: number): void => {
    log.warn({ signal: name, ...(times > 1 && { times }) }, 'this signal has no effect on pksigd');
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

/**
 * What signals do to `run`: the first SIGINT or SIGTERM aborts `stop`, a second one of the two ends the process as if
 * nobody caught it. The end of the terminal that the log goes to (SIGHUP) aborts `stop` too. Any other SIGHUP, and the
 * signals that mean nothing, are lines of the log.
 */
export function handleSignals(stop: AbortController, log: Logger): void {
  const hadTerminal = isatty(STDERR);
  let isStopping = false;
  const begin = (name: NodeJS.Signals): void => {
    isStopping = true;
    log.info({ signal: name }, 'stopping as soon as the requests under way are answered');
    stop.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!isStopping) {
        begin(name);
        return;
      }
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    });
  }
  process.on('SIGHUP', () => {
    // after a hang-up the file is still open, but is no terminal any more
    if (hadTerminal && !isatty(STDERR) && !isStopping) begin('SIGHUP');
  });
  for (const name of MEANINGLESS_SIGNALS) logMeaningless(name, log);
}
