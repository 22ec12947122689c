import type { Readable } from 'node:stream';
import { Secret } from '../../secret.ts';
import type { ModuleHostOptions } from './options.ts';

/** A line longer than this many characters is cut. */
const MAX_LINE = 1000;

/**
 * Reads what a module prints, so that it never waits for us. It is dropped unless `showOutput` asks for it: a module that
 * debugs (pkcs11-spy) prints the PIN as a hex dump, which no filter knows.
 */
export class ModuleOutput {
  readonly #modulePath: string;
  readonly #options: Pick<ModuleHostOptions, 'showOutput' | 'onEvent'>;
  readonly #secrets: Secret[] = [];

  constructor(modulePath: string, options: Pick<ModuleHostOptions, 'showOutput' | 'onEvent'>) {
    this.#modulePath = modulePath;
    this.#options = options;
  }

  /** Cuts a PIN out of all that the module prints from now on. */
  conceal(secret: Secret): void {
    if (secret.length === 0) return; // a keypad's
    // a copy: the module may print it when the PIN's owner has zeroed it already
    if (!this.#secrets.some(({ bytes }) => bytes.equals(secret.bytes))) this.#secrets.push(new Secret(secret.bytes));
  }

  /** Reads a stream to its end. */
  read(stream: Readable): void {
    const modulePath = this.#modulePath;
    const { showOutput = false, onEvent } = this.#options;
    stream.on('error', () => undefined);
    if (!showOutput) {
      stream.once('data', () => onEvent?.({ type: 'output', modulePath }));
      stream.on('data', (chunk: Buffer) => chunk.fill(0));
      return;
    }
    const lines = new LineSplitter();
    stream.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) onEvent?.({ type: 'output', modulePath, text: this.#redact(line) });
    });
  }

  #redact(line: string): string {
    return this.#secrets.reduce((text, secret) => text.replaceAll(secret.reveal(), '<redacted>'), line);
  }
}

/** Lines of a stream, each cut at a limit: a module may never end one. */
class LineSplitter {
  #rest = '';

  push(chunk: Buffer): string[] {
    const [first = '', ...more] = chunk.toString('utf8').split('\n');
    const lines = [this.#rest + first, ...more].map((line) => line.slice(0, MAX_LINE));
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => line.replace(/\r$/, ''));
  }
}
