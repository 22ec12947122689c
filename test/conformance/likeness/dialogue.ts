// Dialogues with a daemon, each held with a real one and with the simulated one (test/simulation/daemon.ts), and written down so that
// both can be compared.
import type { Socket } from 'node:net';
import { ManagementEnd } from '../../support/management-end.ts';

/** How the daemon is started. */
export interface Settings {
  /** As `--management-hold` has it, which is usual here. */
  readonly isHeld?: boolean;
  readonly password?: string;
  /** It connects to the management client. */
  readonly isClient?: boolean;
  /** On a TCP port; else on a unix socket. */
  readonly isTcp?: boolean;
  /** It asks for another signature again and again. */
  readonly renegotiates?: boolean;
  /** A bad signature of the right length is noticed soon. */
  readonly isImpatient?: boolean;
  /** Something passes through the tunnel each second. */
  readonly pings?: boolean;
}

export interface Script {
  readonly name: string;
  readonly settings?: Settings;
  readonly play: (stage: Stage) => Promise<void>;
}

/** How the first line begins. */
export const GREETING = '>INFO:';

/** What a script is played on. */
export abstract class Stage {
  readonly transcript: string[] = [];
  readonly #data: string[] = [];
  #clients = 0;

  /** A connection to the daemon, or from it; nothing was heard yet. */
  protected abstract join(): Promise<Socket>;
  /** The code of the error that another connection gets. */
  protected abstract refusal(): Promise<string>;
  /** Signs by the key that the daemon shows a certificate of. @returns base64 */
  protected abstract signature(request: string): string;
  /** Waits until the daemon waits for a signature, whoever is there. */
  abstract asks(): Promise<void>;
  protected abstract ended(): Promise<void>;

  async client(): Promise<Client> {
    const name = 'ABCDEFGH'[this.#clients++] ?? '?';
    return new Client(
      await this.join(),
      name,
      this.transcript,
      (line) => this.#plain(line),
      (request) => this.signature(request),
    );
  }

  async cannotConnect(): Promise<void> {
    this.transcript.push(`another can't connect: ${await this.refusal()}`);
  }

  /** Waits for the daemon's end. */
  async daemonEnds(): Promise<void> {
    await this.ended();
    this.transcript.push('the daemon ends');
  }

  /** Without what differs by nature. */
  #plain(line: string): string {
    return line
      .replace(
        /^(>(?:PK_SIGN|RSA_SIGN):)([^,]*)/,
        (_, head: string, data: string) => `${head}<data ${this.#number(data)}>`,
      )
      .replace(/pid=\d+/, 'pid=<pid>')
      .replace(/(bytesin=|bytesout=|bytes,)\d+/g, '$1<count>')
      .replace(/^(Updated,).*/, '$1<time>')
      .replace(/,CONNECTED,SUCCESS,,[\d.]+,\d+,/, ',CONNECTED,SUCCESS,,<server>,<port>,')
      .replace(/^((?:>STATE:)?)\d{9,},/, '$1<time>,')
      .replace(/^(OpenVPN Version: |Management Interface for ).*/, '$1<version>');
  }

  /** The same data has the same number. */
  #number(data: string): number {
    if (!this.#data.includes(data)) this.#data.push(data);
    return this.#data.indexOf(data) + 1;
  }
}

const REQUEST = />(?:PK_SIGN|RSA_SIGN):[^\n]*\n/;

/** A management client as it is by hand: it says and hears lines. */
export class Client {
  readonly #end: ManagementEnd;
  readonly #name: string;
  readonly #transcript: string[];
  readonly #plain: (line: string) => string;
  readonly #sign: (request: string) => string;

  constructor(
    socket: Socket,
    name: string,
    transcript: string[],
    plain: (line: string) => string,
    sign: (request: string) => string,
  ) {
    this.#end = new ManagementEnd(socket);
    this.#name = name;
    this.#transcript = transcript;
    this.#plain = plain;
    this.#sign = sign;
  }

  say(text: string): void {
    const shown = text.length > 100 ? `${text.slice(0, 20)}… (${text.length} bytes)` : JSON.stringify(text);
    this.#transcript.push(`${this.#name} > ${shown}`);
    this.#end.say(text);
  }

  /** Waits for a line that begins so, and writes down all lines up to it. */
  async hear(...beginnings: readonly string[]): Promise<string> {
    let heard = '';
    for (const beginning of beginnings) {
      const pattern = new RegExp(`(?:^|\\n)(?=${beginning})[^\\n]*${beginning.startsWith('ENTER') ? ':' : '\\n'}`);
      heard = await this.#end.hear(pattern);
      this.#write(heard);
    }
    return heard;
  }

  #write(text: string): void {
    for (const line of text.split(/(?<=\n)/)) {
      // as many as the time allows
      if (line.startsWith('>BYTECOUNT:')) continue;
      const kind = line.endsWith('\r\n') ? '' : line.endsWith('\n') ? ' (LF)' : ' (no line end)';
      this.#transcript.push(`${this.#name} < ${this.#plain(line.replace(/\r?\n$/, ''))}${kind}`);
    }
  }

  /** Says each, and hears what begins as is told. */
  async ask(...questions: readonly (readonly [say: string, hear: string])[]): Promise<void> {
    for (const [say, hear] of questions) {
      this.say(`${say}\n`);
      await this.hear(hear);
    }
  }

  /** Nothing more is to come than what was heard: what else there is stands before the answer. */
  async quiet(): Promise<void> {
    this.say('pid\n');
    await this.hear('SUCCESS: pid=');
  }

  /** Waits for one `>BYTECOUNT:` more. */
  async counted(): Promise<void> {
    this.#write(await this.#end.hear(/>BYTECOUNT:\d+,\d+\r\n/));
    this.#transcript.push(`${this.#name} < >BYTECOUNT:<counts>`);
  }

  async request(): Promise<string> {
    const heard = await this.#end.hear(REQUEST);
    this.#write(heard);
    return REQUEST.exec(heard)?.[0].trimEnd() ?? '';
  }

  /** Signs what was asked for. @param how the block, with the signature's lines in the place of `@` */
  answer(request: string, how = 'pk-sig\n@END\n'): void {
    const lines = this.#sign(request).replaceAll(/.{1,64}/g, '$&\n');
    this.#transcript.push(`${this.#name} > ${JSON.stringify(how)} with a signature`);
    this.#end.say(how.replace('@', lines));
  }

  /** Released from hold, it asks for a signature, and gets one. */
  async connects(): Promise<void> {
    this.say('hold release\n');
    await this.hear('SUCCESS: hold release');
    this.answer(await this.request());
    await this.hear('SUCCESS: ');
  }

  /** Waits until the daemon ends the connection. */
  async gone(): Promise<void> {
    await this.#end.gone();
    if (this.#end.received !== '') this.#write(this.#end.received);
    this.#end.received = '';
    this.#transcript.push(`${this.#name}   is left by the daemon`);
  }

  leave(): void {
    this.#transcript.push(`${this.#name}   leaves`);
    this.#end.close();
  }
}
