import { AgentError, errorCode, errorText } from '../errors.ts';
import type { Complaint } from './trouble.ts';

/** What connecting fails with where waiting does not help: a person must change something. */
const NEEDS_A_PERSON: ReadonlySet<unknown> = new Set([
  ...['EACCES', 'EPERM', 'ENOTSOCK', 'EPROTOTYPE', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL', 'EADDRNOTAVAIL'],
]);

/** Milliseconds that a daemon may take to start: it is not a mistake to start the agent first. */
const DAEMON_PATIENCE = 10_000;
/** Milliseconds that a daemon which is free may take to greet: it does so at once. */
const GREETING_PATIENCE = 5_000;

/** What to tell of a try to connect that failed. */
export function connectComplaint(error: unknown): Complaint {
  const code = errorCode(error);
  const details = { code, error: errorText(error) };
  const system = error instanceof AgentError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined;
  if (code === 'ERR_MANAGEMENT_CLOSED')
    return { trouble: 'closed-before-greeting', level: 'error', details, patience: DAEMON_PATIENCE };
  if (system === 'EAGAIN') return { trouble: 'seat-taken', level: 'warn', details, patience: GREETING_PATIENCE };
  if (code === 'ERR_MANAGEMENT_CONNECT' && !NEEDS_A_PERSON.has(system)) {
    const isRefused = system === 'ECONNREFUSED';
    return { trouble: 'unreachable', level: 'warn', details, patience: DAEMON_PATIENCE, isRefused };
  }
  // a wrong password, something else than OpenVPN, no right to the socket, a password file that is not there
  return { trouble: 'unreachable', level: 'error', details };
}

/** We are connected, and OpenVPN does not greet us: the connection waits in its backlog. */
export const NO_GREETING: Complaint = {
  trouble: 'no-greeting',
  level: 'warn',
  details: { code: 'ERR_MANAGEMENT_TIMEOUT' },
  patience: GREETING_PATIENCE,
};

/** A connection ended soon after it stood. */
export function shortLived(reason: string): Complaint {
  return { trouble: 'short-lived', level: 'warn', details: { error: reason }, patience: DAEMON_PATIENCE };
}

/** We listen, and no daemon is connected. */
export const NO_DAEMON: Complaint = { trouble: 'no-daemon', level: 'warn', patience: DAEMON_PATIENCE };
