import {
  constants,
  createHash,
  createPrivateKey,
  publicDecrypt,
  privateEncrypt,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Bench, KeyName } from '../../support/bench.ts';
import { digestInfo } from '../../support/openssl.ts';
import type { Column } from '../setup/token-bed.ts';

type Hash = Parameters<typeof digestInfo>[0];

/** Something that a daemon may ask for, and how node:crypto (not our own code) checks the answer. */
export interface Request {
  /** Its column in docs/TOKENS.md. */
  readonly column: Column;
  readonly algorithm: string;
  readonly data: Buffer;
  readonly verifies: (signature: Buffer, key: KeyObject) => boolean;
}

const HASHES = ['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const satisfies Hash[];
/** Lengths in bytes. */
const LENGTH = { SHA1: 20, SHA224: 28, SHA256: 32, SHA384: 48, SHA512: 64 } as const satisfies Record<Hash, number>;
const MESSAGE = Buffer.from('what a TLS client signs: its transcript, or what it hashes of it');
const hashed = (hash: string): Buffer => createHash(hash).update(MESSAGE).digest();

/** What an RSA signature holds: the block, or what is in its PKCS #1 padding. */
const recovers = (padding: number, expected: Buffer): Request['verifies'] => {
  return (signature, key) => publicDecrypt({ key, padding }, signature).equals(expected);
};

function pkcs1(): Request[] {
  const { RSA_PKCS1_PADDING } = constants;
  const md5sha1 = Buffer.concat([hashed('MD5'), hashed('SHA1')]);
  return [
    ...(['SHA1', 'SHA256', 'SHA384', 'SHA512'] as const).map((hash): Request => {
      const data = digestInfo(hash, MESSAGE.toString());
      const verifies = recovers(RSA_PKCS1_PADDING, data);
      return { column: 'PKCS #1, DigestInfo', algorithm: 'RSA_PKCS1_PADDING', data, verifies };
    }),
    {
      column: 'PKCS #1, MD5-SHA1',
      algorithm: 'RSA_PKCS1_PADDING',
      data: md5sha1,
      verifies: recovers(RSA_PKCS1_PADDING, md5sha1),
    },
    ...HASHES.map(
      (hash): Request => ({
        column: 'PKCS #1, message',
        algorithm: `RSA_PKCS1_PADDING,hashalg=${hash},data=message`,
        data: MESSAGE,
        verifies: (signature: Buffer, key: KeyObject) => verify(hash, MESSAGE, key, signature),
      }),
    ),
    {
      column: 'PKCS #1, message',
      algorithm: 'RSA_PKCS1_PADDING,hashalg=MD5-SHA1,data=message',
      data: MESSAGE,
      verifies: recovers(RSA_PKCS1_PADDING, md5sha1),
    },
  ];
}

/** Padded by node:crypto with another key of that length: a PSS block's first bit is 0, so it fits every modulus. */
function blocks(padder: KeyObject): Request[] {
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, RSA_NO_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants;
  const block = (signature: Buffer): Buffer => publicDecrypt({ key: padder, padding: RSA_NO_PADDING }, signature);
  const request = (column: Column, data: Buffer): Request => ({
    column,
    algorithm: 'RSA_NO_PADDING',
    data,
    verifies: recovers(RSA_NO_PADDING, data),
  });
  const info = digestInfo('SHA256', MESSAGE.toString());
  return [
    request('raw, PKCS #1 block', block(privateEncrypt({ key: padder, padding: RSA_PKCS1_PADDING }, info))),
    ...(['SHA256', 'SHA384', 'SHA512'] as const).map((hash) => {
      const key = { key: padder, padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST };
      return request('raw, PSS block', block(sign(hash, MESSAGE, key)));
    }),
  ];
}

function pss(modulusBits: number): Request[] {
  return HASHES.flatMap((hash) =>
    (['digest', 'max', '0'] as const).flatMap((salt): Request[] => {
      const max = Math.ceil((modulusBits - 1) / 8) - LENGTH[hash] - 2;
      const saltLength = { digest: LENGTH[hash], max, 0: 0 }[salt];
      const verifies: Request['verifies'] = (signature, key) =>
        verify(hash, MESSAGE, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
      const algorithm = `RSA_PKCS1_PSS_PADDING,hashalg=${hash},saltlen=${salt}`;
      return [
        { column: 'PSS, digest', algorithm, data: hashed(hash), verifies },
        { column: 'PSS, message', algorithm: `${algorithm},data=message`, data: MESSAGE, verifies },
      ];
    }),
  );
}

function ecdsa(column: Column): Request[] {
  return (['SHA1', 'SHA256', 'SHA384', 'SHA512'] as const).flatMap((hash): Request[] => {
    const verifies: Request['verifies'] = (signature, key) => verify(hash, MESSAGE, key, signature);
    return [
      { column, algorithm: 'ECDSA', data: hashed(hash), verifies },
      { column, algorithm: `ECDSA,hashalg=${hash},data=message`, data: MESSAGE, verifies },
    ];
  });
}

function eddsa(name: 'ED25519' | 'ED448'): Request[] {
  return [MESSAGE, randomBytes(146), randomBytes(4096)].map((data) => ({
    column: name === 'ED25519' ? 'Ed25519' : 'Ed448',
    algorithm: `${name},data=message`,
    data,
    verifies: (signature, key) => verify(null, data, key, signature),
  }));
}

const EC_COLUMNS: Readonly<Record<string, Column>> = { p256: 'P-256', p384: 'P-384', p521: 'P-521' };

/** All that a daemon may ask of a key of this kind. */
export function requestsFor(bench: Bench, name: KeyName): Request[] {
  if (name === 'ed25519') return eddsa('ED25519');
  if (name === 'ed448') return eddsa('ED448');
  if (!name.startsWith('rsa')) return ecdsa(EC_COLUMNS[name] ?? 'P-256');
  return [
    ...pkcs1(),
    ...blocks(createPrivateKey(readFileSync(bench.recipe(`${name}.pem`)))),
    ...pss(Number(name.slice('rsa'.length))),
  ];
}
