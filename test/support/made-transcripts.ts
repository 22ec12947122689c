import { Unfit } from '../../src/signing/tls/reader.ts';
import { readTranscript } from '../../src/signing/tls/transcript.ts';
import { joinMessages, u16 } from './handshake-layout.ts';

/** An extension of a hello: its type, and its content in hexadecimal. */
export type Extension = readonly [type: number, content: string];

const P256 = 23;
export const EMPTY_SEQUENCE: Buffer = Buffer.of(0x30, 0);

/** What may stand in a handshake of TLS 1.2: recordings are of OpenVPN's two ends, which leave much out. */
interface Parts {
  clientVersion: number;
  suites: readonly number[];
  /** Undefined: the hello ends before them. */
  clientExtensions: readonly Extension[] | undefined;
  version: number;
  suite: number;
  serverExtensions: readonly Extension[] | undefined;
  /** Of a CertificateStatus, which is left out if there is none. */
  status: Buffer | undefined;
  group: number;
  serverShare: number;
  scheme: number;
  /** CAs of the CertificateRequest. */
  names: readonly Buffer[];
  /** Bytes of the client's share. */
  clientShare: number;
}

export const GROUPS: Extension = [10, '000400170018'];
export const SCHEMES: Extension = [13, '000404010403'];
const ECDHE_RSA = 0xc02f;

const PARTS: Parts = {
  clientVersion: 0x0303,
  suites: [ECDHE_RSA, 0xc030],
  clientExtensions: [GROUPS, SCHEMES],
  version: 0x0303,
  suite: ECDHE_RSA,
  serverExtensions: [],
  status: undefined,
  group: P256,
  serverShare: 65,
  scheme: 0x0401,
  names: [EMPTY_SEQUENCE],
  clientShare: 65,
};

/** Behind its length, of so many bytes. */
function vector(width: 1 | 2 | 3, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

const extensionsOf = (extensions: readonly Extension[] | undefined): Buffer =>
  extensions === undefined
    ? Buffer.of()
    : vector(2, ...extensions.flatMap(([type, content]) => [u16(type), vector(2, Buffer.from(content, 'hex'))]));

/** A handshake of TLS 1.2 by ECDHE that is right but for what is given. */
export function madeTranscript(given: Partial<Parts> = {}): Buffer {
  const parts = { ...PARTS, ...given };
  const random = Buffer.alloc(32, 0xa5);
  const certificates = { type: 11, body: vector(3, vector(3, EMPTY_SEQUENCE)) };
  const { status } = parts;
  return joinMessages([
    {
      type: 1,
      body: Buffer.concat([
        ...[u16(parts.clientVersion), random, vector(1), vector(2, ...parts.suites.map(u16)), vector(1, Buffer.of(0))],
        extensionsOf(parts.clientExtensions),
      ]),
    },
    {
      type: 2,
      body: Buffer.concat([
        ...[u16(parts.version), random, vector(1), u16(parts.suite), Buffer.of(0)],
        extensionsOf(parts.serverExtensions),
      ]),
    },
    certificates,
    ...(status ? [{ type: 22, body: status }] : []),
    {
      type: 12,
      body: Buffer.concat([
        ...[Buffer.of(3), u16(parts.group), vector(1, Buffer.alloc(parts.serverShare, 4))],
        ...(parts.version === 0x0303 ? [u16(parts.scheme)] : []),
        vector(2, Buffer.alloc(64)),
      ]),
    },
    {
      type: 13,
      body: Buffer.concat([
        vector(1, Buffer.of(1)),
        ...(parts.version === 0x0303 ? [vector(2, u16(0x0401))] : []),
        vector(2, ...parts.names.map((name) => vector(2, name))),
      ]),
    },
    { type: 14, body: Buffer.of() },
    certificates,
    { type: 16, body: vector(1, Buffer.alloc(parts.clientShare, 4)) },
  ]);
}

/** Is it a transcript? */
export function isTranscript(message: Buffer): boolean {
  try {
    readTranscript(message);
    return true;
  } catch (error) {
    if (error instanceof Unfit) return false;
    throw error;
  }
}

/** Is a handshake with these parts a transcript? */
export const isRight = (given: Partial<Parts> = {}): boolean => isTranscript(madeTranscript(given));
