import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** How long a test waits for what must come, before it fails with everything that was said. */
const DEADLINE = 120_000;

export interface ChildOptions {
  /** The whole environment: nothing is inherited but PATH. */
  env?: Record<string, string>;
  cwd?: string;
  /** What is written to stdin, which then ends; without it stdin is empty. */
  input?: string | undefined;
  /** Leaves stdin open for the test to write to. */
  interactive?: boolean;
}

/** A process that a test started: its lines are kept, can be awaited, and it ends by its own pid. */
export class Child {
  /** Both streams' lines, in the order in which they came. */
  readonly lines: string[] = [];
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly exited: Promise<number>;
  readonly name: string;
  readonly process: ChildProcessWithoutNullStreams;
  readonly #checks = new Set<() => void>();
  #ended = false;
  #tail = '';

  constructor(name: string, command: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = name;
    this.process = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Debian's openvpn is in /usr/sbin, where only root looks
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin`, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#read(this.process.stdout, this.stdout);
    this.#read(this.process.stderr, this.stderr);
    this.process.stdin.on('error', () => undefined); // gone before it read: its exit code tells
    if (options.interactive !== true) this.process.stdin.end(options.input ?? '');
    this.exited = once(this.process, 'close').then(([code]) => {
      this.#ended = true;
      this.#check();
      return (code as number | null) ?? -1;
    });
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.process.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Everything that was said, under the process's name. */
  get transcript(): string {
    return [`--- ${this.name}${this.#ended ? ' (ended)' : ''}`, ...this.lines].join('\n');
  }

  /** The number of lines so far that match. */
  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** Waits until what was said ends in this: a prompt, which has no line end. */
  async said(pattern: RegExp): Promise<void> {
    await this.until(pattern.source, () => (pattern.test(this.#tail) ? true : undefined));
  }

  /** Waits until `times` lines match; resolves with the last of them. */
  async logged(pattern: RegExp, times = 1): Promise<string> {
    const what = `${pattern.source}${times > 1 ? ` (${times} times)` : ''}`;
    return this.until(what, () => this.lines.filter((line) => pattern.test(line))[times - 1]);
  }

  /** Waits until `probe`, asked after every line, gives something. */
  async until<T>(what: string, probe: () => T | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const settle = (end: () => void): void => {
        this.#checks.delete(check);
        clearTimeout(timer);
        end();
      };
      const fail = (why: string): void => {
        settle(() => {
          reject(new Error(`${this.name}: ${why} ${what}`));
        });
      };
      const check = (): void => {
        const found = probe();
        if (found !== undefined) {
          settle(() => {
            resolve(found);
          });
        } else if (this.#ended) fail('ended without');
      };
      const timer = setTimeout(() => {
        fail(`after ${DEADLINE / 1000} s still no`);
      }, DEADLINE);
      this.#checks.add(check);
      check();
    });
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.process.kill(signal);
  }

  /** Ends the process and waits for its exit code (-1 after a signal). */
  async stop(): Promise<number> {
    this.kill();
    const hard = setTimeout(() => {
      this.kill('SIGKILL');
    }, 60_000);
    const code = await this.exited;
    clearTimeout(hard);
    return code;
  }

  #read(stream: Readable, into: string[]): void {
    stream.on('data', (chunk: Buffer) => {
      this.#tail = (this.#tail + chunk.toString()).slice(-200);
      this.#check();
    });
    createInterface({ input: stream }).on('line', (line) => {
      into.push(line);
      this.lines.push(line);
      this.#check();
    });
  }

  #check(): void {
    for (const check of [...this.#checks]) check();
  }
}
