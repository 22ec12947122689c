/** A stretch of a transcript, by a name of what stands there. */
export interface Field {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** It says how long something is. */
  readonly isLength: boolean;
}

export interface Message {
  readonly type: number;
  readonly body: Buffer;
}

export function splitMessages(transcript: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < transcript.length; ) {
    const end = at + 4 + transcript.readUIntBE(at + 1, 3);
    messages.push({ type: transcript[at] ?? 0, body: transcript.subarray(at + 4, end) });
    at = end;
  }
  return messages;
}

export function joinMessages(messages: readonly Message[]): Buffer {
  return Buffer.concat(messages.flatMap(({ type, body }) => [Buffer.of(type, 0, ...u16(body.length)), body]));
}

export function u16(number: number): Buffer {
  return Buffer.of(number >> 8, number & 0xff);
}

/** A transcript with bytes put in, inside all that begins before them: lengths fit again. */
export function insertAt(transcript: Buffer, at: number, bytes: Buffer): Buffer {
  const made = Buffer.concat([transcript.subarray(0, at), bytes, transcript.subarray(at)]);
  for (const { start, end, isLength } of layoutOf(transcript)) {
    if (!isLength) continue;
    const length = transcript.readUIntBE(start, end - start);
    if (end <= at && at < end + length) made.writeUIntBE(length + bytes.length, start, end - start);
  }
  return made;
}

/** Where what stands in a transcript that is right: made for this, and not by the parser that is under test. */
export function layoutOf(transcript: Buffer): Field[] {
  const layout = new Layout(transcript);
  layout.walk();
  return layout.fields;
}

class Layout {
  readonly fields: Field[] = [];
  readonly #bytes: Buffer;
  #at = 0;
  #message = '';
  #isTls12 = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  walk(): void {
    let certificates = 0;
    while (this.#at < this.#bytes.length) {
      const type = this.#bytes[this.#at] ?? 0;
      if (type === 11) certificates += 1;
      this.#message = type === 11 ? (certificates === 1 ? 'server' : 'client') : (MESSAGES.get(type) ?? '?');
      this.#field('message type', 1);
      const end = this.#length(3);
      this.#body(type, end);
      if (this.#at !== end) throw new Error(`${this.#message} is not what this layout knows`);
    }
  }

  #body(type: number, end: number): void {
    switch (type) {
      case 1:
        this.#field('version', 2);
        this.#field('random', 32);
        this.#vector('session ID', 1);
        this.#vector('cipher suites', 2);
        this.#vector('compression', 1);
        this.#extensions(end);
        return;
      case 2:
        this.#isTls12 = this.#bytes.readUInt16BE(this.#at) === 0x0303;
        this.#field('version', 2);
        this.#field('random', 32);
        this.#vector('session ID', 1);
        this.#field('cipher suite', 2);
        this.#field('compression', 1);
        this.#extensions(end);
        return;
      case 11:
        this.#list(3, () => {
          this.#vector('certificate', 3);
        });
        return;
      case 12:
        if (this.#bytes[this.#at] === 3) {
          this.#field('curve type', 1);
          this.#field('group', 2);
          this.#vector('share', 1);
        } else {
          for (const name of ['prime', 'generator', 'share']) this.#vector(name, 2);
        }
        if (this.#isTls12) this.#field('signature scheme', 2);
        this.#vector('signature', 2);
        return;
      case 13:
        this.#vector('certificate types', 1);
        if (this.#isTls12) this.#vector('signature schemes', 2);
        this.#list(2, () => {
          this.#vector('CA', 2);
        });
        return;
      case 16:
        this.#vector('share', end - this.#at > 200 ? 2 : 1);
        return;
      default:
    }
  }

  #extensions(end: number): void {
    if (this.#at === end) return;
    this.#list(2, () => {
      this.#field('extension type', 2);
      this.#vector('extension', 2);
    });
  }

  #field(name: string, length: number, isLength = false): void {
    if (length === 0) return;
    this.fields.push({ name: `${this.#message} ${name}`, start: this.#at, end: this.#at + length, isLength });
    this.#at += length;
  }

  /** @returns where ends what it is the length of */
  #length(width: number): number {
    const length = this.#bytes.readUIntBE(this.#at, width);
    this.#field('length', width, true);
    return this.#at + length;
  }

  #vector(name: string, width: number): void {
    this.#field(name, this.#length(width) - this.#at);
  }

  #list(width: number, entry: () => void): void {
    const end = this.#length(width);
    while (this.#at < end) entry();
  }
}

const MESSAGES = new Map([
  [1, 'ClientHello'],
  [2, 'ServerHello'],
  [12, 'ServerKeyExchange'],
  [13, 'CertificateRequest'],
  [14, 'ServerHelloDone'],
  [16, 'ClientKeyExchange'],
]);
