import { openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { AgentError } from '../errors.ts';
import { Secret } from '../secret.ts';

const TERMINAL = '/dev/tty';
const KEY = {
  interrupt: 0x03,
  endOfFile: 0x04,
  backspace: 0x08,
  clear: 0x15,
  delete: 0x7f,
  enter: 0x0d,
  newline: 0x0a,
};

/**
 * Asks for a secret on the controlling terminal, without echo; standard input may be something else.
 * @throws AgentError ERR_PIN_REQUIRED where there is no terminal, ERR_ABORTED on Ctrl-C
 */
export async function promptSecret(what: string): Promise<Secret> {
  let descriptor: number;
  try {
    descriptor = openSync(TERMINAL, 'r+');
  } catch {
    throw new AgentError('ERR_PIN_REQUIRED', `${what} is needed and there is no terminal to ask on`, {
      hint: 'give --pin-source',
    });
  }
  const terminal = new ReadStream(descriptor);
  const typed: number[] = [];
  try {
    terminal.setRawMode(true);
    terminal.write(`${what}: `);
    return await new Promise((resolve, reject) => {
      terminal.on('error', reject);
      terminal.on('data', (chunk: Buffer) => {
        for (const byte of chunk) {
          if (byte === KEY.interrupt) reject(new AgentError('ERR_ABORTED', 'interrupted'));
          else if (byte === KEY.enter || byte === KEY.newline || byte === KEY.endOfFile) {
            resolve(new Secret(Uint8Array.from(typed)));
          } else if (byte === KEY.backspace || byte === KEY.delete) typed.pop();
          else if (byte === KEY.clear) typed.length = 0;
          else typed.push(byte);
        }
        chunk.fill(0);
      });
    });
  } finally {
    typed.fill(0);
    terminal.write('\r\n');
    terminal.setRawMode(false);
    terminal.destroy();
  }
}
