import type { KeyObject, X509Certificate } from 'node:crypto';
import { chosen } from '../certificates/choose.ts';
import type { CertificateWords } from '../certificates/words.ts';
import { AgentError } from '../errors.ts';
import type { Signer } from '../signing/signer.ts';
import { backendOf, openingOf, type Opening } from './backends.ts';
import { FailoverKey } from './failover-key.ts';
import type { KeyOptions } from './key-options.ts';

/** A key that is ready, and the certificates to hand to the daemon, the key's own first. */
export interface OpenedKey extends AsyncDisposable {
  readonly signer: Signer;
  /** As they were when the key was opened; of a key in a token without those that lead to its root. */
  readonly certificates: readonly X509Certificate[];
  /**
   * Reads them anew: they may have been renewed since. Absent where they never change.
   * @throws AgentError with reason `key-changed` if they are of another key; ERR_CERTIFICATE_*, and what opening throws
   */
  readonly readCertificates?: () => Promise<readonly X509Certificate[]>;
}

/** Milliseconds after which the next copy is asked as well: the daemon stands still meanwhile. */
const LONGEST_PATIENCE = 5_000;

/** Opens the one key that was named, or all its copies. */
async function openCopies(options: KeyOptions, opening: Opening): Promise<Signer> {
  const { keys, onEvent } = options;
  const sources = keys.map((key) => {
    const backend = backendOf(key);
    backend.validate(key);
    return { key: backend.publicName(key), open: () => backend.openKey(key, opening) };
  });
  const [first, ...copies] = sources;
  if (!first) throw new AgentError('ERR_USAGE', 'no key was named');
  if (copies.length === 0) return await first.open();
  const patience = (): number => Math.min(LONGEST_PATIENCE, options.deadline / keys.length);
  return await FailoverKey.open(sources, {
    get patience() {
      return patience();
    },
    onEvent,
  });
}

/** The key's newest that the words fit, and those of others that come with it. @throws AgentError ERR_CERTIFICATE_* */
function select(
  certificates: readonly X509Certificate[],
  publicKey: KeyObject,
  words: CertificateWords | undefined,
): readonly X509Certificate[] {
  if (!words) return certificates;
  const isOwn = (certificate: X509Certificate): boolean => certificate.publicKey.equals(publicKey);
  const own = certificates.filter(isOwn);
  // one of another key is told as such
  const [first] = chosen(own.length > 0 ? own : certificates, words, Date.now());
  return [first, ...certificates.filter((certificate) => certificate !== first && !isOwn(certificate))];
}

/**
 * Opens a key and the certificate that goes with it.
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_*, ERR_PIN_*, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function openKey(options: KeyOptions): Promise<OpenedKey> {
  const opening = openingOf(options);
  try {
    return await openBy(opening, options);
  } catch (error) {
    // of a key that was not opened no PIN is wanted
    opening.pinFor.letGo();
    throw error;
  }
}

async function openBy(opening: Opening, options: KeyOptions): Promise<OpenedKey> {
  const { certificate, words } = options;
  const readGiven = async (): Promise<X509Certificate[] | undefined> =>
    certificate === undefined ? undefined : await backendOf(certificate).readCertificates(certificate, opening);
  const given = await readGiven();
  // of a certificate that was given alone they say which it is: the key it is of has a name
  const ofKey = given ? { ...opening, words: undefined, certificate: given[0] } : opening;
  const signer = await openCopies(options, ofKey);
  const checked = (found: readonly X509Certificate[], isAnew: boolean): readonly X509Certificate[] => {
    const certificates = select(found, signer.publicKey, words);
    const [own] = certificates;
    if (!own || own.publicKey.equals(signer.publicKey)) return certificates;
    const text = `the certificate ${certificate ?? ''} is not of the key ${signer.name}`;
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', text, isAnew ? { reason: 'key-changed' } : {});
  };
  try {
    return {
      signer,
      certificates: checked(given ?? signer.certificates, false),
      readCertificates: async () =>
        checked((await readGiven()) ?? (await signer.readCertificates?.()) ?? signer.certificates, true),
      [Symbol.asyncDispose]: async () => {
        await signer[Symbol.asyncDispose]();
        opening.pinFor.letGo();
      },
    };
  } catch (error) {
    await signer[Symbol.asyncDispose]();
    throw error;
  }
}
