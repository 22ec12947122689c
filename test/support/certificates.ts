import { createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';

// Certificates with whatever a test wants in them. Of DER (X.690) no more than that takes.

const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
};

/** An OBJECT IDENTIFIER, from its text in dots. */
export function derOid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const octets = [first * 40 + second, ...rest].flatMap((arc) => {
    const sevens = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) sevens.unshift((left & 0x7f) | 0x80);
    return sevens;
  });
  return der(0x06, Buffer.from(octets));
}

export const derSequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
export const derInteger = (value: number): Buffer => der(0x02, Buffer.from([value]));
export const derBmpString = (text: string): Buffer => der(0x1e, Buffer.from(text, 'utf16le').swap16());

const TYPES: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  C: '2.5.4.6',
  L: '2.5.4.7',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  DC: '0.9.2342.19200300.100.1.25',
};

type Name = readonly (readonly [type: string, value: string])[];

const nameOf = (name: Name): Buffer =>
  derSequence(
    ...name.map(([type, value]) =>
      der(0x31, derSequence(derOid(TYPES[type] ?? type), der(0x0c, Buffer.from(value, 'utf8')))),
    ),
  );

/** GeneralizedTime, which any year fits in. */
const timeOf = (date: Date): Buffer => der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, ''), 'latin1'));

/** What a certificate is to say; all else is made up. */
export interface CertificateOptions {
  readonly subject?: Name;
  /** Default: the subject, and so a root. */
  readonly issuer?: Issuer;
  readonly key?: KeyObject;
  readonly serial?: Buffer;
  readonly from?: Date;
  readonly to?: Date;
  /** Purposes, as OIDs. Default: none are said. */
  readonly usages?: readonly string[];
  readonly isCa?: boolean;
  /** Without subject and authority key identifiers. */
  readonly isBare?: boolean;
  readonly extensions?: readonly { readonly id: string; readonly value: Buffer }[];
}

export interface Issuer {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
  readonly subject: Name;
  readonly keyId: Buffer;
}

const DAY = 86_400_000;
/** A second less: of whole days the last one has begun, in whichever millisecond it is looked at. */
export const inDays = (days: number): Date => new Date(Date.now() + days * DAY - 1_000);

/** Makes a certificate, and all that it takes to issue others by it. */
export function makeCertificate(options: CertificateOptions = {}): Issuer {
  const privateKey = options.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const subject = options.subject ?? [['CN', 'test']];
  const keyId = randomBytes(20);
  const { issuer } = options;
  const algorithm = derSequence(derOid('1.2.840.10045.4.3.2')); // ecdsa-with-SHA256
  const signer = issuer?.privateKey ?? privateKey;
  const extension = (id: string, value: Buffer): Buffer => derSequence(derOid(id), der(0x04, value));
  const extensions = [
    ...(options.isBare === true
      ? []
      : [
          extension('2.5.29.14', der(0x04, keyId)),
          extension('2.5.29.35', derSequence(der(0x80, issuer?.keyId ?? keyId))),
        ]),
    ...(options.isCa === true ? [extension('2.5.29.19', derSequence(der(0x01, Buffer.from([0xff]))))] : []),
    ...(options.usages && options.usages.length > 0
      ? [extension('2.5.29.37', derSequence(...options.usages.map(derOid)))]
      : []),
    ...(options.extensions ?? []).map(({ id, value }) => extension(id, value)),
  ];
  const tbs = derSequence(
    der(0xa0, derInteger(2)),
    der(0x02, options.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    nameOf(issuer?.subject ?? subject),
    derSequence(timeOf(options.from ?? inDays(-1)), timeOf(options.to ?? inDays(100))),
    nameOf(subject),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(0xa3, derSequence(...extensions))] : []),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', tbs, signer));
  const certificate = new X509Certificate(derSequence(tbs, algorithm, signature));
  return { certificate, privateKey, subject, keyId };
}

/** The same with an end that is no date: OpenSSL reads it, whatever its signature is. */
export function withoutEnd({ raw }: X509Certificate): X509Certificate {
  const broken = Buffer.from(raw);
  // two times of one form, each with tag, length and a Z at its end
  const [end] = [...raw.toString('latin1').matchAll(/(?:\x18\x0f\d{14}|\x17\x0d\d{12})Z/g)].slice(1);
  if (!end) throw new TypeError('it has no dates');
  broken.write('99', end.index + end[0].length - 9, 'latin1'); // its month
  return new X509Certificate(broken);
}
