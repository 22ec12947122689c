import { AgentError } from '../../errors.ts';
import type { Module } from './module.ts';
import type { TokenInfo } from './protocol.ts';

/** A session with a token: what searching for objects takes. */
export interface Session {
  readonly host: Module;
  /** As the module host calls it. */
  readonly session: string;
}

/** A token, and where it was seen. */
export interface SeenToken {
  readonly info: TokenInfo;
  readonly host: Module;
  /** The module's then. */
  readonly epoch: number;
}

/** Whether the token's slot still has the number that it was seen with. */
export const isCurrent = ({ host, epoch }: SeenToken): boolean => host.isAlive && host.epoch === epoch;

/**
 * Slots may have other numbers since the module was initialized anew, and the one that a token was seen in another token: that
 * must not get the PIN.
 * @throws AgentError ERR_TOKEN_FAILED
 */
export function checkEpoch({ info, host, epoch }: SeenToken): void {
  if (host.epoch === epoch) return;
  const text = `${host.modulePath} was initialized anew while '${info.label}' was opened`;
  throw new AgentError('ERR_TOKEN_FAILED', text);
}

/**
 * Opens a session with a token, does something in it, and closes it. What was done there is of no use afterwards, but for
 * objects that were made in a writable one.
 * @throws AgentError ERR_TOKEN_FAILED if the module was initialized anew since the token was seen
 */
export async function inSession<Result>(
  seen: SeenToken,
  work: (at: Session) => Promise<Result>,
  use: 'read' | 'write' = 'read',
): Promise<Result> {
  checkEpoch(seen);
  const { host, info } = seen;
  const session = await host.call('openSession', { slot: info.slot, ...(use === 'write' && { writable: true }) });
  try {
    return await work({ host, session });
  } finally {
    await host.call('closeSession', { session }).catch(() => undefined);
  }
}
