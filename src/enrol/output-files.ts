import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Stats } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replaceFile, writeNewFile } from '../disk/new-file.ts';
import { AgentError, errorText } from '../errors.ts';
import { certificatePem, parseCertificates, pemBlocks } from '../keyfile/pem.ts';
import { readFileLimited } from '../read-file-limited.ts';

const PUBLIC = 0o644;
/** Requests and certificates have a few thousand. */
const MAX_BYTES = 1024 * 1024;

const holdsSomethingElse = (path: string, what: string): AgentError =>
  new AgentError('ERR_OUTPUT_FILE', `${path} is there, and is no ${what}`, { hint: 'name another file' });

function notWritten(path: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  return new AgentError('ERR_OUTPUT_FILE', `can't write ${path}: ${errorText(error)}`, { cause: error });
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  const what = 'what is there already';
  // nothing of a pipe or device is read: its content would never end, or never come
  const inspect = (status: Stats): void => {
    if (!status.isFile()) throw holdsSomethingElse(path, 'file');
  };
  try {
    return await readFileLimited(path, { what, code: 'ERR_OUTPUT_FILE', maxBytes: MAX_BYTES, inspect });
  } catch (error) {
    if (error instanceof AgentError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return undefined;
    throw error;
  }
}

/**
 * Looks whether a request may be written there, and can, before a key is made for it: where nothing is, or another request, which can
 * be made again at any time.
 * @throws AgentError ERR_OUTPUT_FILE
 */
export async function checkRequestFile(path: string): Promise<void> {
  const before = await contentOf(path);
  await access(dirname(path), constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw notWritten(path, error);
  });
  if (!before) return;
  const [block, ...more] = pemBlocks(before.toString('latin1'));
  if (block?.label !== 'CERTIFICATE REQUEST' || more.length > 0) throw holdsSomethingElse(path, 'request');
}

/** @throws AgentError ERR_OUTPUT_FILE */
export async function writeRequest(path: string, pem: Buffer): Promise<void> {
  await checkRequestFile(path);
  await replaceFile(path, pem, PUBLIC).catch((error: unknown) => {
    throw notWritten(path, error);
  });
}

/** Where the certificate of a key file lies, if nobody says: `alice.crt` beside `alice.key`. */
export function certificatePathOf(keyPath: string): string {
  return `${keyPath.replace(/\.(?:key|pem|p8)$/i, '')}.crt`;
}

/** The certificate of a key that lies in the file that {@link certificatePathOf} names; undefined if none does. */
export async function certificateBeside(keyPath: string, publicKey: KeyObject): Promise<X509Certificate | undefined> {
  const path = certificatePathOf(keyPath);
  const before = await contentOf(path).catch(() => undefined);
  if (!before) return undefined;
  try {
    return certificatesIn(before, path).find((certificate) => certificate.publicKey.equals(publicKey));
  } catch {
    return undefined; // somebody's own file
  }
}

/** The certificates in a file; none if it is not there. @throws AgentError ERR_OUTPUT_FILE if it is something else */
function certificatesIn(before: Buffer, path: string): X509Certificate[] {
  const blocks = pemBlocks(before.toString('latin1'));
  try {
    // a file with a key in it is not ours to replace
    if (blocks.every(({ label }) => label.endsWith('CERTIFICATE'))) return parseCertificates(before, path);
  } catch {
    // it is refused below
  }
  throw holdsSomethingElse(path, 'certificate');
}

/**
 * Keeps a certificate in a file, with the rest of its chain behind it. One of the same key that was there goes to FILE.old.
 * @returns where the one that was there is now; undefined if none was
 * @throws AgentError ERR_OUTPUT_FILE
 */
export async function writeCertificate(
  path: string,
  [own, ...others]: readonly [X509Certificate, ...X509Certificate[]],
): Promise<string | undefined> {
  const before = await contentOf(path);
  const pem = [own, ...others].map(certificatePem).join('');
  if (before?.toString('latin1') === pem) return undefined;
  try {
    if (!before) {
      await writeNewFile(path, pem, PUBLIC);
      return undefined;
    }
    const [known] = certificatesIn(before, path);
    if (known && !known.publicKey.equals(own.publicKey)) {
      const text = `the certificate in ${path} is of another key`;
      throw new AgentError('ERR_OUTPUT_FILE', text, { hint: 'name another file' });
    }
    const old = `${path}.old`;
    await replaceFile(old, before, PUBLIC);
    await replaceFile(path, pem, PUBLIC);
    return old;
  } catch (error) {
    throw notWritten(path, error);
  }
}
