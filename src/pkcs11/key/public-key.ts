import { createPublicKey, type KeyObject } from 'node:crypto';
import { CURVES } from '../../signing/curves.ts';
import { publicKeyOn, UNCOMPRESSED } from '../../signing/ec-point.ts';
import type { CurveName } from '../../signing/public-key.ts';
import { CKK } from '../constants.ts';

const base64url = (bytes: Buffer): string => bytes.toString('base64url');
const OCTET_STRING = 0x04;
const EDWARDS_CURVES = [
  { crv: 'Ed25519', bytes: 32 },
  { crv: 'Ed448', bytes: 57 },
] as const;

/** CKA_EC_PARAMS of a curve, in hex: its OID (RFC 5480 section 2.1.1.1). */
export function ecParametersOf(curve: CurveName): string {
  return CURVES[curve].oid.toString('hex');
}

/** What the objects of a key pair say of the public key. */
export interface PublicKeyAttributes {
  /** CKA_KEY_TYPE. */
  readonly keyType: number;
  readonly modulus?: Buffer | undefined;
  readonly publicExponent?: Buffer | undefined;
  readonly ecParameters?: Buffer | undefined;
  readonly ecPoint?: Buffer | undefined;
}

/** The content of a DER OCTET STRING that fills `bytes`; undefined if it is none. */
function octetString(bytes: Buffer): Buffer | undefined {
  if (bytes[0] !== OCTET_STRING) return undefined;
  const long = bytes[1] === 0x81;
  const content = bytes.subarray(long ? 3 : 2);
  return content.length === bytes[long ? 2 : 1] ? content : undefined;
}

/** CKA_EC_POINT is an OCTET STRING around the point (PKCS#11 v3.1 section 6.3.3); some modules leave the bare point. */
function pointCandidates(ecPoint: Buffer): Buffer[] {
  const wrapped = octetString(ecPoint);
  return wrapped ? [wrapped, ecPoint] : [ecPoint];
}

function keyOf({
  keyType,
  modulus,
  publicExponent,
  ecParameters,
  ecPoint,
}: PublicKeyAttributes): KeyObject | undefined {
  if (keyType === CKK.RSA && modulus && publicExponent) {
    const key = { kty: 'RSA', n: base64url(modulus), e: base64url(publicExponent) };
    return createPublicKey({ key, format: 'jwk' });
  }
  const points = ecPoint ? pointCandidates(ecPoint) : [];
  if (keyType === CKK.EC && ecParameters) {
    // CKA_EC_PARAMS has the curve's OID (RFC 5480 section 2.1.1.1)
    const curve = Object.values(CURVES).find(({ oid }) => oid.equals(ecParameters));
    const point = points.find(
      (candidate) => candidate[0] === UNCOMPRESSED && candidate.length === 1 + 2 * (curve?.length ?? 0),
    );
    return curve && point && publicKeyOn(curve, point);
  }
  if (keyType === CKK.EC_EDWARDS) {
    for (const point of points) {
      const curve = EDWARDS_CURVES.find(({ bytes }) => bytes === point.length);
      if (curve) return createPublicKey({ key: { kty: 'OKP', crv: curve.crv, x: base64url(point) }, format: 'jwk' });
    }
  }
  return undefined;
}

/** The public key that a token's attributes describe; undefined where they are missing or malformed. */
export function publicKeyOf(attributes: PublicKeyAttributes): KeyObject | undefined {
  try {
    return keyOf(attributes);
  } catch {
    return undefined;
  }
}
