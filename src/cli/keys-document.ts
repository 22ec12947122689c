import type { X509Certificate } from 'node:crypto';
import { timeOf } from '../certificates/dates.ts';
import { errorCode, errorText } from '../errors.ts';
import { nameOnOneLine } from '../keyfile/pem.ts';
import {
  formatPkcs11Uri,
  offered,
  pinState,
  signingTable,
  type FoundToken,
  type ListedKey,
  type ListedToken,
  type ModuleName,
  type SigningRow,
} from '../pkcs11/index.ts';
import { keyKind, keyKindName, type KeyKind } from '../signing/public-key.ts';

/** What `pksigd keys --json` prints; pksigd-keys(1) documents the names. */
export interface KeysDocument {
  readonly modules: readonly ModuleEntry[];
}

interface ErrorEntry {
  readonly code: string | null;
  readonly message: string;
}

export interface ModuleEntry {
  readonly path: string;
  /** In p11-kit's configuration. */
  readonly name?: string;
  readonly tokens: readonly TokenEntry[];
  readonly error?: ErrorEntry;
}

export interface TokenEntry {
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly login: 'not needed' | 'needed' | 'done';
  readonly pin: 'ok' | 'few tries left' | 'one try left' | 'locked';
  /** The PIN is typed on the token itself. */
  readonly keypad: boolean;
  readonly keys: readonly KeyEntry[];
  readonly error?: ErrorEntry;
}

export interface KeyEntry {
  readonly uri: string;
  readonly label: string;
  /** CKA_ID in hex. */
  readonly id: string;
  readonly privateKey: ListedKey['privateKey'];
  /** `RSA-2048`, `P-256`; null where the token does not tell, or pksigd can't use it. */
  readonly kind: string | null;
  /** Why it can't be used. */
  readonly unusable?: string;
  readonly alwaysAuthenticate: boolean | null;
  readonly certificates: readonly CertificateEntry[];
  readonly signs: readonly SigningRow[];
}

export interface CertificateEntry {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  /** ISO 8601; null if it can't be read. */
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly validity: 'valid' | 'expired' | 'not yet valid' | 'unreadable';
}

function errorEntry(error: unknown): ErrorEntry {
  return { code: errorCode(error) ?? null, message: errorText(error) };
}

const PIN_TRIES = { ok: 'ok', 'count low': 'few tries left', 'final try': 'one try left', locked: 'locked' } as const;

function validityOf({ validFrom, validTo }: X509Certificate, now: number): CertificateEntry['validity'] {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (Number.isNaN(from) || Number.isNaN(to)) return 'unreadable';
  return now < from ? 'not yet valid' : now > to ? 'expired' : 'valid';
}

function certificateEntry(certificate: X509Certificate, now: number): CertificateEntry {
  return {
    subject: nameOnOneLine(certificate.subject),
    issuer: nameOnOneLine(certificate.issuer),
    serialNumber: certificate.serialNumber,
    notBefore: timeOf(certificate.validFrom) ?? null,
    notAfter: timeOf(certificate.validTo) ?? null,
    validity: validityOf(certificate, now),
  };
}

function kindOf({ publicKey }: ListedKey): { kind?: KeyKind; unusable?: string } {
  if (!publicKey) return { unusable: 'the token tells neither its public key nor a certificate: give --cert' };
  try {
    return { kind: keyKind(publicKey) };
  } catch (error) {
    return { unusable: errorText(error) };
  }
}

function keyEntry(token: FoundToken, key: ListedKey, mechanisms: ReadonlySet<number>, now: number): KeyEntry {
  const { path, name } = token.module;
  const { kind, unusable } = kindOf(key);
  return {
    uri: formatPkcs11Uri({
      ...token.uri,
      ...key.uri,
      ...(name === undefined ? { modulePath: path } : { moduleName: name }),
    }),
    label: key.label,
    id: key.id.toString('hex'),
    privateKey: key.privateKey,
    kind: kind ? keyKindName(kind) : null,
    ...(unusable !== undefined && { unusable }),
    alwaysAuthenticate: key.alwaysAuthenticate ?? null,
    certificates: key.certificates.map((certificate) => certificateEntry(certificate, now)),
    signs:
      kind && key.privateKey !== 'absent'
        ? signingTable(kind, offered({ listed: mechanisms, allowed: key.allowedMechanisms }))
        : [],
  };
}

/** @param listed what it shows, or why it could not be looked into; @param now milliseconds since 1970 */
export function tokenEntry(
  token: FoundToken,
  listed: ListedToken | { readonly error: unknown },
  hasLoggedIn: boolean,
  now: number,
): TokenEntry {
  const { label, manufacturer, model, serial } = token.info;
  const { needsLogin, hasKeypad, tries } = pinState(token.info);
  return {
    label,
    manufacturer,
    model,
    serial,
    login: hasLoggedIn ? 'done' : needsLogin ? 'needed' : 'not needed',
    pin: PIN_TRIES[tries],
    keypad: hasKeypad,
    ...('error' in listed
      ? { keys: [], error: errorEntry(listed.error) }
      : { keys: listed.keys.map((key) => keyEntry(token, key, listed.mechanisms, now)) }),
  };
}

export function moduleEntry(module: ModuleName, tokens: readonly TokenEntry[], error: unknown): ModuleEntry {
  return { ...module, tokens, ...(error !== undefined && { error: errorEntry(error) }) };
}
