import type { X509Certificate } from 'node:crypto';
import { OBJECT_IDENTIFIER, readBer } from '../signing/ber.ts';
import { extensionOf, oidText } from './der.ts';

/** 1.3.6.1.4.1.311.21.7, szOID_CERTIFICATE_TEMPLATE: SEQUENCE { template OBJECT IDENTIFIER, version … }. */
const BY_ID = Buffer.from('2b060104018237' + '1507', 'hex');
/** 1.3.6.1.4.1.311.20.2, szOID_ENROLL_CERTTYPE: the name, of templates that Windows 2000 knew. */
const BY_NAME = Buffer.from('2b060104018237' + '1402', 'hex');
const BMP_STRING = 0x1e;

/** The template by which a Microsoft CA made a certificate: its object identifier, its name, or both. */
export interface Template {
  readonly id: string | undefined;
  readonly name: string | undefined;
}

/** Undefined for a certificate that was made by none. */
export function templateOf(certificate: X509Certificate): Template | undefined {
  const byId = extensionOf(certificate, BY_ID);
  const identifier = byId && readBer(byId.content);
  const id = identifier?.tag === OBJECT_IDENTIFIER ? oidText(identifier.content) : undefined;
  const named = extensionOf(certificate, BY_NAME);
  const name = named && textOf(named.tag, named.content);
  return id === undefined && name === undefined ? undefined : { id, name };
}

function textOf(tag: number, content: Buffer): string {
  if (tag !== BMP_STRING) return content.toString('utf8');
  return content.length % 2 === 0 ? Buffer.from(content).swap16().toString('utf16le') : '';
}
