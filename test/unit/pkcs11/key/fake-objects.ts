import { constants, generateKeyPairSync, privateEncrypt, X509Certificate, type KeyObject } from 'node:crypto';
import { DigestSigner } from '../../../../src/keyfile/digest-signer.ts';
import { CKA, CKK, CKM, CKO, PSS_HASHES } from '../../../../src/pkcs11/constants.ts';
import type { Mechanism } from '../../../../src/pkcs11/host/protocol.ts';
import { encodeEmsaPss } from '../../../../src/signing/emsa-pss.ts';
import { PLAIN_HASHES } from '../../../../src/signing/hashes.ts';
import { CURVE_BYTES, type CurveName } from '../../../../src/signing/public-key.ts';
import { CERTIFICATE } from '../../keys/certificate.ts';
import { ckr, type FakeModules, type FakeSigner } from '../fake-modules.ts';

const hex = (text: string): string => Buffer.from(text).toString('hex');
const hexOf = (base64url: string | undefined): string => Buffer.from(base64url ?? '', 'base64url').toString('hex');

/** A key's public half, and its attributes as a token has them. */
export interface MadeKey {
  readonly publicKey: KeyObject;
  readonly attributes: Record<number, string>;
}

/** What keys that were made do with the attributes that they were made with, by EC point or modulus. */
const SIGNERS = new Map<string, FakeSigner>();

const CURVE_ATTRIBUTES: Readonly<Record<CurveName, readonly [parameters: string, point: string]>> = {
  'P-256': ['06082a8648ce3d030107', '0441'],
  'P-384': ['06052b81040022', '0461'],
  'P-521': ['06052b81040023', '048185'],
  secp256k1: ['06052b8104000a', '0441'],
  brainpoolP256r1: ['06092b2403030208010107', '0441'],
  brainpoolP384r1: ['06092b240303020801010b', '0461'],
  brainpoolP512r1: ['06092b240303020801010d', '048181'],
};

/** What a token tells of an EC key. */
export function attributesOfEc(publicKey: KeyObject, curve: CurveName = 'P-256'): Record<number, string> {
  const [parameters, pointHead] = CURVE_ATTRIBUTES[curve];
  // the point is what a SubjectPublicKeyInfo ends with
  const coordinates = publicKey.export({ type: 'spki', format: 'der' }).subarray(-2 * CURVE_BYTES[curve]);
  const point = `${pointHead}04${coordinates.toString('hex')}`;
  return { [CKA.KEY_TYPE]: `0${CKK.EC}`, [CKA.EC_PARAMS]: parameters, [CKA.EC_POINT]: point };
}

/** An EC key, which signs with CKM_ECDSA. */
export function makeKey(curve: CurveName = 'P-256'): MadeKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const attributes = attributesOfEc(publicKey, curve);
  const signer = new DigestSigner(curve, privateKey);
  SIGNERS.set(attributes[CKA.EC_POINT] ?? '', ({ type }, data) => {
    if (type !== CKM.ECDSA) throw ckr('CKR_MECHANISM_INVALID', 'C_SignInit');
    return signer.sign(data);
  });
  return { publicKey, attributes };
}

function signWithRsa(key: KeyObject, { type, pss }: Mechanism, data: Buffer): Buffer {
  const raw = (block: Buffer): Buffer => privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  if (type === CKM.RSA_X_509) return raw(data);
  if (type === CKM.RSA_PKCS) return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, data);
  const hash = PLAIN_HASHES.find(({ name }) => name !== 'MD5-SHA1' && PSS_HASHES[name].hashAlg === pss?.hashAlg);
  if (type !== CKM.RSA_PKCS_PSS || !pss || !hash) throw ckr('CKR_MECHANISM_INVALID', 'C_SignInit');
  return raw(encodeEmsaPss(hash, data, pss.saltLen, key.asymmetricKeyDetails?.modulusLength ?? 0));
}

/** An RSA key, which signs raw, with CKM_RSA_PKCS and with CKM_RSA_PKCS_PSS. */
export function makeRsaKey(modulusLength = 2048): MadeKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength });
  const { n, e } = publicKey.export({ format: 'jwk' });
  SIGNERS.set(hexOf(n), (mechanism, data) => signWithRsa(privateKey, mechanism, data));
  const attributes = { [CKA.KEY_TYPE]: `0${CKK.RSA}`, [CKA.MODULUS]: hexOf(n), [CKA.PUBLIC_EXPONENT]: hexOf(e) };
  return { publicKey, attributes };
}

export const certificate: X509Certificate = new X509Certificate(CERTIFICATE);

let handles = 0;

function put(modules: FakeModules, objectClass: number, isPublic: boolean, attributes: Record<number, string>): string {
  const handle = `object-${++handles}`;
  modules.objects.set(handle, { class: objectClass, isPublic, attributes });
  return handle;
}

const named = (label: string, id: string): Record<number, string> => ({ [CKA.LABEL]: hex(label), [CKA.ID]: id });

/** Puts a private key on all tokens. @returns its handle */
export function putPrivateKey(
  modules: FakeModules,
  label: string,
  attributes: Record<number, string>,
  { id = '01', isPublic = false }: { id?: string; isPublic?: boolean } = {},
): string {
  const handle = put(modules, CKO.PRIVATE_KEY, isPublic, { ...named(label, id), ...attributes });
  const signer = SIGNERS.get(attributes[CKA.EC_POINT] ?? attributes[CKA.MODULUS] ?? '');
  if (signer) modules.signers.set(handle, signer);
  return handle;
}

export function putPublicKey(
  modules: FakeModules,
  label: string,
  attributes: Record<number, string>,
  { id = '01' }: { id?: string } = {},
): string {
  return put(modules, CKO.PUBLIC_KEY, true, { ...named(label, id), ...attributes });
}

/** @param attributes beside label, CKA_ID and CKA_VALUE */
export function putCertificate(
  modules: FakeModules,
  label: string,
  {
    id = '01',
    isPublic = true,
    of = certificate,
    attributes = {},
  }: { id?: string; isPublic?: boolean; of?: X509Certificate; attributes?: Record<number, string> } = {},
): string {
  const value = { [CKA.VALUE]: of.raw.toString('hex') };
  return put(modules, CKO.CERTIFICATE, isPublic, { ...named(label, id), ...value, ...attributes });
}
