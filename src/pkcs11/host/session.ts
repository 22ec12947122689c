import type { Module } from './module.ts';
import type { TokenInfo } from './protocol.ts';

/** A session with a token: what searching for objects takes. */
export interface Session {
  readonly host: Module;
  /** As the module host calls it. */
  readonly session: string;
}

/**
 * Opens a session with a token, does something in it, and closes it. What was done there is of no use afterwards, but for
 * objects that were made in a writable one.
 */
export async function inSession<Result>(
  host: Module,
  { slot }: TokenInfo,
  work: (at: Session) => Promise<Result>,
  use: 'read' | 'write' = 'read',
): Promise<Result> {
  const session = await host.call('openSession', { slot, ...(use === 'write' && { writable: true }) });
  try {
    return await work({ host, session });
  } finally {
    await host.call('closeSession', { session }).catch(() => undefined);
  }
}
