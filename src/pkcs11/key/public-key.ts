import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { CURVE_BYTES, type CurveName } from '../../signing/public-key.ts';
import { CKK } from '../constants.ts';

const base64url = (bytes: Buffer): string => bytes.toString('base64url');
const OCTET_STRING = 0x04;
/** The first byte of a point that has both coordinates (SEC 1 section 2.3.3). */
const UNCOMPRESSED = 0x04;

/** CKA_EC_PARAMS of the curves: the DER of their OIDs (RFC 5480 section 2.1.1.1). */
const EC_CURVES = [
  { crv: 'P-256', parameters: '06082a8648ce3d030107' },
  { crv: 'P-384', parameters: '06052b81040022' },
  { crv: 'P-521', parameters: '06052b81040023' },
] as const;
const EDWARDS_CURVES = [
  { crv: 'Ed25519', bytes: 32 },
  { crv: 'Ed448', bytes: 57 },
] as const;

/** CKA_EC_PARAMS of a curve, in hex. */
export function ecParametersOf(curve: CurveName): string {
  return EC_CURVES.find(({ crv }) => crv === curve)?.parameters ?? '';
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

function jwkOf({
  keyType,
  modulus,
  publicExponent,
  ecParameters,
  ecPoint,
}: PublicKeyAttributes): JsonWebKey | undefined {
  if (keyType === CKK.RSA && modulus && publicExponent) {
    return { kty: 'RSA', n: base64url(modulus), e: base64url(publicExponent) };
  }
  const points = ecPoint ? pointCandidates(ecPoint) : [];
  if (keyType === CKK.EC) {
    const curve = EC_CURVES.find(({ parameters }) => parameters === ecParameters?.toString('hex'));
    if (!curve) return undefined;
    const bytes = CURVE_BYTES[curve.crv];
    const point = points.find((candidate) => candidate[0] === UNCOMPRESSED && candidate.length === 1 + 2 * bytes);
    if (!point) return undefined;
    const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
    return { kty: 'EC', crv: curve.crv, x: base64url(x), y: base64url(y) };
  }
  if (keyType === CKK.EC_EDWARDS) {
    for (const point of points) {
      const curve = EDWARDS_CURVES.find(({ bytes }) => bytes === point.length);
      if (curve) return { kty: 'OKP', crv: curve.crv, x: base64url(point) };
    }
  }
  return undefined;
}

/** The public key that a token's attributes describe; undefined where they are missing or malformed. */
export function publicKeyOf(attributes: PublicKeyAttributes): KeyObject | undefined {
  const key = jwkOf(attributes);
  if (!key) return undefined;
  try {
    return createPublicKey({ key, format: 'jwk' });
  } catch {
    return undefined;
  }
}
