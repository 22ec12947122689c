import type { Stats } from 'node:fs';
import { userInfo } from 'node:os';
import { AgentError } from '../errors.ts';
import { readFileLimited } from '../read-file-limited.ts';

/** A key file is a few KB; PKCS#12 with a long chain some tens. Whoever names a disk image gets an error. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads a file that holds a private key, after a look at who else can. As OpenSSH does: a file of one's own must be
 * closed to group and others; somebody else's file (root's, shared through a group on purpose) only to others.
 * @throws AgentError ERR_KEY_FILE, ERR_KEY_PERMISSIONS
 */
export async function readPrivateFile(path: string, allowReadableByOthers: boolean): Promise<Buffer> {
  const inspect = (status: Stats): void => {
    const closedTo = status.uid === userInfo().uid ? 0o077 : 0o007;
    if ((status.mode & closedTo) === 0 || allowReadableByOthers) return;
    const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
    throw new AgentError('ERR_KEY_PERMISSIONS', `others can read the key file ${path} (mode ${mode})`, {
      hint: `chmod 600 it, or give --allow-readable-key`,
    });
  };
  return await readFileLimited(path, { what: 'the key file', code: 'ERR_KEY_FILE', maxBytes: MAX_BYTES, inspect });
}
