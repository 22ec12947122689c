import { X509Certificate } from 'node:crypto';
import type { Stats } from 'node:fs';
import { ownUser } from '../own-user.ts';
import { AgentError } from '../errors.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { pemBlocks } from './pem.ts';

/** A key file is a few KB; PKCS#12 with a long chain some tens. A disk image named by mistake is an error. */
const MAX_BYTES = 1024 * 1024;

const PUBLIC_LABELS = new Map([
  ['CERTIFICATE', 'certificate'],
  ['X509 CERTIFICATE', 'certificate'],
  ['TRUSTED CERTIFICATE', 'certificate'],
  ['CERTIFICATE REQUEST', 'certificate request'],
  ['NEW CERTIFICATE REQUEST', 'certificate request'],
  ['PUBLIC KEY', 'public key'],
  ['RSA PUBLIC KEY', 'public key'],
]);

function isDerCertificate(bytes: Buffer): boolean {
  try {
    return bytes[0] === 0x30 && new X509Certificate(bytes).raw.length > 0;
  } catch {
    return false;
  }
}

/** Throws if the file holds what is public, and no private key. */
function refusePublic(bytes: Buffer, path: string): void {
  const labels = pemBlocks(bytes.toString('latin1')).map(({ label }) => label);
  if (labels.some((label) => label.endsWith('PRIVATE KEY'))) return;
  const [label = isDerCertificate(bytes) ? 'CERTIFICATE' : ''] = labels;
  const what = PUBLIC_LABELS.get(label);
  if (what === undefined) return;
  throw new AgentError('ERR_KEY_FILE', `${path} is a ${what}, and holds no private key`, {
    hint: 'the private key is needed',
    reason: what === 'certificate' ? 'certificate-as-key' : 'public-key-as-key',
  });
}

function refuseReadable(status: Stats, path: string): void {
  const closedTo = status.uid === ownUser().uid ? 0o077 : 0o007;
  if ((status.mode & closedTo) === 0) return;
  const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
  throw new AgentError('ERR_KEY_PERMISSIONS', `others can read the key file ${path} (mode ${mode})`, {
    hint: 'chmod 600 it',
    reason: 'readable-key',
  });
}

/**
 * Reads a file that holds a private key, after a look at who else can. As OpenSSH does: a file of one's own must be
 * closed to group and others; another user's file (root's, shared through a group on purpose) only to others.
 * @throws AgentError ERR_KEY_NOT_FOUND, ERR_KEY_FILE, ERR_KEY_PERMISSIONS
 */
export async function readPrivateFile(path: string, allowReadableByOthers: boolean): Promise<Buffer> {
  let status: Stats | undefined;
  const inspect = (of: Stats): void => {
    status = of;
  };
  const codes = { code: 'ERR_KEY_FILE', absent: 'ERR_KEY_NOT_FOUND' } as const;
  const bytes = await readFileLimited(path, { what: 'the key file', ...codes, maxBytes: MAX_BYTES, inspect });
  // before its mode: a certificate need not be hidden
  refusePublic(bytes, path);
  if (status && !allowReadableByOthers) refuseReadable(status, path);
  return bytes;
}
