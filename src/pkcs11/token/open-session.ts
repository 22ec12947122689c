import { AgentError } from '../../errors.ts';
import type { Module } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import type { Session } from '../host/session.ts';
import { BRIEF } from './recovery.ts';

/** An open, logged-in session. Handles found in it are void in any other. */
export interface OpenSession extends Session {
  /** As it was seen last: what it says of its PIN changes while the session is open. */
  token: TokenInfo;
  /** CKM_* that the token lists. */
  readonly mechanisms: ReadonlySet<number>;
  /** The module's when it was opened. */
  readonly epoch: number;
}

/**
 * Opens a session with a token.
 * @param epoch the module's when the token was found
 * @param logIn does what is to be done before it is of use; where that fails the session is closed
 */
export async function openSession(
  host: Module,
  token: TokenInfo,
  epoch: number,
  logIn: (session: string) => Promise<void>,
): Promise<OpenSession> {
  const { slot } = token;
  const mechanisms = new Set(await host.call('mechanisms', { slot }));
  // slots may have other numbers since, and this one another token, which must not get the PIN
  if (host.epoch !== epoch) {
    throw new AgentError(
      'ERR_TOKEN_FAILED',
      `${host.modulePath} was initialized anew while '${token.label}' was opened`,
    );
  }
  const session = await host.call('openSession', { slot });
  try {
    await logIn(session);
  } catch (error) {
    await host.call('closeSession', { session }, BRIEF).catch(() => undefined);
    throw error;
  }
  return { host, session, token, mechanisms, epoch };
}
