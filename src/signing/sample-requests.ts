import { encodeEmsaPss, maxSaltLength } from './emsa-pss.ts';
import { encodeDigestInfo } from './emsa-pkcs1.ts';
import { HASHES, PLAIN_HASHES, type Hash, type HashName } from './hashes.ts';
import { parseSignatureRequest } from './parse-request.ts';
import type { KeyKind } from './public-key.ts';
import type { SignatureRequest } from './request.ts';

/** One request that a daemon may make of a key. */
export interface SampleRequest {
  /** Its algorithm text. */
  readonly name: string;
  /** When a daemon asks for it: which arguments of management-external-key, which TLS. */
  readonly use: string;
  readonly request: SignatureRequest;
}

const MESSAGE = Buffer.from('pksigd: a sample message, and nothing that TLS would ever sign');

const TLS12 = 'TLS 1.2';
const TLS13 = 'TLS 1.2 and 1.3';
/** The hashes of TLS 1.2 and 1.3 signature schemes (RFC 8446 section 4.2.3). */
const TLS_HASHES = ['SHA256', 'SHA384', 'SHA512'] as const satisfies HashName[];

interface Sample {
  readonly text: string;
  readonly use: string;
  readonly tbs: Buffer;
}

const withDigestArgument = (tls: string): string => `${tls}, argument 'digest'`;

function rsaSamples(modulusBits: number): Sample[] {
  const digestOf = (hash: Hash): Buffer => hash.digest(MESSAGE);
  const info = (hash: Hash): Buffer => encodeDigestInfo(hash, digestOf(hash)).encoded;
  // a short modulus has no room for the longer salts: TLS does not ask for them then
  const pssHashes = TLS_HASHES.map((name) => HASHES[name]).filter((h) => maxSaltLength(h, modulusBits) >= h.length);
  return [
    { text: 'RSA_PKCS1_PADDING,hashalg=MD5-SHA1', use: 'TLS 1.0 and 1.1', tbs: digestOf(HASHES['MD5-SHA1']) },
    ...(['SHA1', ...TLS_HASHES] as const).flatMap((name): Sample[] => [
      { text: `RSA_PKCS1_PADDING,hashalg=${name}`, use: TLS12, tbs: info(HASHES[name]) },
      { text: `RSA_PKCS1_PADDING,hashalg=${name},data=message`, use: withDigestArgument(TLS12), tbs: MESSAGE },
    ]),
    ...pssHashes.flatMap((hash): Sample[] => {
      const text = `RSA_PKCS1_PSS_PADDING,hashalg=${hash.name},saltlen=digest`;
      return [
        { text, use: TLS13, tbs: digestOf(hash) },
        { text: `${text},data=message`, use: withDigestArgument(TLS13), tbs: MESSAGE },
      ];
    }),
    ...pssHashes.slice(0, 1).map(
      (hash): Sample => ({
        text: 'RSA_NO_PADDING',
        use: `${TLS13}, argument 'nopadding'`,
        tbs: encodeEmsaPss(hash, digestOf(hash), hash.length, modulusBits),
      }),
    ),
  ];
}

function ecdsaSamples(): Sample[] {
  return PLAIN_HASHES.filter(({ name }) => name !== 'SHA224').flatMap((hash): Sample[] => [
    { text: `ECDSA,hashalg=${hash.name}`, use: hash.name === 'SHA1' ? TLS12 : TLS13, tbs: hash.digest(MESSAGE) },
    {
      text: `ECDSA,hashalg=${hash.name},data=message`,
      use: withDigestArgument(hash.name === 'SHA1' ? TLS12 : TLS13),
      tbs: MESSAGE,
    },
  ]);
}

/** Everything that a daemon may ask of a key of this kind: for telling what a token can do, and for trying it. */
export function sampleRequests(kind: KeyKind): SampleRequest[] {
  const samples =
    kind.type === 'RSA'
      ? rsaSamples(kind.modulusBits)
      : kind.type === 'EC'
        ? ecdsaSamples()
        : [{ text: `${kind.type},data=message`, use: TLS13, tbs: MESSAGE }];
  return samples.map(({ text, use, tbs }) => ({
    name: text,
    use,
    request: parseSignatureRequest(tbs.toString('base64'), text, kind),
  }));
}
