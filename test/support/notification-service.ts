import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What a notification says (org.freedesktop.Notifications.Notify). */
export interface Shown {
  readonly application: string;
  readonly icon: string;
  readonly summary: string;
  readonly body: string;
}

const NAME = 'org.freedesktop.Notifications';
const CALL = 1;
const RETURN = 2;

// types of header fields (D-Bus specification, "Message Format")
const FIELDS = {
  path: [1, 'o'],
  interface: [2, 's'],
  member: [3, 's'],
  replyTo: [5, 'u'],
  destination: [6, 's'],
  signature: [8, 'g'],
} as const;

/** Bytes that D-Bus aligns, little-endian. */
class Packer {
  #bytes: number[] = [];
  align(to: number): void {
    while (this.#bytes.length % to > 0) this.#bytes.push(0);
  }
  byte(...values: number[]): this {
    this.#bytes.push(...values);
    return this;
  }
  uint(value: number): this {
    this.align(4);
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value);
    return this.byte(...buffer);
  }
  text(value: string): this {
    this.uint(Buffer.byteLength(value));
    return this.byte(...Buffer.from(value), 0);
  }
  signature(value: string): this {
    return this.byte(value.length, ...Buffer.from(value), 0);
  }
  get bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

function message(
  type: number,
  serial: number,
  fields: Partial<Record<keyof typeof FIELDS, string | number>>,
  body: Buffer,
): Buffer {
  const head = new Packer();
  for (const [name, value] of Object.entries(fields)) {
    const [code, kind] = FIELDS[name as keyof typeof FIELDS];
    head.align(8);
    head.byte(code).signature(kind);
    if (typeof value === 'number') head.uint(value);
    else if (kind === 'g') head.signature(value);
    else head.text(value);
  }
  const whole = new Packer().byte(0x6c, type, 0, 1).uint(body.length).uint(serial).uint(head.bytes.length);
  whole.byte(...head.bytes);
  whole.align(8);
  return Buffer.concat([whole.bytes, body]);
}

/** Reads what was packed so. */
class Unpacker {
  readonly #buffer: Buffer;
  at: number;
  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.at = at;
  }
  align(to: number): void {
    this.at = Math.ceil(this.at / to) * to;
  }
  byte(): number {
    return this.#buffer[this.at++] ?? 0;
  }
  uint(): number {
    this.align(4);
    this.at += 4;
    return this.#buffer.readUInt32LE(this.at - 4);
  }
  text(): string {
    const length = this.uint();
    this.at += length + 1;
    return this.#buffer.toString('utf8', this.at - length - 1, this.at - 1);
  }
  signature(): string {
    const length = this.byte();
    this.at += length + 1;
    return this.#buffer.toString('latin1', this.at - length - 1, this.at - 1);
  }
}

interface Received {
  readonly type: number;
  readonly serial: number;
  readonly fields: ReadonlyMap<number, string | number>;
  readonly body: Buffer;
}

/** The first message of these bytes, and how many it takes; undefined if it is not whole. */
function parse(bytes: Buffer): { readonly received: Received; readonly length: number } | undefined {
  if (bytes.length < 16) return undefined;
  const bodyLength = bytes.readUInt32LE(4);
  const fieldsEnd = 16 + bytes.readUInt32LE(12);
  const bodyStart = Math.ceil(fieldsEnd / 8) * 8;
  if (bytes.length < bodyStart + bodyLength) return undefined;
  const unpack = new Unpacker(bytes, 16);
  const fields = new Map<number, string | number>();
  while (unpack.at < fieldsEnd) {
    unpack.align(8);
    const code = unpack.byte();
    const kind = unpack.signature();
    fields.set(code, kind === 'u' ? unpack.uint() : kind === 'g' ? unpack.signature() : unpack.text());
  }
  const body = Buffer.from(bytes.subarray(bodyStart, bodyStart + bodyLength));
  const received = { type: bytes[1] ?? 0, serial: bytes.readUInt32LE(8), fields, body };
  return { received, length: bodyStart + bodyLength };
}

/** A session bus, dbus-daemon's, and on it a desktop that shows notifications: to nobody, but it writes them down. */
export class NotificationService {
  readonly shown: Shown[] = [];
  readonly #bus: ChildProcess;
  readonly #socket: Socket;
  #serial = 0;
  #rest: Buffer = Buffer.alloc(0);
  #isNamed: (() => void) | undefined;

  private constructor(bus: ChildProcess, socket: Socket) {
    this.#bus = bus;
    this.#socket = socket;
  }

  /** @param path of the bus's socket */
  static async start(path: string): Promise<NotificationService> {
    const bus = spawn(
      'dbus-daemon',
      ['--session', '--nofork', '--nopidfile', `--address=unix:path=${path}`, '--print-address'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await once(bus.stdout, 'data');
    const socket = connect(path);
    const service = new NotificationService(bus, socket);
    await service.#begin();
    return service;
  }

  async #begin(): Promise<void> {
    const socket = this.#socket;
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.toString().startsWith('OK ')) throw new Error(`the bus says ${answer.toString()}`);
    socket.write('BEGIN\r\n');
    socket.on('data', (chunk: Buffer) => {
      this.#take(chunk);
    });
    this.#call('Hello', Buffer.alloc(0), undefined);
    const named = new Promise<void>((resolve) => (this.#isNamed = resolve));
    this.#call('RequestName', new Packer().text(NAME).uint(0).bytes, 'su');
    await named;
  }

  #call(member: string, body: Buffer, signature: string | undefined): void {
    const bus = 'org.freedesktop.DBus';
    const fields = { path: '/org/freedesktop/DBus', interface: bus, member, destination: bus };
    this.#serial += 1;
    this.#socket.write(message(CALL, this.#serial, { ...fields, ...(signature !== undefined && { signature }) }, body));
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let parsed = parse(this.#rest); parsed; parsed = parse(this.#rest)) {
      this.#rest = this.#rest.subarray(parsed.length);
      this.#hear(parsed.received);
    }
  }

  #hear({ type, serial, fields, body }: Received): void {
    // the second answer is to RequestName
    if (type === RETURN && fields.get(FIELDS.replyTo[0]) === 2) this.#isNamed?.();
    if (type !== CALL) return;
    const member = fields.get(FIELDS.member[0]);
    const answer = this.#answerTo(String(member), body);
    if (!answer) return;
    this.#serial += 1;
    const to = { replyTo: serial, destination: String(fields.get(7)) };
    this.#socket.write(message(RETURN, this.#serial, { ...to, signature: answer.signature }, answer.body));
  }

  #answerTo(member: string, body: Buffer): { readonly signature: string; readonly body: Buffer } | undefined {
    if (member === 'GetServerInformation') {
      const words = new Packer().text('test').text('nobody').text('1').text('1.2');
      return { signature: 'ssss', body: words.bytes };
    }
    if (member === 'GetCapabilities') return { signature: 'as', body: new Packer().uint(0).bytes };
    if (member !== 'Notify') return undefined;
    const unpack = new Unpacker(body);
    const application = unpack.text();
    unpack.uint();
    const [icon, summary, text] = [unpack.text(), unpack.text(), unpack.text()];
    this.shown.push({ application, icon, summary, body: text });
    return { signature: 'u', body: new Packer().uint(1).bytes };
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    this.#bus.kill();
    await once(this.#bus, 'exit');
  }
}
