import type { SchemeName } from './algorithm-text.ts';
import { encodeEmsaPss, maxSaltLength } from './emsa-pss.ts';
import { encodeDigestInfo } from './emsa-pkcs1.ts';
import { HASHES, PLAIN_HASHES, type Hash, type HashName } from './hashes.ts';
import { parseSignatureRequest } from './parse-request.ts';
import type { KeyKind } from './public-key.ts';
import type { SignatureRequest } from './request.ts';

export type TlsVersion = '1.0' | '1.1' | '1.2' | '1.3';

/** One request that a daemon may make of a key. */
export interface SampleRequest {
  /** Its algorithm text. */
  readonly name: string;
  /** The versions of TLS in which a daemon asks for it. */
  readonly tls: readonly TlsVersion[];
  /** The argument of management-external-key that makes a daemon ask for it; empty where none need be given. */
  readonly argument: '' | 'digest' | 'nopadding';
  /** The hash that its algorithm text names. */
  readonly hash?: HashName;
  readonly request: SignatureRequest;
}

const MESSAGE = Buffer.from('pksigd: a sample message, and nothing that TLS would ever sign');

const TLS12: readonly TlsVersion[] = ['1.2'];
const TLS13: readonly TlsVersion[] = ['1.2', '1.3'];
/** The hashes of TLS 1.2 and 1.3 signature schemes (RFC 8446 section 4.2.3). */
const TLS_HASHES = ['SHA256', 'SHA384', 'SHA512'] as const satisfies HashName[];

/** A sample before it is a request. */
interface Sample extends Omit<SampleRequest, 'request'> {
  readonly tbs: Buffer;
}

/** The two forms of a request with a hash: `tbs` as the daemon hashed it, and the message itself. */
function bothForms(
  scheme: SchemeName,
  { name: hash }: Hash,
  tbs: Buffer,
  tls: readonly TlsVersion[],
  more = '',
): Sample[] {
  const name = `${scheme},hashalg=${hash}${more}`;
  return [
    { name, tls, argument: '', hash, tbs },
    { name: `${name},data=message`, tls, argument: 'digest', hash, tbs: MESSAGE },
  ];
}

function rsaSamples(modulusBits: number): Sample[] {
  const digestOf = (hash: Hash): Buffer => hash.digest(MESSAGE);
  const infoOf = (hash: Hash): Buffer => encodeDigestInfo(hash, digestOf(hash)).encoded;
  // a short modulus has no room for the longer salts: TLS does not ask for them then
  const pssHashes = TLS_HASHES.map((name) => HASHES[name]).filter((h) => maxSaltLength(h, modulusBits) >= h.length);
  const old = HASHES['MD5-SHA1'];
  return [
    {
      name: `RSA_PKCS1_PADDING,hashalg=${old.name}`,
      tls: ['1.0', '1.1'],
      argument: '',
      hash: old.name,
      tbs: digestOf(old),
    },
    ...(['SHA1', ...TLS_HASHES] as const).flatMap((name) =>
      bothForms('RSA_PKCS1_PADDING', HASHES[name], infoOf(HASHES[name]), TLS12),
    ),
    ...pssHashes.flatMap((hash) => bothForms('RSA_PKCS1_PSS_PADDING', hash, digestOf(hash), TLS13, ',saltlen=digest')),
    ...pssHashes.slice(0, 1).map(
      (hash): Sample => ({
        name: 'RSA_NO_PADDING',
        tls: TLS13,
        argument: 'nopadding',
        tbs: encodeEmsaPss(hash, digestOf(hash), hash.length, modulusBits),
      }),
    ),
  ];
}

function ecdsaSamples(): Sample[] {
  return PLAIN_HASHES.filter(({ name }) => name !== 'SHA224').flatMap((hash) =>
    bothForms('ECDSA', hash, hash.digest(MESSAGE), hash.name === 'SHA1' ? TLS12 : TLS13),
  );
}

/** Everything that a daemon may ask of a key of this kind: for telling what a token can do, and for trying it. */
export function sampleRequests(kind: KeyKind): SampleRequest[] {
  const samples: Sample[] =
    kind.type === 'RSA'
      ? rsaSamples(kind.modulusBits)
      : kind.type === 'EC'
        ? ecdsaSamples()
        : [{ name: `${kind.type},data=message`, tls: TLS13, argument: '', tbs: MESSAGE }];
  return samples.map(({ tbs, ...sample }) => ({
    ...sample,
    request: parseSignatureRequest(tbs.toString('base64'), sample.name, kind),
  }));
}
