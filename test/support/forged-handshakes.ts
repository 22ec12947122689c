import { joinMessages, splitMessages, u16, type Message } from './handshake-layout.ts';
import { TRANSCRIPTS, type Handshake } from './handshakes.ts';

/** What must not be taken for a TLS client's handshake. */
export interface Forged {
  readonly name: string;
  readonly message: Buffer;
  /** The algorithm text, where that is what is wrong. */
  readonly algorithm?: string;
}

const SPACES = ' '.repeat(64);
const HASH = Buffer.alloc(32, 0xa5);
const CLIENT = 'TLS 1.3, client CertificateVerify';

/** What other protocols have signed, and people. */
const ELSEWHERE: readonly Forged[] = [
  ['a contract', 'I owe the bearer of this a million. Signed in the town of X, on the first of May.'],
  ['one byte', '\x01'],
  ['spaces', SPACES],
  ['zeros', '\0'.repeat(146)],
  ['a JWT', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyb290IiwiYWRtaW4iOnRydWV9'],
  ['a commit', 'tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.net> 0 +0000\n\ntext\n'],
  ['an SSH login', `\0\0\0\x20${'s'.repeat(32)}\x32\0\0\0\x04root\0\0\0\x0essh-connection\0\0\0\x09publickey\x01`],
  ['a file for ssh-keygen -Y', 'SSHSIG\0\0\0\x04file\0\0\0\0\0\0\0\x06sha512\0\0\0\x40'],
  ['an IKEv2 authentication', `\0\0\0\0\0\0\0\0${'n'.repeat(32)}`],
  ['signed attributes of CMS', '\x31\x69\x30\x18\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03'],
  ['a request for a certificate', '\x30\x81\xa0\x02\x01\x00\x30\x20\x31\x1e\x30\x1c\x06\x03\x55\x04\x03'],
  ['a FIDO assertion', `${'r'.repeat(32)}\x01\0\0\0\x01${'c'.repeat(32)}`],
  ['a DTLS hello', '\x01\0\0\x50\0\0\0\0\0\0\0\x50\xfe\xfd'],
  ['an SSL 2 hello', '\x01\x03\x01\0\x18\0\0\0\x20'],
  ['an HTTP message to be signed', '"@method": POST\n"@authority": example.net\n"@signature-params": ("@method")'],
].map(([name, text]) => ({ name: name ?? '', message: Buffer.from(text ?? '', 'latin1') }));

/** Contexts of other signatures in TLS 1.3, and what almost is the client's. */
const CONTEXTS: readonly string[] = [
  'TLS 1.3, server CertificateVerify',
  'TLS, server delegated credentials',
  'TLS, client delegated credentials',
  'Exported Authenticator',
  'TLS 1.3, Client CertificateVerify',
  'tls 1.3, client certificateverify',
  'TLS 1.2, client CertificateVerify',
  'TLS 1.3, client CertificateVerifY',
  'TLS 1.3,client CertificateVerify',
  ' TLS 1.3, client CertificateVerify',
  'TLS 1.3, client CertificateVerify ',
  'DTLS 1.3, client CertificateVerify',
];

/** What is wrong in TLS 1.3 for this key. */
export function forgedTls13(handshake: Handshake): Forged[] {
  const of = (name: string, ...parts: (string | Buffer)[]): Forged => ({
    name,
    message: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))),
  });
  const { message, publicKey } = handshake;
  const wrongSchemes: readonly string[] =
    publicKey.asymmetricKeyType === 'rsa'
      ? [
          'RSA_PKCS1_PADDING,hashalg=SHA256,data=message',
          'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=max,data=message',
          'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=0,data=message',
          'RSA_PKCS1_PSS_PADDING,hashalg=SHA1,saltlen=digest,data=message',
        ]
      : publicKey.asymmetricKeyType === 'ec'
        ? ['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512']
            .map((hash) => `ECDSA,hashalg=${hash},data=message`)
            .filter((text) => text !== handshake.algorithm)
        : [];
  return [
    ...ELSEWHERE,
    ...CONTEXTS.map((context) => of(`the context '${context}'`, SPACES, context, '\0', HASH)),
    ...[63, 65, 0, 128].map((count) => of(`${count} spaces`, ' '.repeat(count), CLIENT, '\0', HASH)),
    of('tabs', '\t'.repeat(64), CLIENT, '\0', HASH),
    of('no zero', SPACES, CLIENT, HASH),
    of('two zeros', SPACES, CLIENT, '\0\0', HASH),
    ...[0, 1, 16, 20, 28, 31, 33, 47, 49, 64, 66, 1000].map((length) =>
      of(`a hash of ${length} bytes`, SPACES, CLIENT, '\0', Buffer.alloc(length, 0xa5)),
    ),
    of('a document in place of the hash', SPACES, CLIENT, '\0', 'I owe the bearer of this a million.'),
    of('a byte before it', '\0', message),
    of('twice', message, message),
    of('a transcript behind it', message, TRANSCRIPTS[0]?.message ?? ''),
    of('the hash before it', HASH, message),
    of('backwards', Buffer.from(message).reverse()),
    of('in base64', message.toString('base64')),
    ...wrongSchemes.map((algorithm) => ({ name: `asked for as ${algorithm}`, message, algorithm })),
  ];
}

/** A message of a type, with an empty body. */
const empty = (type: number): Message => ({ type, body: Buffer.alloc(0) });
const filled = (type: number, length: number): Message => ({ type, body: Buffer.alloc(length, 7) });

/** The handshake with another certificate of the server: one that did not take part in it. */
export function withServer({ message }: Handshake, der: Buffer): Buffer {
  return joinMessages(splitMessages(message).toSpliced(2, 1, certificates(der)));
}

/** A certificate list of these certificates. */
function certificates(...ders: readonly Buffer[]): Message {
  const entries = Buffer.concat(ders.flatMap((der) => [Buffer.of(0), u16(der.length), der]));
  return { type: 11, body: Buffer.concat([Buffer.of(0), u16(entries.length), entries]) };
}

function certificatesIn({ body }: Message): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 3; at < body.length; at += 3 + body.readUIntBE(at, 3))
    found.push(body.subarray(at + 3, at + 3 + body.readUIntBE(at, 3)));
  return found;
}

/** Where the extensions of a hello begin, with their length. */
function extensionsAt({ type, body }: Message): number {
  const suites = 35 + (body[34] ?? 0);
  if (type === 2) return suites + 3;
  const compression = suites + 2 + body.readUInt16BE(suites);
  return compression + 1 + (body[compression] ?? 0);
}

/** Sets the last bytes of a hello to one more extension, and its lengths right. */
function withExtension({ type, body }: Message, extension: number, content: Buffer): Message {
  const list = extensionsAt({ type, body });
  const extensions = Buffer.concat([body.subarray(list + 2), u16(extension), u16(content.length), content]);
  return { type, body: Buffer.concat([body.subarray(0, list), u16(extensions.length), extensions]) };
}

/** The handshake with these protocols chosen by the server, of two that the client offers. */
export function withProtocols({ message }: Handshake, ...chosen: readonly string[]): Buffer {
  const listOf = (...names: readonly string[]): Buffer => {
    const entries = Buffer.concat(names.map((name) => Buffer.from([name.length, ...Buffer.from(name)])));
    return Buffer.concat([u16(entries.length), entries]);
  };
  const [client = empty(1), server = empty(2), ...others] = splitMessages(message);
  return joinMessages([
    withExtension(client, 16, listOf('openvpn', 'other')),
    withExtension(server, 16, listOf(...chosen)),
    ...others,
  ]);
}

function withBytes({ type, body }: Message, at: number, bytes: Buffer): Message {
  return { type, body: Buffer.concat([body.subarray(0, at), bytes, body.subarray(at + bytes.length)]) };
}

/** What is wrong as a transcript of this key. */
export function forgedTranscripts(handshake: Handshake): Forged[] {
  const { message } = handshake;
  const all = splitMessages(message);
  const of = (name: string, messages: readonly Message[]): Forged => ({ name, message: joinMessages(messages) });
  const without = (index: number): Message[] => all.filter((_, at) => at !== index);
  const replaced = (index: number, by: Message): Message[] => all.map((each, at) => (at === index ? by : each));
  const hello = all[1] ?? empty(2);
  const ours = all.length - 2;
  const [own = Buffer.alloc(0), ...chain] = certificatesIn(all[ours] ?? empty(11));
  const [theirs = Buffer.alloc(0)] = certificatesIn(all[2] ?? empty(11));
  const strangers = TRANSCRIPTS.filter(({ publicKey }) => !publicKey.equals(handshake.publicKey)).map(
    ({ message: other }) => certificatesIn(splitMessages(other).at(-2) ?? empty(11))[0] ?? Buffer.alloc(0),
  );
  const foreign: readonly [string, Message][] = [
    ['HelloRequest', empty(0)],
    ['a session ticket', filled(4, 40)],
    ['end of early data', empty(5)],
    ['encrypted extensions', filled(8, 2)],
    ['a CertificateVerify', filled(15, 76)],
    ['a Finished', filled(20, 12)],
    ['a KeyUpdate', filled(24, 1)],
    ['the hash of messages', filled(254, 32)],
  ];
  return [
    ...all.flatMap((each, index) => [
      of(`without message ${index}`, without(index)),
      of(`message ${index} twice`, all.toSpliced(index, 0, each)),
      ...foreign.map(([name, other]) => of(`${name} before message ${index}`, all.toSpliced(index, 0, other))),
      of(`an empty message ${index}`, each.body.length === 0 ? [...all, each] : replaced(index, empty(each.type))),
      of(
        `a byte more in message ${index}`,
        replaced(index, { ...each, body: Buffer.concat([each.body, HASH.subarray(0, 1)]) }),
      ),
      ...(each.body.length === 0
        ? []
        : [of(`a byte less in message ${index}`, replaced(index, { ...each, body: each.body.subarray(0, -1) }))]),
      ...all
        .slice(index + 1)
        .map((other, step) =>
          of(
            `messages ${index} and ${index + 1 + step} changed`,
            all.map((own_, at) => (at === index ? other : at === index + 1 + step ? each : own_)),
          ),
        )
        .filter(({ message: changed }) => !changed.equals(message)),
    ]),
    ...foreign.map(([name, other]) => of(`${name} at the end`, [...all, other])),
    of('backwards', all.toReversed()),
    of('twice', [...all, ...all]),
    of("the server's part only", all.slice(0, ours)),
    of('a second handshake begun', [...all, all[0] ?? empty(1)]),
    { name: 'a byte before it', message: Buffer.concat([Buffer.of(1), message]) },
    { name: 'zeros behind it', message: Buffer.concat([message, Buffer.alloc(16)]) },
    { name: 'a document behind it', message: Buffer.concat([message, Buffer.from('I owe the bearer a million.')]) },
    { name: 'in TLS records', message: Buffer.concat([Buffer.of(22, 3, 3), u16(message.length), message]) },
    of('no certificate', replaced(ours, certificates())),
    of("the server's certificate", replaced(ours, certificates(theirs))),
    of("the server's certificate before ours", replaced(ours, certificates(theirs, own, ...chain))),
    ...strangers.slice(0, 4).map((other) => of("another client's certificate", replaced(ours, certificates(other)))),
    ...strangers.slice(0, 1).map((other) => of('ours second', replaced(ours, certificates(other, own)))),
    of('a byte behind our certificate', replaced(ours, certificates(Buffer.concat([own, Buffer.of(0)])))),
    of('our certificate in PEM', replaced(ours, certificates(pem(own)))),
    of('a SEQUENCE in place of our certificate', replaced(ours, certificates(Buffer.of(0x30, 0)))),
    of('our certificate cut', replaced(ours, certificates(own.subarray(0, -1)))),
    of('no certificate of the server', replaced(2, certificates())),
    of('TLS 1.3 chosen by extension', replaced(1, withExtension(hello, 43, Buffer.of(3, 4)))),
    of('a key share in the ServerHello', replaced(1, withExtension(hello, 51, Buffer.of(0, 29, 0, 1, 1)))),
    of('an extension nobody asked for', replaced(1, withExtension(hello, 0x7777, Buffer.alloc(0)))),
    of('renegotiation', replaced(1, withExtension(hello, 0xff01, Buffer.of(12, ...HASH.subarray(0, 12))))),
    of('the version of TLS 1.3', replaced(1, withBytes(hello, 0, Buffer.of(3, 4)))),
    of('SSL 3', replaced(1, withBytes(hello, 0, Buffer.of(3, 0)))),
    of('DTLS', replaced(1, withBytes(hello, 0, Buffer.of(0xfe, 0xfd)))),
    of('a cipher suite of TLS 1.3', replaced(1, withBytes(hello, 35 + (hello.body[34] ?? 0), Buffer.of(0x13, 1)))),
    of('an anonymous cipher suite', replaced(1, withBytes(hello, 35 + (hello.body[34] ?? 0), Buffer.of(0xc0, 0x19)))),
    of('compression', replaced(1, withBytes(hello, 37 + (hello.body[34] ?? 0), Buffer.of(1)))),
    ...wrongSchemes(handshake).map((algorithm) => ({ name: `asked for as ${algorithm}`, message, algorithm })),
  ];
}

function pem(der: Buffer): Buffer {
  return Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`);
}

/** Schemes that neither that version of TLS has nor a server of today takes. */
function wrongSchemes({ publicKey, tls }: Handshake): string[] {
  const isOld = tls !== '1.2';
  switch (publicKey.asymmetricKeyType) {
    case 'rsa':
      return isOld
        ? ['RSA_PKCS1_PADDING,hashalg=SHA256,data=message', 'RSA_PKCS1_PADDING,hashalg=SHA1,data=message']
        : [
            'RSA_PKCS1_PADDING,hashalg=MD5-SHA1,data=message',
            'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=max,data=message',
            'RSA_PKCS1_PSS_PADDING,hashalg=SHA1,saltlen=digest,data=message',
          ];
    case 'ec':
      return isOld ? ['ECDSA,hashalg=SHA256,data=message'] : [];
    default:
      return [];
  }
}
