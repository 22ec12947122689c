import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AgentError, errorText } from '../errors.ts';
import { FileKey } from '../keyfile/key-file.ts';
import { parseCertificates } from '../keyfile/pem.ts';
import type { ModuleHosts } from '../pkcs11/module-hosts.ts';
import { readTokenCertificate, TokenKey } from '../pkcs11/token-key.ts';
import { Pin } from '../pkcs11/token.ts';
import { isPkcs11Uri, parsePkcs11Uri } from '../pkcs11/uri.ts';
import type { Secret } from '../secret.ts';
import type { Signer } from '../signing/signer.ts';

/** Which key to open, and how. */
export interface KeyOptions {
  /** A file's path or a `pkcs11:` URI. */
  readonly key: string;
  /** A file's path or a `pkcs11:` URI; without it, what comes with the key. */
  readonly certificate?: string | undefined;
  readonly hosts: ModuleHosts;
  /** The module for URIs that name none. */
  readonly defaultModule?: string | undefined;
  readonly allowReadableKey?: boolean | undefined;
  /**
   * Gets a PIN or passphrase.
   * @param what for a prompt: `PIN of token 'x'`, `passphrase of /path`
   * @param uriSource the `pin-source` of the URI that wants it
   */
  readonly askSecret: (what: string, uriSource: string | undefined) => Promise<Secret>;
}

/** A key that is ready, and the certificates to hand to the daemon, the key's own first. */
export interface OpenedKey extends AsyncDisposable {
  readonly signer: Signer;
  readonly certificates: readonly X509Certificate[];
}

/** PINs by their source, so that key and certificate on one token share one, and a wrong one is tried once. */
function pinCache(askSecret: KeyOptions['askSecret']): (uriSource: string | undefined) => Pin {
  const pins = new Map<string | undefined, Pin>();
  return (uriSource) => {
    const pin = pins.get(uriSource) ?? new Pin((token) => askSecret(`PIN of token '${token}'`, uriSource));
    pins.set(uriSource, pin);
    return pin;
  };
}

async function readCertificateFile(path: string): Promise<X509Certificate[]> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `can't read the certificate: ${errorText(error)}`, {
      cause: error,
    });
  });
  return parseCertificates(bytes, path);
}

/**
 * Opens a key and the certificate that goes with it.
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_*, ERR_PIN_*, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function openKey(options: KeyOptions): Promise<OpenedKey> {
  const { key, certificate, hosts, defaultModule, askSecret } = options;
  const pinFor = pinCache(askSecret);
  const tokenOptions = { hosts, ...(defaultModule !== undefined && { defaultModule }) };

  const readCertificates = async (): Promise<X509Certificate[] | undefined> => {
    if (certificate === undefined) return undefined;
    if (!isPkcs11Uri(certificate)) return await readCertificateFile(certificate);
    const uri = parsePkcs11Uri(certificate);
    return [await readTokenCertificate(uri, { ...tokenOptions, pin: pinFor(uri.pinSource) })];
  };

  const given = await readCertificates();
  let signer: Signer;
  if (isPkcs11Uri(key)) {
    const uri = parsePkcs11Uri(key);
    const [own] = given ?? [];
    signer = await TokenKey.open(uri, {
      ...tokenOptions,
      pin: pinFor(uri.pinSource),
      ...(own && { certificate: own }),
    });
  } else {
    signer = await FileKey.open(key, {
      passphrase: () => askSecret(`passphrase of ${key}`, undefined),
      allowReadableByOthers: options.allowReadableKey ?? false,
    });
  }

  const certificates = given ?? signer.certificates;
  const [own] = certificates;
  if (own && !own.publicKey.equals(signer.publicKey)) {
    await signer[Symbol.asyncDispose]();
    throw new AgentError(
      'ERR_CERTIFICATE_MISMATCH',
      `the certificate ${certificate ?? ''} is not of the key ${signer.name}`,
    );
  }
  return { signer, certificates, [Symbol.asyncDispose]: () => signer[Symbol.asyncDispose]() };
}
