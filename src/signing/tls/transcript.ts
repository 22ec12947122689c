import { isPointLength, keyExchangeOf, type KeyExchange } from './cipher-suites.ts';
import { readExtensions, RENEGOTIATION_INFO, STATUS_REQUEST, type Extensions } from './extensions.ts';
import { derSequence, Reader, unfit } from './reader.ts';

/** Versions of TLS in which a client signs all messages of the handshake so far. */
export type TranscriptVersion = '1.0' | '1.1' | '1.2';

/** What a server has signed to show that it takes part. */
export interface ServerKeyExchange {
  /** The curve or group, and the server's share. */
  readonly params: Buffer;
  /** The code of its signature scheme; undefined before TLS 1.2, which has none. */
  readonly scheme?: number;
  readonly signature: Buffer;
}

/** The handshake of TLS 1.0 to 1.2 that a client's CertificateVerify is for. */
export interface Transcript {
  readonly version: TranscriptVersion;
  readonly clientRandom: Buffer;
  readonly serverRandom: Buffer;
  /** In DER, the server's own first. */
  readonly serverCertificates: readonly Buffer[];
  /** Undefined if the key exchange is RSA, in which the server signs nothing. */
  readonly serverKeyExchange?: ServerKeyExchange;
  /** Codes of the signature schemes that the server takes; undefined before TLS 1.2. */
  readonly acceptedSchemes?: readonly number[];
  /** In DER, the client's own first. */
  readonly clientCertificates: readonly Buffer[];
}

const VERSIONS: ReadonlyMap<number, TranscriptVersion> = new Map([
  [0x0301, '1.0'],
  [0x0302, '1.1'],
  [0x0303, '1.2'],
]);
const TLS12 = 0x0303;
/** Says that the client can renegotiate safely, in place of the extension (RFC 5746 section 3.3). */
const RENEGOTIATION_SCSV = 0x00ff;
const NAMED_CURVE = 3;
const OCSP = 1;

/** Handshake messages by name (RFC 5246 section 7.4). */
const TYPES = {
  ClientHello: 1,
  ServerHello: 2,
  Certificate: 11,
  ServerKeyExchange: 12,
  CertificateRequest: 13,
  ServerHelloDone: 14,
  ClientKeyExchange: 16,
  CertificateStatus: 22,
} as const;
type MessageName = keyof typeof TYPES;

/** The messages of a transcript, one after the other. */
class Messages {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  isNext(name: MessageName): boolean {
    return this.#bytes[this.#at] === TYPES[name];
  }

  /** Reads the next message, to its last byte. @throws Unfit if it is another one */
  read<T>(name: MessageName, read: (body: Reader) => T): T {
    const header = this.#bytes.subarray(this.#at, this.#at + 4);
    if (header.length < 4) unfit(`it ends where ${name} is due`);
    if (header[0] !== TYPES[name]) unfit(`a message of type ${header[0]} stands where ${name} is due`);
    const start = this.#at + 4;
    const end = start + header.readUIntBE(1, 3);
    if (end > this.#bytes.length) unfit(`it ends within ${name}`);
    this.#at = end;
    const body = new Reader(this.#bytes.subarray(start, end), name);
    const result = read(body);
    body.end();
    return result;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) unfit('it goes on behind ClientKeyExchange');
  }
}

interface ClientHello {
  readonly version: number;
  readonly random: Buffer;
  readonly suites: readonly number[];
  readonly extensions: Extensions;
}

function readClientHello(body: Reader): ClientHello {
  const version = body.number(2);
  if (!VERSIONS.has(version)) unfit(`the ClientHello is of version ${version}`);
  const random = body.take(32);
  body.vector(1, 0, 32); // session ID
  const suites = body.numbers(2);
  if (!body.vector(1, 1).includes(0)) unfit('the ClientHello offers compression only');
  return { version, random, suites, extensions: readExtensions(body, 'client') };
}

interface ServerHello {
  readonly code: number;
  readonly version: TranscriptVersion;
  readonly random: Buffer;
  readonly exchange: KeyExchange;
  readonly extensions: Extensions;
}

function readServerHello(body: Reader, client: ClientHello): ServerHello {
  const code = body.number(2);
  const version = VERSIONS.get(code) ?? unfit(`the ServerHello is of version ${code}`);
  const offered = client.extensions.versions;
  if (code > client.version || offered?.includes(code) === false)
    unfit(`the client did not offer TLS ${version}, which the server chose`);
  const random = body.take(32);
  body.vector(1, 0, 32); // session ID
  const suite = body.number(2);
  if (!client.suites.includes(suite)) unfit(`the client did not offer cipher suite ${suite}, which the server chose`);
  const exchange = keyExchangeOf(suite) ?? unfit(`cipher suite ${suite} has no certificates, or is not known`);
  if (body.number(1) !== 0) unfit('the server chose compression');
  const extensions = readExtensions(body, 'server');
  for (const type of extensions.types) {
    const isAnswer = type === RENEGOTIATION_INFO && client.suites.includes(RENEGOTIATION_SCSV);
    if (!client.extensions.types.has(type) && !isAnswer) unfit(`the server answers extension ${type} unasked`);
  }
  return { code, version, random, exchange, extensions };
}

function readCertificates(body: Reader): Buffer[] {
  const list = body.part(3, 1);
  const certificates: Buffer[] = [];
  while (!list.isAtEnd) certificates.push(derSequence(list.vector(3), 'a certificate'));
  return certificates;
}

function readCertificateStatus(body: Reader): void {
  if (body.number(1) !== OCSP) unfit('a CertificateStatus is not of OCSP');
  derSequence(body.vector(3), 'an OCSP response');
}

/** The server's share, and the group that it is in where that has a number. */
function readServerShare(body: Reader, exchange: KeyExchange, { extensions }: ClientHello): number | undefined {
  if (exchange === 'DHE') {
    const prime = body.vector(2, 1);
    body.vector(2, 1, prime.length); // generator
    body.vector(2, 1, prime.length);
    return undefined;
  }
  if (body.number(1) !== NAMED_CURVE) unfit('the server chose a curve without a name');
  const group = body.number(2);
  if (extensions.groups?.includes(group) === false) unfit(`the client did not offer group ${group}`);
  if (!isPointLength(group, body.vector(1, 1).length)) unfit(`the server's share is no point of group ${group}`);
  return group;
}

/** A ServerKeyExchange, and the group of its share. */
function readServerKeyExchange(
  body: Reader,
  hello: ServerHello,
  client: ClientHello,
): { readonly exchange: ServerKeyExchange; readonly group: number | undefined } {
  const group = readServerShare(body, hello.exchange, client);
  const params = body.taken;
  if (hello.code !== TLS12) return { exchange: { params, signature: body.vector(2, 1) }, group };
  const scheme = body.number(2);
  if (client.extensions.signatureSchemes?.includes(scheme) === false)
    unfit(`the client did not offer signature scheme ${scheme}, by which the server signed`);
  return { exchange: { params, scheme, signature: body.vector(2, 1) }, group };
}

/** The schemes that the server takes, if it says so. */
function readCertificateRequest(body: Reader, { code }: ServerHello): number[] | undefined {
  body.vector(1, 1); // certificate types
  const schemes = code === TLS12 ? body.numbers(2) : undefined;
  const names = body.part(2);
  while (!names.isAtEnd) derSequence(names.vector(2), "a CA's name");
  return schemes;
}

/** @param group of the server's share; undefined where the key exchange is not ECDHE */
function readClientKeyExchange(body: Reader, group: number | undefined): void {
  if (group === undefined) {
    body.vector(2, 1);
    return;
  }
  if (!isPointLength(group, body.vector(1, 1).length)) unfit(`the client's share is no point of group ${group}`);
}

/** Does it begin as a transcript? */
export function looksLikeTranscript(message: Buffer): boolean {
  return message[0] === TYPES.ClientHello && message[1] === 0;
}

/**
 * Reads a message as all that was said in a handshake of TLS 1.0 to 1.2 when a client's CertificateVerify is due (RFC 5246
 * section 7.3): each message once, in order, and each length right to the last byte. Takes time and memory that grow with its length only.
 * @throws Unfit if it is anything else
 */
export function readTranscript(message: Buffer): Transcript {
  const messages = new Messages(message);
  const client = messages.read('ClientHello', readClientHello);
  const hello = messages.read('ServerHello', (body) => readServerHello(body, client));
  const serverCertificates = messages.read('Certificate', readCertificates);
  if (hello.extensions.types.has(STATUS_REQUEST) && messages.isNext('CertificateStatus'))
    messages.read('CertificateStatus', readCertificateStatus);
  const server =
    hello.exchange === 'RSA'
      ? undefined
      : messages.read('ServerKeyExchange', (body) => readServerKeyExchange(body, hello, client));
  const acceptedSchemes = messages.read('CertificateRequest', (body) => readCertificateRequest(body, hello));
  messages.read('ServerHelloDone', () => undefined);
  const clientCertificates = messages.read('Certificate', readCertificates);
  messages.read('ClientKeyExchange', (body) => {
    readClientKeyExchange(body, server?.group);
  });
  messages.end();
  return {
    version: hello.version,
    clientRandom: client.random,
    serverRandom: hello.random,
    serverCertificates,
    clientCertificates,
    ...(server && { serverKeyExchange: server.exchange }),
    ...(acceptedSchemes && { acceptedSchemes }),
  };
}
