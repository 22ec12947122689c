import type { Readable } from 'node:stream';
import { LineSplitter } from '../../lines.ts';
import { Secret } from '../../secret.ts';
import type { ModuleHostOptions } from './options.ts';

/**
 * Reads what a module prints, so that it never waits for us. It is dropped unless `showOutput` asks for it: a module that
 * debugs (pkcs11-spy) prints the PIN as a hex dump, which no filter knows.
 */
export class ModuleOutput {
  readonly #modulePath: string;
  readonly #options: Pick<ModuleHostOptions, 'showOutput' | 'onEvent'>;
  readonly #secrets: Secret[] = [];
  #streams = 0;

  constructor(modulePath: string, options: Pick<ModuleHostOptions, 'showOutput' | 'onEvent'>) {
    this.#modulePath = modulePath;
    this.#options = options;
  }

  /** Cuts a PIN out of all that the module prints from now on, if that is shown. */
  conceal(secret: Secret): void {
    if (this.#options.showOutput !== true || secret.length === 0) return; // a keypad's
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
    this.#streams++;
    stream.once('close', () => {
      this.#streams--;
      if (this.#streams === 0) for (const secret of this.#secrets.splice(0)) secret.destroy();
    });
    const lines = new LineSplitter((line) => this.#redact(line));
    stream.on('data', (chunk: Buffer) => {
      for (const text of lines.push(chunk)) onEvent?.({ type: 'output', modulePath, text });
    });
  }

  #redact(line: string): string {
    return this.#secrets.reduce((text, secret) => text.replaceAll(secret.reveal(), '<redacted>'), line);
  }
}
