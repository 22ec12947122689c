import { lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { AgentError, errorCode, errorText, isAbsence } from '../errors.ts';
import { ControlServer, type ControlOptions } from './server.ts';

/** Agents that share a runtime folder. */
const MOST = 64;
const OTHERS_WRITE = 0o022;

/** Nobody but this user and root can put anything there. @throws AgentError ERR_MANAGEMENT_LISTEN if that can't be seen */
function isPrivate(folder: string, self: number): boolean {
  let stats: Stats | undefined;
  try {
    stats = lstatSync(folder, { throwIfNoEntry: false });
  } catch (error) {
    throw new AgentError('ERR_MANAGEMENT_LISTEN', `can't look at its folder: ${errorText(error)}`, { cause: error });
  }
  return stats?.isDirectory() === true && (stats.uid === self || stats.uid === 0) && (stats.mode & OTHERS_WRITE) === 0;
}

/** Why a folder is not made on a system that is well. */
function isUsual(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return isAbsence(error) || ['EEXIST', 'EACCES', 'EPERM', 'EROFS'].includes(code);
}

/** Where agents of this user put their control sockets: systemd's folder of the service, else one in the user's own. */
export function controlFolder(environment: NodeJS.ProcessEnv): string | undefined {
  const [systemd = ''] = (environment['RUNTIME_DIRECTORY'] ?? '').split(':');
  if (isAbsolute(systemd)) return systemd;
  const user = environment['XDG_RUNTIME_DIR'] ?? '';
  return isAbsolute(user) ? join(user, 'pksigd') : undefined;
}

/** The folders in which a person's agents may have their sockets: their own, and those of services. */
export function foldersToLookIn(environment: NodeJS.ProcessEnv): string[] {
  const own = controlFolder(environment);
  const services = servicesIn('/run/pksigd');
  return [...new Set([...(own === undefined ? [] : [own]), ...services])];
}

/** /run/pksigd, and what units of several agents make in it. */
function servicesIn(folder: string): string[] {
  try {
    const within = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [folder, ...within.map(({ name }) => join(folder, name)).sort()];
  } catch {
    // whoever looks for sockets there says why not
    return [folder];
  }
}

/**
 * Listens in the folder for control sockets, by the first name that no other agent has.
 * @returns undefined where there is no folder that is private
 * @throws AgentError ERR_MANAGEMENT_LISTEN, ERR_MANAGEMENT_IN_USE
 */
export async function listenInFolder(
  environment: NodeJS.ProcessEnv,
  self: number,
  options: Omit<ControlOptions, 'path'>,
): Promise<ControlServer | undefined> {
  const folder = controlFolder(environment);
  if (folder === undefined) return undefined;
  try {
    // systemd's is there
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // it is there, or is not to be: the next line says which
    if (!isUsual(error))
      throw new AgentError('ERR_MANAGEMENT_LISTEN', `can't make its folder: ${errorText(error)}`, { cause: error });
  }
  if (!isPrivate(folder, self)) return undefined;
  for (let number = 1; ; number++) {
    const path = join(folder, number === 1 ? 'control.sock' : `control-${number}.sock`);
    try {
      return await ControlServer.listen({ ...options, path });
    } catch (error) {
      if (errorCode(error) !== 'ERR_MANAGEMENT_IN_USE' || number === MOST) throw error;
    }
  }
}
