import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { checkWay, safeFolder, trustedUsers } from '../disk/safe-folder.ts';
import { AgentError, errorText } from '../errors.ts';

const WRITABLE_BY_OTHERS = 0o022;

function unsafe(what: string, cause?: unknown, hint?: string): AgentError {
  const reason = cause === undefined ? '' : `: ${errorText(cause)}`;
  return new AgentError('ERR_KEY_PERMISSIONS', `${what}${reason}`, { cause, ...(hint !== undefined && { hint }) });
}

/**
 * Looks whether only this user and root can have written a program, and can put another one into its place: it runs with our
 * rights, and may get a PIN.
 * @param uid this process's effective user; undefined where it is not known
 * @returns its absolute path
 * @throws AgentError ERR_KEY_NOT_FOUND, ERR_KEY_PERMISSIONS
 */
export async function safeProgram(given: string, uid: number | undefined): Promise<string> {
  const path = resolve(given);
  const options = { uid, name: `the program ${path}`, fail: unsafe };
  const real = (await checkWay(path, options)) ? await realpath(path).catch(() => undefined) : undefined;
  if (real === undefined) throw new AgentError('ERR_KEY_NOT_FOUND', `there is no program ${path}`);
  const found = await stat(real);
  if (!found.isFile()) throw unsafe(`${real} is not a program's file`);
  const isTrusted = await trustedUsers(uid);
  if (!isTrusted(found.uid)) throw unsafe(`the program ${real} belongs to another user (uid ${found.uid})`);
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw unsafe(`others can write the program ${real}`, undefined, `chmod go-w ${real}`);
  }
  for (const folder of new Set([dirname(path), dirname(real)])) {
    await safeFolder(folder, { uid, create: false, name: 'the folder of the program', fail: unsafe });
  }
  await access(real, constants.X_OK).catch((error: unknown) => {
    throw unsafe(`the program ${real} can't be run`, error, 'chmod +x it');
  });
  return path;
}
