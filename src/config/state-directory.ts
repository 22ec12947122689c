import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { AgentError } from '../errors.ts';

function home(): string {
  let cause: unknown;
  try {
    // HOME may be empty
    const path = homedir();
    return isAbsolute(path) ? path : userInfo().homedir;
  } catch (error) {
    cause = error; // a user whom the system does not know
  }
  const hint = 'give --state-directory, or set HOME';
  throw new AgentError('ERR_STATE_DIRECTORY', 'this user has no home for the state directory', { cause, hint });
}

/**
 * systemd's folder for the service's state (systemd.exec(5), StateDirectory=), else the user's (XDG Base Directory
 * Specification).
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export function defaultStateDirectory(environment: NodeJS.ProcessEnv): string {
  const [systemd] = (environment['STATE_DIRECTORY'] ?? '').split(':');
  if (systemd !== undefined && systemd !== '') return systemd;
  const xdg = environment['XDG_STATE_HOME'] ?? '';
  return join(isAbsolute(xdg) ? xdg : join(home(), '.local', 'state'), 'pksigd');
}
