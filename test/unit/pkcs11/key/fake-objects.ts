import { generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { CKA, CKK, CKO } from '../../../../src/pkcs11/constants.ts';
import { CERTIFICATE } from '../../keys/certificate.ts';
import type { FakeModules } from '../fake-modules.ts';

const hex = (text: string): string => Buffer.from(text).toString('hex');
const hexOf = (base64url: string | undefined): string => Buffer.from(base64url ?? '', 'base64url').toString('hex');

/** An EC key's public half, and its attributes as a token has them. */
export function makeKey(): { publicKey: KeyObject; attributes: Record<number, string> } {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const attributes = {
    [CKA.KEY_TYPE]: `0${CKK.EC}`,
    [CKA.EC_PARAMS]: '06082a8648ce3d030107',
    [CKA.EC_POINT]: `044104${hexOf(x)}${hexOf(y)}`,
  };
  return { publicKey, attributes };
}

/** An RSA key of 2,048 bits. */
export function makeRsaKey(): { publicKey: KeyObject; attributes: Record<number, string> } {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n, e } = publicKey.export({ format: 'jwk' });
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
  return put(modules, CKO.PRIVATE_KEY, isPublic, { ...named(label, id), ...attributes });
}

export function putPublicKey(
  modules: FakeModules,
  label: string,
  attributes: Record<number, string>,
  { id = '01' }: { id?: string } = {},
): string {
  return put(modules, CKO.PUBLIC_KEY, true, { ...named(label, id), ...attributes });
}

export function putCertificate(
  modules: FakeModules,
  label: string,
  { id = '01', isPublic = true }: { id?: string; isPublic?: boolean } = {},
): string {
  return put(modules, CKO.CERTIFICATE, isPublic, { ...named(label, id), [CKA.VALUE]: certificate.raw.toString('hex') });
}
