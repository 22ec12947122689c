import { lstatSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';

interface OwnUser {
  /** Undefined where neither the system nor /proc tells. */
  readonly uid: number | undefined;
  /** The number where the user has no name, as in containers. */
  readonly name: string;
  readonly home: string | undefined;
}

/** The user that this process runs as, also one whom the system's list of users does not have. */
export function ownUser(): OwnUser {
  try {
    const { uid, username, homedir: home } = userInfo();
    return { uid: uid < 0 ? undefined : uid, name: username, home: homeOr(home) };
  } catch {
    const uid = lstatSync('/proc/self', { throwIfNoEntry: false })?.uid;
    return { uid, name: uid === undefined ? '' : String(uid), home: homeOr(undefined) };
  }
}

/** $HOME, unless it is empty or not there. */
function homeOr(other: string | undefined): string | undefined {
  try {
    return homedir() || other;
  } catch {
    return other;
  }
}
