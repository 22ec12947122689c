// Key files: PEM, DER, PKCS#8, PKCS#12, opened as a Signer that holds the key in this process, and certificates in files.
// For keys/, the checks, and the library.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  constants,
  privateEncrypt,
  sign,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { AgentError, errorCode } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { encodeEmsaPkcs1 } from '../signing/emsa-pkcs1.ts';
import { encodeEmsaPss } from '../signing/emsa-pss.ts';
import { keyKind, type KeyKind } from '../signing/public-key.ts';
import type { EcdsaRequest, SignatureRequest } from '../signing/request.ts';
import type { RawSignature, Signer } from '../signing/signer.ts';
import { checkDerivationCost } from './derivation-cost.ts';
import { DigestSigner } from './digest-signer.ts';
import { parseCertificates, pemBlocks, pemContent } from './pem.ts';
import { isPkcs12, parsePkcs12, type Pkcs12Contents } from './pkcs12.ts';
import { readPrivateFile } from './read-private-file.ts';

/** How to open a key file. */
export interface KeyFileOptions {
  /** Asked once, and only if the file is encrypted. */
  readonly passphrase?: () => Promise<Secret>;
  /** Take the file even if group or others can read it. */
  readonly allowReadableByOthers?: boolean;
}

type ParsedKey = Pkcs12Contents;

/** Labels that are keys, but of formats that are not ours to read, with what helps. */
const FOREIGN_LABELS = new Map([
  ['OPENSSH PRIVATE KEY', "an OpenSSH key: convert it with 'ssh-keygen -p -m PKCS8'"],
  ['TSS2 PRIVATE KEY', 'a TPM key: use the tpm2-pkcs11 module'],
]);

function parseDer(bytes: Buffer, path: string, passphrase: Buffer | undefined): KeyObject {
  checkDerivationCost(bytes, path);
  let failure: unknown;
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    try {
      return createPrivateKey({ key: bytes, format: 'der', type, ...(passphrase && { passphrase }) });
    } catch (error) {
      failure ??= error; // of PKCS#8: the only one that tells of a passphrase
    }
  }
  throw failure;
}

function parsePlain(bytes: Buffer, path: string, passphrase: Buffer | undefined): ParsedKey {
  const blocks = pemBlocks(bytes.toString('latin1'));
  if (blocks.length === 0) return { privateKey: parseDer(bytes, path, passphrase), certificates: [] };
  const keys = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const [key] = keys;
  if (!key) throw new AgentError('ERR_KEY_FILE', `no private key in ${path}`);
  if (keys.length > 1) throw new AgentError('ERR_KEY_AMBIGUOUS', `${keys.length} private keys in ${path}`);
  const foreign = FOREIGN_LABELS.get(key.label);
  if (foreign !== undefined) throw new AgentError('ERR_KEY_UNSUPPORTED', `${path} is ${foreign}`);
  const hasCertificate = blocks.some(({ label }) => label.endsWith('CERTIFICATE'));
  return {
    // what was looked at is what is opened
    privateKey:
      key.label === 'ENCRYPTED PRIVATE KEY'
        ? parseDer(pemContent(key), path, passphrase)
        : createPrivateKey({ key: key.text, format: 'pem', ...(passphrase && { passphrase }) }),
    certificates: hasCertificate ? parseCertificates(bytes, path) : [],
  };
}

/** Told from the outside: OpenSSL's errors for a missing passphrase differ by format and version. */
function isEncrypted(bytes: Buffer): boolean {
  const blocks = pemBlocks(bytes.toString('latin1'));
  if (blocks.length === 0) return isEncryptedPkcs8(bytes);
  return blocks.some(({ label, text }) => label === 'ENCRYPTED PRIVATE KEY' || text.includes('Proc-Type: 4,ENCRYPTED'));
}

/** EncryptedPrivateKeyInfo (RFC 5958 section 3): SEQUENCE { SEQUENCE { OBJECT IDENTIFIER …; plain keys have an INTEGER there. */
function isEncryptedPkcs8(bytes: Buffer): boolean {
  const afterHeader = (from: Buffer): Buffer =>
    from.subarray(((from[1] ?? 0) & 0x80) === 0 ? 2 : 2 + ((from[1] ?? 0) & 0x7f));
  const content = afterHeader(bytes);
  return bytes[0] === 0x30 && content[0] === 0x30 && afterHeader(content)[0] === 0x06;
}

async function askPassphrase(path: string, ask: KeyFileOptions['passphrase']): Promise<Secret> {
  if (ask) return await ask();
  throw new AgentError('ERR_PIN_REQUIRED', `the key file ${path} is encrypted`, { reason: 'no-passphrase' });
}

/** Of OpenSSL 3, for what it does with its legacy provider alone (DES, RC2): whatever the passphrase is. */
const NO_SUCH_CIPHER = 'ERR_OSSL_EVP_UNSUPPORTED';

/** Parses with a passphrase or without one. Errors are AgentErrors. */
async function parseWith(bytes: Buffer, path: string, passphrase: Secret | undefined): Promise<ParsedKey> {
  if (isPkcs12(bytes)) return await parsePkcs12(bytes, passphrase?.reveal() ?? '', path);
  try {
    return parsePlain(bytes, path, passphrase?.bytes);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if ((error as NodeJS.ErrnoException).code === NO_SUCH_CIPHER) {
      throw new AgentError('ERR_KEY_FILE', `the encryption of ${path} is none that OpenSSL still does`, {
        cause: error,
        hint: "encrypt it anew: 'openssl pkcs8 -topk8 -v2 aes-256-cbc -provider legacy -provider default'",
      });
    }
    throw passphrase
      ? new AgentError('ERR_PIN_INCORRECT', `wrong passphrase for ${path}`, { cause: error })
      : new AgentError('ERR_KEY_FILE', `no private key that can be read in ${path}`, { cause: error });
  }
}

async function parse(bytes: Buffer, path: string, ask: KeyFileOptions['passphrase']): Promise<ParsedKey> {
  if (!isEncrypted(bytes)) {
    try {
      return await parseWith(bytes, path, undefined);
    } catch (error) {
      // many PKCS#12 files have the empty passphrase: a person is asked only if the MAC says otherwise
      if (errorCode(error) !== 'ERR_PIN_INCORRECT') throw error;
    }
  }
  const passphrase = await askPassphrase(path, ask);
  try {
    return await parseWith(bytes, path, passphrase);
  } finally {
    passphrase.destroy();
  }
}

const digestOf = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

/** A private key from a file, held in this process. */
export class FileKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #path: string;
  readonly #allowReadableByOthers: boolean;
  /** Of the file. */
  readonly #digest: Buffer;
  readonly #privateKey: KeyObject;
  readonly #kind: KeyKind;
  #digestSigner: DigestSigner | undefined;

  private constructor(path: string, { privateKey, certificates }: ParsedKey, digest: Buffer, isReadable: boolean) {
    this.name = path;
    this.#path = path;
    this.#allowReadableByOthers = isReadable;
    this.#digest = digest;
    this.publicKey = createPublicKey(privateKey);
    this.certificates = certificates;
    this.#privateKey = privateKey;
    this.#kind = keyKind(privateKey);
  }

  /**
   * Opens a key file: PEM or DER; PKCS#8 plain and encrypted, PKCS#1, SEC1, PKCS#12.
   * @throws AgentError ERR_KEY_NOT_FOUND, ERR_KEY_FILE, ERR_KEY_PERMISSIONS, ERR_KEY_UNSUPPORTED, ERR_KEY_AMBIGUOUS, ERR_PIN_*
   */
  static async open(path: string, options: KeyFileOptions = {}): Promise<FileKey> {
    const isReadable = options.allowReadableByOthers ?? false;
    const bytes = await readPrivateFile(path, isReadable);
    try {
      return new FileKey(path, await parse(bytes, path, options.passphrase), digestOf(bytes), isReadable);
    } finally {
      bytes.fill(0);
    }
  }

  /** What is in a file that has changed takes opening it, which may take its passphrase. */
  async readCertificates(): Promise<readonly X509Certificate[]> {
    const bytes = await readPrivateFile(this.#path, this.#allowReadableByOthers);
    const isSame = digestOf(bytes).equals(this.#digest);
    bytes.fill(0);
    if (isSame) return this.certificates;
    throw new AgentError('ERR_KEY_FILE', `${this.name} is another file than before`, { reason: 'key-changed' });
  }

  sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature> {
    if (signal?.aborted === true) {
      return Promise.reject(new AgentError('ERR_ABORTED', 'given up', { cause: signal.reason }));
    }
    return new Promise((resolve) => {
      resolve({ bytes: this.#sign(request), mechanism: 'file' });
    });
  }

  canSign(): boolean {
    return true;
  }

  #sign(request: SignatureRequest): Buffer {
    switch (request.scheme) {
      case 'RSA_PKCS1_PADDING':
        return this.#rawRsa(encodeEmsaPkcs1(request.digestInfo.encoded, this.#rsa().modulusBytes));
      case 'RSA_PKCS1_PSS_PADDING':
        // node:crypto would hash the digest again
        return this.#rawRsa(encodeEmsaPss(request.hash, request.digest, request.saltLength, this.#rsa().modulusBits));
      case 'RSA_NO_PADDING':
        return this.#rawRsa(request.block);
      case 'ECDSA':
        return this.#ecdsa(request);
      case 'ED25519':
      case 'ED448':
        return sign(null, request.message, this.#privateKey);
    }
  }

  #rsa(): Extract<KeyKind, { type: 'RSA' }> {
    if (this.#kind.type !== 'RSA') throw new AgentError('ERR_REQUEST_KEY_TYPE', `${this.name} is not an RSA key`);
    return this.#kind;
  }

  #rawRsa(block: Buffer): Buffer {
    return privateEncrypt({ key: this.#privateKey, padding: constants.RSA_NO_PADDING }, block);
  }

  #ecdsa({ digest, hash, message }: EcdsaRequest): Buffer {
    if (hash && message) return sign(hash.name, message, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
    if (this.#kind.type !== 'EC') throw new AgentError('ERR_REQUEST_KEY_TYPE', `${this.name} is not an EC key`);
    this.#digestSigner ??= new DigestSigner(this.#kind.curve, this.#privateKey);
    return this.#digestSigner.sign(digest);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#digestSigner?.destroy();
    this.#digestSigner = undefined;
    return Promise.resolve();
  }
}
