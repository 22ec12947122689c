// PKCS #10 requests (RFC 2986), signed by whatever key: the signature comes from where all of pksigd's signatures come from.
import type { KeyObject } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { DerWriter, type Asn1 } from '../keyfile/der-writer.ts';
import { formatAlgorithm } from '../signing/algorithm-text.ts';
import { HASHES, type Hash } from '../signing/hashes.ts';
import { parseSignatureRequest } from '../signing/parse-request.ts';
import { keyKind, type CurveName, type KeyKind } from '../signing/public-key.ts';
import { createSignature, type Signer } from '../signing/signer.ts';
import type { AlternativeName } from './alternative-names.ts';
import type { Subject } from './subject.ts';

/** What a request asks for. Names that come from a certificate are taken byte for byte. */
export interface RequestedNames {
  readonly subject: Subject | Buffer;
  /** GeneralNames; none at all if it is empty. */
  readonly alternativeNames: readonly AlternativeName[] | Buffer;
}

const OID = {
  SUBJECT_ALT_NAME: '2.5.29.17',
  KEY_USAGE: '2.5.29.15',
  EXTENDED_KEY_USAGE: '2.5.29.37',
  CLIENT_AUTH: '1.3.6.1.5.5.7.3.2',
  EXTENSION_REQUEST: '1.2.840.113549.1.9.14',
  UPN: '1.3.6.1.4.1.311.20.2.3',
  RSA_SHA256: '1.2.840.113549.1.1.11',
  RSA_PSS: '1.2.840.113549.1.1.10',
  MGF1: '1.2.840.113549.1.1.8',
  SHA256: '2.16.840.1.101.3.4.2.1',
  ECDSA_SHA256: '1.2.840.10045.4.3.2',
  ECDSA_SHA384: '1.2.840.10045.4.3.3',
  ECDSA_SHA512: '1.2.840.10045.4.3.4',
  ED25519: '1.3.101.112',
  ED448: '1.3.101.113',
} as const;

/** The tags of GeneralName (RFC 5280 section 4.2.1.6). */
const GENERAL_NAME = { UPN: 0, email: 1, DNS: 2, URI: 6, IP: 7 } as const;
/** KeyUsage with digitalSignature alone: the first bit of eight. */
const DIGITAL_SIGNATURE = { bits: Buffer.from([0x80]), unused: 7 };

/** How a request is signed: in the words that a daemon would use, and in the request's. */
interface Algorithm {
  readonly text: string;
  readonly identifier: (der: DerWriter) => Asn1;
}

const SHA256 = { hash: HASHES.SHA256, oid: OID.ECDSA_SHA256 };
const SHA384 = { hash: HASHES.SHA384, oid: OID.ECDSA_SHA384 };
const SHA512 = { hash: HASHES.SHA512, oid: OID.ECDSA_SHA512 };
/** The hash that is as long as the curve. */
const ECDSA: Readonly<Record<CurveName, { readonly hash: Hash; readonly oid: string }>> = {
  'P-256': SHA256,
  secp256k1: SHA256,
  brainpoolP256r1: SHA256,
  'P-384': SHA384,
  brainpoolP384r1: SHA384,
  'P-521': SHA512,
  brainpoolP512r1: SHA512,
};

const PKCS1: Algorithm = {
  text: formatAlgorithm({ scheme: 'RSA_PKCS1_PADDING', dataKind: 'message', hash: HASHES.SHA256 }),
  identifier: (der) => der.sequence(der.identifier(OID.RSA_SHA256), der.nothing()),
};

const PSS: Algorithm = {
  text: formatAlgorithm({
    scheme: 'RSA_PKCS1_PSS_PADDING',
    dataKind: 'message',
    hash: HASHES.SHA256,
    saltLength: HASHES.SHA256.length,
  }),
  // RFC 4055 section 3.1
  identifier: (der) => {
    const sha256 = (): Asn1 => der.sequence(der.identifier(OID.SHA256), der.nothing());
    const parameters = der.sequence(
      der.tagged(0, sha256()),
      der.tagged(1, der.sequence(der.identifier(OID.MGF1), sha256())),
      der.tagged(2, der.integer(HASHES.SHA256.length)),
    );
    return der.sequence(der.identifier(OID.RSA_PSS), parameters);
  },
};

/** The ways to sign a request with a key of this kind, best first. */
function algorithmsOf(kind: KeyKind): readonly Algorithm[] {
  switch (kind.type) {
    case 'RSA':
      return [PKCS1, PSS];
    case 'EC': {
      const { hash, oid } = ECDSA[kind.curve];
      const text = formatAlgorithm({ scheme: 'ECDSA', dataKind: 'message', hash });
      return [{ text, identifier: (der) => der.sequence(der.identifier(oid)) }];
    }
    case 'ED25519':
    case 'ED448': {
      const text = formatAlgorithm({ scheme: kind.type, dataKind: 'message' });
      return [{ text, identifier: (der) => der.sequence(der.identifier(OID[kind.type])) }];
    }
  }
}

function subjectOf(der: DerWriter, subject: Subject | Buffer): Asn1 {
  if (Buffer.isBuffer(subject)) return der.written(subject);
  const names = subject.map((attributes) =>
    der.set(...attributes.map(({ oid, kind, value }) => der.sequence(der.identifier(oid), der.text(kind, value)))),
  );
  return der.sequence(...names);
}

function generalName(der: DerWriter, name: AlternativeName): Asn1 {
  if (name.kind !== 'UPN') return der.implicit(GENERAL_NAME[name.kind], name.content);
  return der.tagged(GENERAL_NAME.UPN, der.identifier(OID.UPN), der.tagged(0, der.text('UTF8String', name.value)));
}

function extension(der: DerWriter, oid: string, value: Uint8Array, isCritical = false): Asn1 {
  return der.sequence(der.identifier(oid), ...(isCritical ? [der.yes()] : []), der.octets(value));
}

/** What the certificate is for, and its alternative names: an authority may take that over, or know better. */
function extensionsOf(der: DerWriter, names: RequestedNames['alternativeNames']): Asn1 {
  const encoded = Buffer.isBuffer(names)
    ? names
    : der.encode(der.sequence(...names.map((name) => generalName(der, name))));
  const { bits, unused } = DIGITAL_SIGNATURE;
  return der.sequence(
    extension(der, OID.KEY_USAGE, der.encode(der.bits(bits, unused)), true),
    extension(der, OID.EXTENDED_KEY_USAGE, der.encode(der.sequence(der.identifier(OID.CLIENT_AUTH)))),
    ...(names.length > 0 ? [extension(der, OID.SUBJECT_ALT_NAME, encoded)] : []),
  );
}

/** CertificationRequestInfo. */
function requestInfo(der: DerWriter, { subject, alternativeNames }: RequestedNames, publicKey: KeyObject): Asn1 {
  const extensions = der.sequence(der.identifier(OID.EXTENSION_REQUEST), der.set(extensionsOf(der, alternativeNames)));
  return der.sequence(
    der.integer(0),
    subjectOf(der, subject),
    der.written(publicKey.export({ type: 'spki', format: 'der' })),
    der.tagged(0, extensions),
  );
}

/**
 * A request for a certificate, signed by its key, in DER. The signature was verified.
 * @throws AgentError what {@link createSignature} throws
 */
export async function signedRequest(signer: Signer, names: RequestedNames): Promise<Buffer> {
  const der = await DerWriter.load();
  const { publicKey } = signer;
  const info = requestInfo(der, names, publicKey);
  const message = der.encode(info).toString('base64');
  const kind = keyKind(publicKey);
  const ways = algorithmsOf(kind).map((algorithm) => ({
    algorithm,
    request: parseSignatureRequest(message, algorithm.text, kind),
  }));
  const way = ways.find(({ request }) => signer.canSign(request)) ?? ways[0];
  if (!way) throw new AgentError('ERR_KEY_UNSUPPORTED', `${signer.name} can't sign a request`);
  const { bytes } = await createSignature(signer, way.request);
  return der.encode(der.sequence(info, way.algorithm.identifier(der), der.bits(bytes)));
}
