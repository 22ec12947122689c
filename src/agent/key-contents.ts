import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { KeySettings, PolicySettings } from '../config/settings.ts';
import { backendOf } from '../keys/backends.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { MAX_CA_BYTES } from './policy/server.ts';

async function digestOf(path: string): Promise<string> {
  try {
    // a pipe would be emptied
    if (!(await stat(path)).isFile()) return 'no file';
    // of all of them a file of CAs is the largest
    const bytes = await readFileLimited(path, { what: 'the file', code: 'ERR_KEY_FILE', maxBytes: MAX_CA_BYTES });
    const digest = createHash('sha256').update(bytes).digest('hex');
    bytes.fill(0);
    return digest;
  } catch {
    return 'unreadable';
  }
}

/** Stands for what is in the files of a key and of its certificate: another text if they change. */
export async function keyContents({ copies, certificate }: KeySettings): Promise<string> {
  const texts = [...copies, ...(certificate === undefined ? [] : [certificate])];
  const paths = texts.map((text) => backendOf(text).certificatePath(text)).filter((path) => path !== undefined);
  return (await Promise.all(paths.map(digestOf))).join(' ');
}

/** The same for what is in the files of a policy, which are not read again when the key's are. */
export async function policyContents({ serverCa }: PolicySettings): Promise<string> {
  return serverCa === undefined ? 'none' : await digestOf(serverCa);
}
