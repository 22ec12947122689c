import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import type { Signer } from '../signing/signer.ts';
import { backendOf, openingOf, type Opening } from './backends.ts';
import { FailoverKey } from './failover-key.ts';
import type { KeyOptions } from './key-options.ts';

/** A key that is ready, and the certificates to hand to the daemon, the key's own first. */
export interface OpenedKey extends AsyncDisposable {
  readonly signer: Signer;
  readonly certificates: readonly X509Certificate[];
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

/**
 * Opens a key and the certificate that goes with it.
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_*, ERR_PIN_*, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function openKey(options: KeyOptions): Promise<OpenedKey> {
  const { certificate } = options;
  const opening = openingOf(options);
  const given =
    certificate === undefined ? undefined : await backendOf(certificate).readCertificates(certificate, opening);
  const signer = await openCopies(options, { ...opening, certificate: given?.[0] });
  const certificates = given ?? signer.certificates;
  const [own] = certificates;
  if (own && !own.publicKey.equals(signer.publicKey)) {
    await signer[Symbol.asyncDispose]();
    const text = `the certificate ${certificate ?? ''} is not of the key ${signer.name}`;
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', text);
  }
  return { signer, certificates, [Symbol.asyncDispose]: () => signer[Symbol.asyncDispose]() };
}
