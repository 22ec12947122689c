import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openPrivate, syncFolder } from '../../disk/private-file.ts';
import { errnoOf, stateError } from '../../disk/state-error.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const NAME = 'audit-key.pem';
/** Bytes: ours has 119. */
const MAX_SIZE = 4096;

async function read(path: string, uid: number | undefined): Promise<KeyObject | undefined> {
  const file = await openPrivate(path, 'read', uid);
  if (!file) return undefined;
  const bytes = Buffer.alloc(MAX_SIZE);
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) throw stateError(`others can read ${path}`, undefined, `chmod 600 ${path}`);
    const { bytesRead } = await file.read(bytes, 0, MAX_SIZE, 0);
    const key = createPrivateKey(bytes.subarray(0, bytesRead));
    if (key.asymmetricKeyType === 'ed25519') return key;
    throw stateError(`${path} is not an Ed25519 key`);
  } catch (error) {
    throw stateError(`can't read the key of audit logs ${path}`, error, 'remove it, and a new one is made');
  } finally {
    bytes.fill(0);
    await file.close();
  }
}

/** Whole or not at all; of two agents that begin at once the first one's stays. */
async function make(folder: string, path: string): Promise<void> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      await file.writeFile(pem);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw stateError(`can't make the key of audit logs ${path}`, error);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/**
 * The key that signs checkpoints: Ed25519, the agent's own.
 * @param folder the state directory, which is safe
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function signingKey(folder: string, uid: number | undefined): Promise<KeyObject> {
  const path = join(folder, NAME);
  const present = await read(path, uid);
  if (present) return present;
  await make(folder, path);
  const made = await read(path, uid);
  if (made) return made;
  throw stateError(`the key of audit logs ${path} is gone as soon as it is made`);
}

/** The same; undefined if there is none yet. @throws AgentError ERR_STATE_DIRECTORY */
export async function presentSigningKey(folder: string, uid: number | undefined): Promise<KeyObject | undefined> {
  return await read(join(folder, NAME), uid);
}
