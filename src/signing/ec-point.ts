import { createPublicKey, type KeyObject } from 'node:crypto';
import { BIT_STRING, SEQUENCE } from './ber.ts';
import type { Curve } from './curves.ts';

/** The first byte of a point that has both coordinates (SEC 1 section 2.3.3). */
export const UNCOMPRESSED = 0x04;

/** id-ecPublicKey (RFC 5480 section 2.1.1). */
const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex');

/** An element of DER whose length fits into a byte. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

/**
 * The public key that is a point on a curve, with both coordinates.
 * @throws Error of OpenSSL if it is not on it
 */
export function publicKeyOn({ name, oid, length, isInJwk }: Curve, point: Buffer): KeyObject {
  if (isInJwk) {
    const [x, y] = [point.subarray(1, 1 + length), point.subarray(1 + length)];
    const key = { kty: 'EC', crv: name, x: x.toString('base64url'), y: y.toString('base64url') };
    return createPublicKey({ format: 'jwk', key });
  }
  const key = der(SEQUENCE, der(SEQUENCE, EC_PUBLIC_KEY, oid), der(BIT_STRING, Buffer.of(0), point));
  return createPublicKey({ format: 'der', type: 'spki', key });
}
