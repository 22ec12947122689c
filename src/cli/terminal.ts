import { openSync, readFileSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { AgentError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { printable } from '../telemetry/printable.ts';
import { frameStderr, isLogPretty, writeStderr } from './standard-streams.ts';

const TERMINAL = '/dev/tty';
const KEY = {
  interrupt: 0x03,
  endOfFile: 0x04,
  backspace: 0x08,
  escape: 0x1b,
  clear: 0x15,
  suspend: 0x1a,
  quit: 0x1c,
  delete: 0x7f,
  enter: 0x0d,
  newline: 0x0a,
};
/** What a terminal does itself with keys, as long as it is not raw. */
const SIGNALS = new Map<number, NodeJS.Signals>([
  [KEY.interrupt, 'SIGINT'],
  [KEY.suspend, 'SIGTSTP'],
  [KEY.quit, 'SIGQUIT'],
]);
/** Signals that end the process, or stop it, without Node's own clean-up of the terminal. */
const ENDS = ['SIGHUP', 'SIGQUIT', 'SIGTSTP'] as const;
/** Milliseconds without a word after which it is said what takes so long. */
const SILENCE = 300;
const ERASE = '\r\x1b[K';

interface Prompt {
  readonly text: string;
  readonly typed: number[];
  readonly resolve: (secret: Secret) => void;
  readonly reject: (error: Error) => void;
}

function clear(typed: number[]): void {
  typed.fill(0);
  typed.length = 0;
}

/** A background job must not touch the terminal: it would be stopped. Where /proc does not tell, it is taken for none. */
function isBackground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group !== foreground;
  } catch {
    return false;
  }
}

/**
 * The controlling terminal, and what this process writes to it. While a secret may be asked for there is no echo, and what
 * is typed before the prompt is dropped, as getpass(3) does: it may be a PIN, and was not meant for a prompt unseen.
 */
class Terminal {
  #stream: ReadStream | undefined;
  #users = 0;
  #prompt: Prompt | undefined;
  /** Settles with the last question: what is typed must never answer another one. */
  #asked: Promise<unknown> = Promise.resolve();
  #escape: 'none' | 'begun' | 'open' = 'none';
  /** The process is about to stop: nobody is asked any more. */
  #isStopped = false;
  #notice: { readonly text: string; isShown: boolean; readonly timer: NodeJS.Timeout } | undefined;

  /** A key is being opened: a person who typed a wrong PIN may be asked again. */
  get isOpening(): boolean {
    return this.#users > 0 && !this.#isStopped;
  }

  /**
   * Does something in which a person waits.
   * @param asks a secret may be asked for: no echo meanwhile
   * @param notice what it is, for whoever sees nothing happen
   */
  async during<Result>(asks: boolean, notice: string, work: () => Promise<Result>): Promise<Result> {
    this.#users++;
    if (asks && !isBackground()) this.#open();
    this.#startNotice(notice);
    try {
      return await work();
    } finally {
      this.#users--;
      this.#endNotice();
      this.#close();
    }
  }

  /**
   * Asks for a secret without echo, when the question before was answered; standard input may be something else.
   * @param notes what is shown behind what is wanted
   * @throws AgentError ERR_PIN_REQUIRED where there is no terminal or nothing is typed, ERR_ABORTED on Ctrl-C and at a stop
   */
  ask(what: string, notes = ''): Promise<Secret> {
    const asked = this.#asked.then(() => this.#ask(what, notes));
    this.#asked = asked.catch(() => undefined);
    return asked;
  }

  async #ask(what: string, notes: string): Promise<Secret> {
    this.#refuseAfterStop(what);
    this.#open();
    const stream = this.#stream;
    if (!stream) {
      const hint = 'give --pin-source';
      throw new AgentError('ERR_PIN_REQUIRED', `${what} is needed and there is no terminal to ask on`, { hint });
    }
    const notice = this.#notice?.text;
    this.#endNotice();
    const text = `${printable(`${what}${notes}`)}: `;
    const typed: number[] = [];
    try {
      return await new Promise((resolve, reject) => {
        this.#prompt = { text, typed, resolve, reject };
        stream.write(text);
      });
    } finally {
      this.#prompt = undefined;
      typed.fill(0);
      if (!this.#isStopped) stream.write('\r\n');
      this.#close();
      if (notice !== undefined && this.isOpening) this.#startNotice(notice);
    }
  }

  #refuseAfterStop(what: string): void {
    if (this.#isStopped) throw new AgentError('ERR_ABORTED', `${what} is not asked for: pksigd stops`);
  }

  /** Gives up a prompt that stands, and all later ones: log lines from now on end with nothing below them. */
  stop(): void {
    this.#isStopped = true;
    this.#endNotice();
    const prompt = this.#prompt;
    if (!prompt) return;
    this.#prompt = undefined;
    // now: the next log line must not stand behind the prompt
    this.#stream?.write('\r\n');
    prompt.reject(new AgentError('ERR_ABORTED', 'interrupted'));
  }

  /** Lines for standard error, so that a prompt that stands, or a notice, stays below them. */
  readonly frame = (lines: string): string => {
    if (!isLogPretty) return lines;
    if (this.#prompt) return `${ERASE}${lines}${this.#prompt.text}`;
    return this.#notice?.isShown === true ? `${ERASE}${lines}${this.#notice.text}` : lines;
  };

  #startNotice(text: string): void {
    this.#endNotice();
    if (!isLogPretty || text === '' || isBackground()) return;
    const timer = setTimeout(() => {
      if (!this.#notice || this.#prompt) return;
      this.#notice.isShown = true;
      writeStderr(text);
    }, SILENCE);
    timer.unref();
    this.#notice = { text, isShown: false, timer };
  }

  #endNotice(): void {
    if (!this.#notice) return;
    clearTimeout(this.#notice.timer);
    if (this.#notice.isShown) writeStderr(ERASE);
    this.#notice = undefined;
  }

  #open(): void {
    if (this.#stream) return;
    try {
      this.#stream = new ReadStream(openSync(TERMINAL, 'r+'));
    } catch {
      return; // there is none
    }
    this.#stream.setRawMode(true);
    this.#stream.on('error', (error) => this.#prompt?.reject(error));
    this.#stream.on('data', (chunk: Buffer) => {
      for (const byte of chunk) this.#key(byte);
      chunk.fill(0);
    });
    // Node itself cleans up at SIGINT and SIGTERM
    process.on('exit', this.#restore);
    for (const name of ENDS) process.on(name, this.#onEnd);
    process.on('SIGCONT', this.#onContinue);
  }

  #close(): void {
    if (this.#users > 0 || this.#prompt) return;
    this.#restore();
    process.off('exit', this.#restore);
    for (const name of ENDS) process.off(name, this.#onEnd);
    process.off('SIGCONT', this.#onContinue);
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  readonly #restore = (): void => {
    try {
      if (this.#stream && !this.#stream.destroyed) this.#stream.setRawMode(false);
    } catch {
      // a terminal that has hung up
    }
  };

  readonly #onEnd = (signal: NodeJS.Signals): void => {
    // where others handle it too, it is theirs, and ends nothing
    if (process.listenerCount(signal) > 1) return;
    this.#restore();
    if (signal === 'SIGTSTP') {
      process.kill(process.pid, 'SIGSTOP');
      return;
    }
    process.off(signal, this.#onEnd);
    process.kill(process.pid, signal);
  };

  readonly #onContinue = (): void => {
    if (!this.#stream || isBackground()) return;
    this.#stream.setRawMode(true);
    if (!this.#prompt) return;
    // as a terminal drops its line at Ctrl-Z: the prompt is drawn anew, and looks empty
    clear(this.#prompt.typed);
    this.#escape = 'none';
    this.#stream.write(this.#prompt.text);
  };

  /** Whether a byte belongs to an escape sequence, of an arrow key or around a paste (ECMA-48 section 5.4): not to the PIN. */
  #isOfEscape(byte: number): boolean {
    const before = this.#escape;
    if (byte === KEY.escape) this.#escape = 'begun';
    else if (before === 'begun') this.#escape = byte === 0x5b || byte === 0x4f ? 'open' : 'none';
    else if (before === 'open' && byte >= 0x40) this.#escape = 'none';
    return byte === KEY.escape || before !== 'none';
  }

  #key(byte: number): void {
    const prompt = this.#prompt;
    const isEnd = byte === KEY.enter || byte === KEY.newline;
    if (isEnd) this.#escape = 'none';
    else if (!SIGNALS.has(byte) && this.#isOfEscape(byte)) return;
    const signal = SIGNALS.get(byte);
    const isHandled = signal !== undefined && process.listenerCount(signal) > 0;
    if (byte === KEY.interrupt && prompt && !isHandled) prompt.reject(new AgentError('ERR_ABORTED', 'interrupted'));
    // to the group, as the terminal would; `run` makes an orderly stop of it
    else if (signal) process.kill(0, signal);
    else if (!prompt) return;
    else if (isEnd || byte === KEY.endOfFile) {
      if (prompt.typed.length > 0) prompt.resolve(new Secret(Uint8Array.from(prompt.typed)));
      else prompt.reject(new AgentError('ERR_PIN_REQUIRED', 'nothing was typed at the prompt'));
      this.#prompt = undefined;
    } else if (byte === KEY.backspace || byte === KEY.delete) prompt.typed.pop();
    else if (byte === KEY.clear) clear(prompt.typed);
    // other control characters mean nothing here, and no PIN has them
    else if (byte >= 0x20) prompt.typed.push(byte);
  }
}

/** There is one. */
export const terminal: Terminal = new Terminal();
frameStderr(terminal.frame);
