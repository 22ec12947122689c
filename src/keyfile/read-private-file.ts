import { open } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { AgentError, errorText } from '../errors.ts';

/** A key file is a few KB; PKCS#12 with a long chain some tens. Whoever names a device or a disk image gets an error. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads a file that holds a private key, after a look at who else can. As OpenSSH does: a file of one's own must be
 * closed to group and others; somebody else's file (root's, shared through a group on purpose) only to others.
 * @throws AgentError ERR_KEY_FILE, ERR_KEY_PERMISSIONS
 */
export async function readPrivateFile(path: string, allowReadableByOthers: boolean): Promise<Buffer> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new AgentError('ERR_KEY_FILE', `can't open key file: ${errorText(error)}`, { cause: error });
  });
  try {
    // of the open file, not of the path: nobody can swap it in between
    const status = await file.stat();
    if (!status.isFile() || status.size > MAX_BYTES) {
      throw new AgentError('ERR_KEY_FILE', `${path} is no key file`);
    }
    const closedTo = status.uid === userInfo().uid ? 0o077 : 0o007;
    if ((status.mode & closedTo) !== 0 && !allowReadableByOthers) {
      const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
      throw new AgentError('ERR_KEY_PERMISSIONS', `others can read the key file ${path} (mode ${mode})`, {
        hint: `chmod 600 it, or give --allow-readable-key`,
      });
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
