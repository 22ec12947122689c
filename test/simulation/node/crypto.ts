// In place of node:crypto, where that leaves something to chance, or takes its time: the rest is Node's own.
import * as real from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { kernel } from '../kernel.ts';

export * from 'node:crypto';

export const randomBytes = (length: number): Buffer => kernel().random.bytes(length);
export const randomUUID = (): string => kernel().random.bytes(16).toString('hex');

type Callback = (error: Error | null, hash: Buffer) => void;

/** Salted and hashed, in no time. */
export function scrypt(secret: Buffer, salt: Buffer, length: number, ...rest: unknown[]): void {
  const hash = real.createHmac('sha512', salt).update(secret).digest().subarray(0, length);
  const done = rest.at(-1) as Callback;
  void kernel()
    .io(() => undefined)
    .then(() => {
      done(null, hash);
    });
}

/** Of Ed25519: 16 bytes of PKCS #8 (RFC 8410 section 7) before the seed. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

export function generateKeyPairSync(type: string): { privateKey: real.KeyObject; publicKey: real.KeyObject } {
  if (type !== 'ed25519') throw new TypeError(`${type} keys are not made in a simulation`);
  const der = Buffer.concat([PKCS8, kernel().random.bytes(32)]);
  const privateKey = real.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: real.createPublicKey(privateKey) };
}

interface KeyInput {
  readonly key: real.KeyObject | Buffer;
  readonly format?: 'der';
  readonly type?: 'sec1';
  readonly dsaEncoding?: 'der' | 'ieee-p1363';
}

/** ECDSA as RFC 6979 has it, without chance. */
export function sign(hash: string | null | undefined, data: Buffer, key: real.KeyObject | KeyInput): Buffer {
  const given: KeyInput = 'key' in key ? key : { key };
  const object = 'asymmetricKeyType' in given.key ? given.key : real.createPrivateKey(given as real.PrivateKeyInput);
  if (object.asymmetricKeyType !== 'ec') return real.sign(hash, data, key as real.KeyLike);
  const digest = real
    .createHash(hash ?? 'sha256')
    .update(data)
    .digest();
  return ecdsa(object, digest, given.dsaEncoding === 'ieee-p1363' ? 'compact' : 'der');
}

/** Signs a digest by a key on P-256. */
export function ecdsa(key: real.KeyObject, digest: Buffer, format: 'compact' | 'der'): Buffer {
  const { d = '' } = key.export({ format: 'jwk' });
  const scalar = Buffer.from(d, 'base64url');
  return Buffer.from(p256.sign(digest, scalar, { prehash: false, lowS: false, format }));
}

const all: typeof real = Object.assign({}, real, { randomBytes, randomUUID, scrypt, generateKeyPairSync, sign });
export default all;
