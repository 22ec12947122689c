import type { CurveName } from './public-key.ts';

/**
 * A curve y² = x³ + ax + b of cofactor 1: NIST's (SP 800-186), secp256k1 (SEC 2), Brainpool's (RFC 5639). Nothing here depends
 * on a and b: only OpenSSL multiplies points, and the sum of two points that differ in x has neither in it.
 */
export interface Curve {
  readonly name: CurveName;
  /** Its name in OpenSSL. */
  readonly opensslName: string;
  /** DER of its object identifier. */
  readonly oid: Buffer;
  /** JSON Web Keys know it (RFC 7518, RFC 8812). */
  readonly isInJwk: boolean;
  /** The length of p and n in bytes. */
  readonly length: number;
  /** The length of n in bits. */
  readonly orderBits: number;
  /** The field's prime. */
  readonly p: bigint;
  /** The order of the generator G. */
  readonly n: bigint;
  /** The hash whose digest is as long as the order, or next to it: what needs no cutting. */
  readonly hash: { readonly name: string; readonly length: number };
}

/** A point but the one at infinity. */
export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

export const CURVES: Readonly<Record<CurveName, Curve>> = {
  'P-256': {
    name: 'P-256',
    opensslName: 'prime256v1',
    oid: Buffer.from('06082a8648ce3d030107', 'hex'),
    isInJwk: true,
    length: 32,
    orderBits: 256,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    hash: { name: 'sha256', length: 32 },
  },
  'P-384': {
    name: 'P-384',
    opensslName: 'secp384r1',
    oid: Buffer.from('06052b81040022', 'hex'),
    isInJwk: true,
    length: 48,
    orderBits: 384,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    hash: { name: 'sha384', length: 48 },
  },
  'P-521': {
    name: 'P-521',
    opensslName: 'secp521r1',
    oid: Buffer.from('06052b81040023', 'hex'),
    isInJwk: true,
    length: 66,
    orderBits: 521,
    p: 2n ** 521n - 1n,
    n: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    hash: { name: 'sha512', length: 64 },
  },
  secp256k1: {
    name: 'secp256k1',
    opensslName: 'secp256k1',
    oid: Buffer.from('06052b8104000a', 'hex'),
    isInJwk: true,
    length: 32,
    orderBits: 256,
    p: 2n ** 256n - 2n ** 32n - 977n,
    n: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
    hash: { name: 'sha256', length: 32 },
  },
  brainpoolP256r1: {
    name: 'brainpoolP256r1',
    opensslName: 'brainpoolP256r1',
    oid: Buffer.from('06092b2403030208010107', 'hex'),
    isInJwk: false,
    length: 32,
    orderBits: 256,
    p: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    n: 0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n,
    hash: { name: 'sha256', length: 32 },
  },
  brainpoolP384r1: {
    name: 'brainpoolP384r1',
    opensslName: 'brainpoolP384r1',
    oid: Buffer.from('06092b240303020801010b', 'hex'),
    isInJwk: false,
    length: 48,
    orderBits: 384,
    p: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    n: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n,
    hash: { name: 'sha384', length: 48 },
  },
  brainpoolP512r1: {
    name: 'brainpoolP512r1',
    opensslName: 'brainpoolP512r1',
    oid: Buffer.from('06092b240303020801010d', 'hex'),
    isInJwk: false,
    length: 64,
    orderBits: 512,
    p: 0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    n: 0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n,
    hash: { name: 'sha512', length: 64 },
  },
};

/** An unsigned big-endian number. */
export function toInteger(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

/** A number as `length` big-endian bytes. */
export function toBytes(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
}

/** The residue from 0 to modulus − 1. */
export function mod(value: bigint, modulus: bigint): bigint {
  const residue = value % modulus;
  return residue < 0n ? residue + modulus : residue;
}

/** Bits of two numbers that Euclid's steps are worked out with: so many that factors fit into the rest of a double. */
const WINDOW = 50;

/** The length in bits of an integer that is no larger than a double holds exactly. */
function bitLength(value: number): number {
  const high = Math.floor(value / 2 ** 32);
  return high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(value);
}

/** Several steps of Euclid at once: a′ = p·a + q·b, b′ = r·a + s·b. */
interface Steps {
  readonly factors: readonly [p: number, q: number, r: number, s: number];
  /** The leading bits of a′, more or less. */
  readonly leading: number;
}

/** The steps that the leading bits of a and b tell for sure (Lehmer; D. Knuth, TAOCP volume 2, algorithm 4.5.2 L). */
function sureSteps(a: number, b: number): Steps {
  let [x, y, p, q, r, s] = [a, b, 1, 0, 0, 1];
  while (y + r > 0 && y + s > 0) {
    const quotient = Math.floor((x + p) / (y + r));
    // what was cut off may make it another one
    if (quotient !== Math.floor((x + q) / (y + s))) break;
    [x, y, p, q, r, s] = [y, x - quotient * y, r, s, p - quotient * r, q - quotient * s];
  }
  return { factors: [p, q, r, s], leading: x };
}

/**
 * The inverse by Euclid. Its time depends on the value: for public ones.
 * @param value from 1 to modulus − 1
 * @param modulus a prime of at most 521 bits
 */
export function inverse(value: bigint, modulus: bigint): bigint {
  // at each step: a ≡ u · value, b ≡ v · value
  let [a, b, u, v] = [modulus, value, 0n, 1n];
  let shift = modulus >> 384n > 0n ? 521 - WINDOW : modulus >> 256n > 0n ? 384 - WINDOW : 256 - WINDOW;
  while (b !== 0n) {
    const cut = BigInt(Math.max(0, shift));
    const { factors, leading } = sureSteps(Number(a >> cut), Number(b >> cut));
    const isStuck = factors[1] === 0;
    if (isStuck) {
      const quotient = a / b;
      [a, b, u, v] = [b, a - quotient * b, v, u - quotient * v];
    } else {
      const [p, q, r, s] = [BigInt(factors[0]), BigInt(factors[1]), BigInt(factors[2]), BigInt(factors[3])];
      [a, b, u, v] = [p * a + q * b, r * a + s * b, p * u + q * v, r * u + s * v];
    }
    const top = isStuck ? Number(a >> cut) : leading;
    shift = Math.max(0, shift) - (WINDOW - bitLength(top));
  }
  return mod(u, modulus);
}

/** A digest as a number: its leftmost bits, as many as the order has (FIPS 186-5 section 6.4.1). */
export function digestToInteger({ orderBits }: Curve, digest: Buffer): bigint {
  const surplus = 8 * digest.length - orderBits;
  return surplus > 0 ? toInteger(digest) >> BigInt(surplus) : toInteger(digest);
}

/** The sum of two points whose x differ. */
export function addPoints({ p }: Curve, a: Point, b: Point): Point {
  const slope = mod((b.y - a.y) * inverse(mod(b.x - a.x, p), p), p);
  const x = mod(slope * slope - a.x - b.x, p);
  return { x, y: mod(slope * (a.x - x) - a.y, p) };
}
