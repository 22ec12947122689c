import type { X509Certificate } from 'node:crypto';
import { chosen } from '../certificates/choose.ts';
import { AgentError } from '../errors.ts';
import { backendOf, EXEC_BACKEND, TOKEN_BACKEND, type Backend } from '../keys/backends.ts';
import { checkStrength, describeKey, type CheckedKey, type KeyCheck } from './checked-key.ts';
import { checkExecKey } from './key-in-program.ts';
import { checkTokenKey, lookForCertificate } from './key-in-token.ts';
import { failure } from './verdict.ts';

/** How to look at the keys and certificates of a backend without what using them takes. */
interface Look {
  readonly checkKey: (text: string, check: KeyCheck) => Promise<CheckedKey | undefined>;
  /** @returns undefined if it can be seen after login only, and that was not asked for */
  readonly readCertificate?: (text: string, check: KeyCheck) => Promise<X509Certificate | undefined>;
}

/** Keys in tokens and behind programs are looked at step by step, and without a login. All others are opened, as `run` does. */
const LOOKS: ReadonlyMap<Backend, Look> = new Map([
  [TOKEN_BACKEND, { checkKey: checkTokenKey, readCertificate: lookForCertificate }],
  [EXEC_BACKEND, { checkKey: checkExecKey }],
]);

async function checkByOpening(key: string, { opening, report }: KeyCheck): Promise<CheckedKey | undefined> {
  try {
    const signer = await backendOf(key).openKey(key, opening);
    const { name, publicKey, certificates } = signer;
    report({ outcome: 'ok', what: 'key', detail: describeKey(name, publicKey) });
    return { name, publicKey, certificates, signer };
  } catch (error) {
    report(failure('key', error));
    return undefined;
  }
}

/** Checks each copy of a key, and that they are copies of one key. @returns those that can be used */
export async function checkKeys(keys: readonly string[], check: KeyCheck): Promise<CheckedKey[]> {
  const found: CheckedKey[] = [];
  for (const key of keys) {
    const checkKey = LOOKS.get(backendOf(key))?.checkKey ?? checkByOpening;
    const one = await checkKey(key, check);
    if (!one) continue;
    const other = found.find(({ publicKey }) => publicKey && one.publicKey && !publicKey.equals(one.publicKey));
    if (other) {
      const error = new AgentError('ERR_CERTIFICATE_MISMATCH', `${one.name} is another key than ${other.name}`);
      check.report(failure('key', error));
    }
    if (one.publicKey) checkStrength(one.publicKey, check.report);
    found.push(one);
  }
  return found;
}

/**
 * The first certificate that a CERT names.
 * @returns undefined if it can be seen after login only, and that was not asked for
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*
 */
export async function readCertificate(text: string, check: KeyCheck): Promise<X509Certificate | undefined> {
  const backend = backendOf(text);
  const look = LOOKS.get(backend)?.readCertificate;
  if (look) return await look(text, check);
  const { words } = check.opening;
  const certificates = await backend.readCertificates(text, check.opening);
  return words ? chosen(certificates, words, Date.now())[0] : certificates[0];
}
