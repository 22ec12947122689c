import { AgentError, errorCode, errorText } from '../errors.ts';
import type { Complaint } from './trouble.ts';

/** What connecting fails with where waiting does not help: a person must change something. */
const NEEDS_A_PERSON: ReadonlySet<unknown> = new Set([
  ...['EACCES', 'EPERM', 'ENOTSOCK', 'EPROTOTYPE', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL', 'EADDRNOTAVAIL'],
]);

/** Milliseconds that a daemon may take to start: it is no mistake to start the agent first. */
const DAEMON_PATIENCE = 10_000;
/** Milliseconds that a daemon which is free may take to greet: it does so at once. */
const GREETING_PATIENCE = 5_000;

const TEXT = 'the daemon is not served';
const SEAT_TAKEN =
  'OpenVPN serves one management client at a time: end the other one (another pksigd?), or let it in by --relay';

/** What to say of a try to connect that failed. */
export function connectComplaint(error: unknown): Complaint {
  const code = errorCode(error);
  const fields = { code, error: errorText(error) };
  const system = error instanceof AgentError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined;
  if (code === 'ERR_MANAGEMENT_CLOSED') {
    const hint = 'it closed before it greeted: does management-client-user or -group name somebody else?';
    return { level: 'error', text: TEXT, fields: { ...fields, hint }, patience: DAEMON_PATIENCE };
  }
  if (system === 'EAGAIN') {
    return { level: 'warn', text: TEXT, fields: { ...fields, hint: SEAT_TAKEN }, patience: GREETING_PATIENCE };
  }
  if (code === 'ERR_MANAGEMENT_CONNECT' && !NEEDS_A_PERSON.has(system)) {
    return { level: 'warn', text: TEXT, fields, patience: DAEMON_PATIENCE };
  }
  // a wrong password, something else than OpenVPN, no right to the socket, a password file that is not there
  return { level: 'error', text: TEXT, fields };
}

/** We are connected, and OpenVPN does not greet us: the connection waits in its backlog. */
export const NO_GREETING: Complaint = {
  level: 'warn',
  text: 'connected, but OpenVPN does not answer: another management client has its only seat',
  fields: { code: 'ERR_MANAGEMENT_TIMEOUT', hint: SEAT_TAKEN },
  patience: GREETING_PATIENCE,
};

/** A connection ended soon after it stood. */
export function shortLived(reason: string): Complaint {
  const text = 'the connection to the daemon does not last';
  return {
    level: 'warn',
    text,
    fields: { error: reason, hint: "see the daemon's log: why does it end?" },
    patience: DAEMON_PATIENCE,
  };
}

/** We listen, and no daemon is connected. */
export const NOBODY_CONNECTS: Complaint = {
  level: 'warn',
  text: 'no daemon is connected',
  fields: { hint: 'is OpenVPN running with this --management address and --management-client?' },
  patience: DAEMON_PATIENCE,
};
