import crypto, { createECDH, createHash, createPublicKey, ECDH, verify, type KeyObject } from 'node:crypto';
import { AgentError } from '../errors.ts';
import {
  addPoints,
  CURVES,
  digestToInteger,
  inverse,
  mod,
  toBytes,
  toInteger,
  type Curve,
  type Point,
} from './curves.ts';
import { readAllBer, readBer } from './ber.ts';
import { publicKeyOn, UNCOMPRESSED } from './ec-point.ts';
import type { CurveName } from './public-key.ts';

/** {@link verify} over a ready digest, in a Node that has it (nodejs/node pull request 62345). */
type VerifyDigest = (
  hash: string,
  digest: Buffer,
  key: { key: KeyObject; dsaEncoding: 'ieee-p1363' },
  signature: Buffer,
) => boolean;

/** What node:crypto signs and verifies instead of a ready digest: it hashes whatever it is given. */
const STAND_INS = [0, 1, 2].map((length) => {
  const message = Buffer.alloc(length);
  return { message, digest: createHash('sha256').update(message).digest() };
});

const points = new WeakMap<KeyObject, Point>();

/** The content of the BIT STRING that a SubjectPublicKeyInfo ends with: a point, compressed perhaps. */
function encodedPoint(key: KeyObject): Buffer | undefined {
  const info = readBer(key.export({ type: 'spki', format: 'der' }));
  const bits = info && readAllBer(info.content)?.[1];
  return bits?.content.subarray(1);
}

function pointOf(key: KeyObject, curve: Curve): Point {
  const known = points.get(key);
  if (known) return known;
  const { length, opensslName } = curve;
  const { x, y } = curve.isInJwk ? key.export({ format: 'jwk' }) : {};
  const encoded =
    x !== undefined && y !== undefined
      ? Buffer.concat([Buffer.of(UNCOMPRESSED), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
      : ECDH.convertKey(encodedPoint(key) ?? '', opensslName, undefined, undefined, 'uncompressed');
  const bytes = Buffer.from(encoded as Buffer);
  if (bytes.length !== 1 + 2 * length) {
    throw new AgentError('ERR_KEY_UNSUPPORTED', `the public key is not a point on ${curve.name}`);
  }
  const point = { x: toInteger(bytes.subarray(1, 1 + length)), y: toInteger(bytes.subarray(1 + length)) };
  points.set(key, point);
  return point;
}

const generators = new Map<CurveName, ECDH>();

/** The multiple of the generator, by OpenSSL. @param factor from 1 to n − 1 */
function multipleOfGenerator({ name, opensslName, length }: Curve, factor: bigint): Point {
  const generator = generators.get(name) ?? createECDH(opensslName);
  generators.set(name, generator);
  generator.setPrivateKey(toBytes(factor, length));
  const encoded = generator.getPublicKey();
  return { x: toInteger(encoded.subarray(1, 1 + length)), y: toInteger(encoded.subarray(1 + length)) };
}

function keyOf(curve: Curve, { x, y }: Point): KeyObject {
  const { length } = curve;
  return publicKeyOn(curve, Buffer.concat([Buffer.of(UNCOMPRESSED), toBytes(x, length), toBytes(y, length)]));
}

/**
 * Verifies by a key and a digest that fit exactly if the given ones do. With u = 1/s, (r, s) fits the digest e and the key Q
 * if u·e·G + u·r·Q has r as its x. For e′ in place of e that is the same point with Q′ = Q + t·G, t = (e − e′)/r:
 * u·e′·G + u·r·Q′ = u·(e′ + r·t)·G + u·r·Q. All of these are public.
 */
export function verifyByMovedKey(curve: Curve, digest: Buffer, signature: Buffer, key: KeyObject): boolean {
  const { length, n } = curve;
  if (signature.length !== 2 * length) return false;
  const [r, s] = [toInteger(signature.subarray(0, length)), toInteger(signature.subarray(length))];
  if (r === 0n || r >= n || s === 0n || s >= n) return false;
  const point = pointOf(key, curve);
  const [e, oneByR] = [digestToInteger(curve, digest), inverse(r, n)];
  const verifyWith = (publicKey: KeyObject, message: Buffer): boolean =>
    verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
  for (const standIn of STAND_INS) {
    const t = mod((e - digestToInteger(curve, standIn.digest)) * oneByR, n);
    if (t === 0n) return verifyWith(key, standIn.message);
    const step = multipleOfGenerator(curve, t);
    if (step.x !== point.x) return verifyWith(keyOf(curve, addPoints(curve, point, step)), standIn.message);
    // t·G is Q or −Q, whose sum is another formula or no key: for two stand-ins at most, since each has another t
  }
  return false;
}

/** RFC 6979 section A.2.5, of the messages `sample` and, wrongly, `test`. */
const EXAMPLE = {
  x: 'YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y',
  y: 'eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk',
  signature: '79SLKqy2qP0RQN2c1F6B1p0sh3tWqvmRw00OqE6vNxb3yxyULWV8QdQ2x6G24p9l8-kA27mv9AZNxKsvhDrNqA',
};

/** A Node's verifyDigest if it does what we take it for: it may come with another meaning than proposed. */
export function provenVerifyDigest(candidate: VerifyDigest | undefined): VerifyDigest | undefined {
  if (!candidate) return undefined;
  const { x, y, signature } = EXAMPLE;
  try {
    const key = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x, y } });
    const fits = (message: string): boolean => {
      const digest = createHash('sha256').update(message).digest();
      return candidate('sha256', digest, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    };
    return fits('sample') && !fits('test') ? candidate : undefined;
  } catch {
    return undefined;
  }
}

const VERIFY_DIGEST = provenVerifyDigest((crypto as { verifyDigest?: VerifyDigest }).verifyDigest);

/** Verifies r‖s over a ready digest with an EC public key on that curve. */
export function verifyEcdsaDigest(
  name: CurveName,
  digest: Buffer,
  signature: Buffer,
  key: KeyObject,
  verifyDigest: VerifyDigest | undefined = VERIFY_DIGEST,
): boolean {
  const curve = CURVES[name];
  const lack = curve.hash.length - digest.length;
  if (!verifyDigest || lack < 0) return verifyByMovedKey(curve, digest, signature, key);
  // it wants a digest as long as the hash: zeros before it don't change the number
  const padded = Buffer.concat([Buffer.alloc(lack), digest]);
  return verifyDigest(curve.hash.name, padded, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
