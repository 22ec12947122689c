import type { TokenInfo } from '../host/protocol.ts';
import { checkEpoch, type SeenToken, type Session } from '../host/session.ts';
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
 * @param logIn does what is to be done before it is of use; where that fails the session is closed
 */
export async function openSession(seen: SeenToken, logIn: (session: string) => Promise<void>): Promise<OpenSession> {
  const { host, info: token, epoch } = seen;
  const { slot } = token;
  const mechanisms = new Set(await host.call('mechanisms', { slot }));
  checkEpoch(seen);
  const session = await host.call('openSession', { slot });
  try {
    await logIn(session);
  } catch (error) {
    await host.call('closeSession', { session }, BRIEF).catch(() => undefined);
    throw error;
  }
  return { host, session, token, mechanisms, epoch };
}
