// What daemons ask to have signed, and whether what they get is that.
import { constants, createHash, verify } from 'node:crypto';
import type { SimulatedKey } from './keys.ts';
import type { Random } from './random.ts';

export interface SignRequest {
  /** Behind `>PK_SIGN:`. */
  readonly text: string;
  /** SHA-256 of the data, as the audit log has it. */
  readonly dataHash: string;
  /** No key signs that: it gets an empty block. */
  readonly isHopeless: boolean;
  readonly isSignedBy: (signature: Buffer, key: SimulatedKey) => boolean;
}

/** What the daemon sends, in the form that its client's version has; what no daemon would ask for is always whole. */
export function lineOf({ text, isHopeless }: SignRequest, version: number): string {
  if (version >= 3 || isHopeless) return `>PK_SIGN:${text}`;
  return `>${version === 2 ? 'PK' : 'RSA'}_SIGN:${text.slice(0, text.indexOf(','))}`;
}

/** How the daemon names an answer to that. */
export const signName = (line: string): string => (line.startsWith('>RSA') ? 'rsa-sign' : 'pk-sign');

const CONTEXT = Buffer.concat([
  Buffer.alloc(64, 0x20),
  Buffer.from('TLS 1.3, client CertificateVerify', 'latin1'),
  Buffer.from([0]),
]);
const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

function request(data: Buffer, algorithm: string, isSignedBy: SignRequest['isSignedBy']): SignRequest {
  const dataHash = createHash('sha256').update(data).digest('hex');
  return { text: `${data.toString('base64')},${algorithm}`, dataHash, isHopeless: false, isSignedBy };
}

/** What TLS 1.3 has a client with such a key sign; now and then something that no client would ask for. */
export function makeRequest(type: SimulatedKey['type'], random: Random): SignRequest {
  const message = Buffer.concat([CONTEXT, random.bytes(32)]);
  const digest = createHash('sha256').update(message).digest();
  if (random.chance(0.04)) return hopeless(type, random);
  switch (type) {
    case 'ED25519':
      return request(message, 'ED25519,data=message', (signature, { publicKey }) =>
        verify(null, message, publicKey, signature),
      );
    case 'EC':
      return request(digest, 'ECDSA', (signature, { publicKey }) => verify('sha256', message, publicKey, signature));
    case 'RSA':
      return random.chance(0.5) ? pss(message, digest) : pkcs1(message, digest);
  }
}

function pss(message: Buffer, digest: Buffer): SignRequest {
  return request(digest, 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', (signature, { publicKey }) => {
    const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
    return verify('sha256', message, { key: publicKey, padding, saltLength }, signature);
  });
}

function pkcs1(message: Buffer, digest: Buffer): SignRequest {
  return request(Buffer.concat([DIGEST_INFO, digest]), 'RSA_PKCS1_PADDING', (signature, { publicKey }) =>
    verify('sha256', message, publicKey, signature),
  );
}

function hopeless(type: SimulatedKey['type'], random: Random): SignRequest {
  const data = random.bytes(random.pick([0, 7, 300]));
  const algorithm = random.pick([
    type === 'RSA' ? 'ECDSA' : 'RSA_PKCS1_PADDING',
    'ROT13',
    'RSA_NO_PADDING',
    'ECDSA,hashalg=SHA1,data=message',
  ]);
  return { ...request(data, algorithm, () => false), isHopeless: true };
}
