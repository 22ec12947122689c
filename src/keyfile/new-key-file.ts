import { createCipheriv, generateKeyPair, pbkdf2, randomBytes, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { AgentError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { CURVES } from '../signing/curves.ts';
import { keyKindName, type KeyKind } from '../signing/public-key.ts';
import { DerWriter } from './der-writer.ts';

/** Of PBKDF2 with HMAC-SHA-256: what OWASP asks for in 2023; a fifth of a second. */
const ITERATIONS = 600_000;
const SALT_LENGTH = 16;
const KEY_LENGTH = 32;
const BLOCK_LENGTH = 16;

const OID = {
  PBES2: '1.2.840.113549.1.5.13',
  PBKDF2: '1.2.840.113549.1.5.12',
  HMAC_WITH_SHA256: '1.2.840.113549.2.9',
  AES256_CBC: '2.16.840.1.101.3.4.1.42',
} as const;

async function generate(kind: KeyKind): Promise<KeyObject> {
  const pair = promisify(generateKeyPair);
  switch (kind.type) {
    case 'RSA':
      return (await pair('rsa', { modulusLength: kind.modulusBits })).privateKey;
    case 'EC':
      return (await pair('ec', { namedCurve: CURVES[kind.curve].opensslName })).privateKey;
    case 'ED25519':
      return (await pair('ed25519')).privateKey;
    case 'ED448':
      throw new AgentError('ERR_KEY_UNSUPPORTED', `no key ${keyKindName(kind)} is made`);
  }
}

/**
 * EncryptedPrivateKeyInfo (RFC 5958 section 3) by PBES2 (RFC 8018 section 6.2). Not by node:crypto's export, which hashes a
 * passphrase 2,048 times, as it was done in 1999. The key and the passphrase pass no other library.
 */
async function encrypt(plain: Buffer, passphrase: Secret): Promise<Buffer> {
  const [salt, iv] = [randomBytes(SALT_LENGTH), randomBytes(BLOCK_LENGTH)];
  const key = await promisify(pbkdf2)(passphrase.bytes, salt, ITERATIONS, KEY_LENGTH, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  key.fill(0);
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  const der = await DerWriter.load();
  const hash = der.sequence(der.identifier(OID.HMAC_WITH_SHA256), der.nothing());
  const derivation = der.sequence(
    der.identifier(OID.PBKDF2),
    der.sequence(der.octets(salt), der.integer(ITERATIONS), hash),
  );
  const scheme = der.sequence(der.identifier(OID.AES256_CBC), der.octets(iv));
  const algorithm = der.sequence(der.identifier(OID.PBES2), der.sequence(derivation, scheme));
  return der.encode(der.sequence(algorithm, der.octets(encrypted)));
}

/** A block of PEM (RFC 7468). The caller zeroes it where that matters. */
export function pemOf(label: string, der: Buffer): Buffer {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return Buffer.from([`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n'), 'latin1');
}

/**
 * Makes a private key as a file has it: PKCS #8 in PEM, encrypted if there is a passphrase. The caller zeroes it.
 * @throws AgentError ERR_KEY_UNSUPPORTED
 */
export async function newKeyPem(kind: KeyKind, passphrase: Secret | undefined): Promise<Buffer> {
  const plain = (await generate(kind)).export({ type: 'pkcs8', format: 'der' });
  try {
    return passphrase ? pemOf('ENCRYPTED PRIVATE KEY', await encrypt(plain, passphrase)) : pemOf('PRIVATE KEY', plain);
  } finally {
    plain.fill(0);
  }
}
