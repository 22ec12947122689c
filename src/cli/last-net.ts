import { errorText } from '../errors.ts';
import type { Logger } from './standard-streams.ts';

/** So many errors that nobody caught in this time, in milliseconds, are more than an accident. */
const MANY = 10;
const WINDOW = 60_000;

/**
 * What nobody caught is a bug in pksigd. One of a tunnel, or of a client of the relay, must not take the other tunnels'
 * keys away, and JavaScript leaves no memory corrupt: it is logged with its place, and the agent goes on. Many in a short
 * time are a state that is broken for good: the process ends, so that a supervisor starts another.
 *
 * @param end ends the process with the error as its reason
 */
export function catchTheRest(log: Logger, end: (error: unknown) => void): void {
  let times: number[] = [];
  const survive = (error: unknown): void => {
    const now = Date.now();
    times = [...times.filter((time) => now - time < WINDOW), now];
    log.error(
      { error: errorText(error), stack: error instanceof Error ? error.stack : undefined },
      'a bug in pksigd: please report it',
    );
    if (times.length >= MANY) end(error);
  };
  process.on('uncaughtException', survive);
  process.on('unhandledRejection', survive);
  // Node would print its own warnings between the log's lines
  process.removeAllListeners('warning');
  process.on('warning', ({ message }) => {
    log.warn({ warning: message }, 'Node.js warns');
  });
}
