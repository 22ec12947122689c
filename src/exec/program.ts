import { spawn as nodeSpawn, type ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { SYSTEM_CLOCK, type Clock } from '../clock.ts';
import { AgentError, errorText, NotSent } from '../errors.ts';
import { LineSplitter } from '../lines.ts';
import { Listeners } from '../listeners.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { notSent } from './not-sent.ts';
import { Redactor } from './redactor.ts';
import { protocolError, VERSION, type ProgramRequest, type Reply } from './protocol.ts';

/** Something happened to a program's process. */
export type ProgramEvent = { readonly program: string } & (
  | { readonly type: 'started'; readonly pid: number }
  | {
      readonly type: 'ended';
      readonly pid: number;
      readonly reason: string;
      /** It was told to, or did what it was for. */
      readonly expected: boolean;
    }
  /** A line of its standard error, without secrets. */
  | { readonly type: 'output'; readonly text: string }
);

/** What running programs takes of the process that does it. */
export interface ProgramSurroundings {
  /** NODE_OPTIONS are left out of it. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Kills a process and all of its group. Without it the process alone is killed. */
  readonly killGroup?: ((leader: number) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly spawn?: typeof nodeSpawn | undefined;
}

/** Which program to run, and how it is spoken of. */
export interface ProgramOptions extends ProgramSurroundings {
  /** As it may be logged. */
  readonly name: string;
  readonly path: string;
  readonly words: readonly string[];
  readonly onEvent?: ((event: ProgramEvent) => void) | undefined;
}

/** How one request is made. */
export interface RequestOptions {
  /** Milliseconds. */
  readonly deadline: number;
  /** Told when the program has accepted the secret in the middle of it. */
  readonly onLogin?: (() => void) | undefined;
}

interface Pending {
  readonly id: number;
  readonly onLogin: (() => void) | undefined;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

/** A chain of certificates has some tens of KB. In bytes. */
const MAX_REPLY = 1024 * 1024;
const TOO_LONG = `says more than ${MAX_REPLY} bytes in a line`;
/** Milliseconds that a program has to end by itself once its standard input has ended. */
const END_GRACE = 2_000;
/** Milliseconds that whoever else has its standard output is waited for, once it has ended. */
const OUTPUT_GRACE = 500;

/** No core dump may hold a PIN, whoever started the agent. */
const LAUNCHER = 'ulimit -c 0 2>/dev/null; { echo 0 >/proc/self/coredump_filter; } 2>/dev/null; exec "$0" "$@"';

/** One process of a program, in a process group of its own, which ends with it. */
export class Program {
  readonly #options: ProgramOptions;
  readonly #clock: Clock;
  readonly #child: ChildProcess | undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #redactor = new Redactor();
  /** Called when a request has its reply. */
  readonly #replies = new Listeners();
  #chunks: Buffer[] = [];
  #length = 0;
  #nextId = 1;
  #death: AgentError | undefined;
  #isEnding = false;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    let child: ChildProcess | undefined;
    try {
      child = this.#start();
    } catch (error) {
      this.#failToStart(error);
    }
    this.#child = child;
    this.ended = new Promise((resolve) => {
      if (this.#death) resolve();
      else this.#onDeath = resolve;
    });
  }

  #onDeath: () => void = () => undefined;

  /** Whether a request has a chance. */
  get isAlive(): boolean {
    return this.#death === undefined && !this.#isEnding;
  }

  /** Takes the secrets that it was told out of what it says: until its end, whoever forgets them. */
  get redact(): (text: string) => string {
    return this.#redactor.redact;
  }

  #start(): ChildProcess | undefined {
    const { path, words, environment, killGroup, spawn = nodeSpawn, name: program, onEvent } = this.#options;
    const { NODE_OPTIONS: _, ...env } = environment;
    const child = spawn('/bin/sh', ['-c', LAUNCHER, path, ...words], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
      detached: killGroup !== undefined,
    });
    child.on('error', (error) => {
      this.#failToStart(error);
    });
    // a spawn that found no descriptors (EMFILE) has no pipes, whatever its type says; its 'error' is on the way
    const { stdin, stdout, stderr } = child as Partial<
      Record<'stdin', Writable> & Record<'stdout' | 'stderr', Readable>
    >;
    if (!stdin || !stdout || !stderr) return undefined;
    // a write to one that has just ended: its end is noticed anyway
    stdin.on('error', () => undefined);
    stdout.on('error', () => undefined);
    stdout.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    this.#tellLines(stderr);
    let how = 'ended';
    child.once('exit', (code, signal) => {
      how = signal === null ? `ended with status ${code ?? 0}` : `was killed by ${signal}`;
      // nothing of its group outlives it
      if (child.pid !== undefined) killGroup?.(child.pid);
      this.#clock.after(OUTPUT_GRACE, () => {
        stdout.destroy();
        stderr.destroy();
      });
    });
    // what it said last has been read
    child.once('close', () => {
      const rest = this.#takeLast();
      this.#die(how + rest);
    });
    if (child.pid !== undefined) onEvent?.({ type: 'started', program, pid: child.pid });
    // the agent's own work keeps it alive, not its helpers
    child.unref();
    for (const stream of [stdin, stdout, stderr]) (stream as { unref?: () => void }).unref?.();
    return child;
  }

  #tellLines(stderr: Readable): void {
    const { name: program, onEvent } = this.#options;
    const lines = new LineSplitter(this.redact);
    const tell = (text: string): void => {
      if (text !== '') onEvent?.({ type: 'output', program, text });
    };
    stderr.on('error', () => undefined);
    stderr.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) tell(line);
    });
    stderr.once('end', () => {
      tell(lines.end());
    });
  }

  /**
   * Makes one request.
   * @throws AgentError ERR_EXEC_DIED, ERR_EXEC_TIMEOUT, ERR_EXEC_PROTOCOL: the process has ended then
   */
  async send(
    request: ProgramRequest & { readonly key: readonly string[] },
    { deadline, onLogin }: RequestOptions,
  ): Promise<Reply> {
    if (this.#death) throw notSent(this.#death) as AgentError;
    const id = this.#nextId++;
    if ('secret' in request) this.#redactor.conceal(request.secret);
    const line = Buffer.from(`${JSON.stringify({ version: VERSION, id, ...request })}\n`);
    const { name } = this.#options;
    const callOff = this.#clock.after(
      deadline,
      // an agent that was stopped itself finds timer and reply at once: first what was read
      () =>
        setImmediate(() => {
          if (!this.#pending.has(id)) return;
          const text = `'${request.do}' took ${name} longer than ${deadline} ms`;
          this.#kill('passed its deadline and was killed', { id, error: new AgentError('ERR_EXEC_TIMEOUT', text) });
        }),
      'keep alive',
    );
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { id, onLogin, resolve, reject });
        // there may be a PIN in it
        this.#child?.stdin?.write(line, () => line.fill(0));
      });
    } finally {
      callOff();
      this.#replies.tell();
    }
  }

  /** Resolves when all requests are answered, of those too who have just been given it, or when it has died. */
  async idle(): Promise<void> {
    await nextTurn();
    while (this.#pending.size > 0) await this.#replies.next();
  }

  /** Ends it: its standard input ends, and if it does not end with that, it is killed. @returns whether it had to be */
  async end(): Promise<boolean> {
    this.#isEnding = true;
    this.#child?.stdin?.end();
    let isKilled = false;
    const callOff = this.#clock.after(
      END_GRACE,
      () => {
        isKilled = true;
        this.#kill('did not end with its standard input and was killed');
      },
      'keep alive',
    );
    await this.ended;
    callOff();
    return isKilled;
  }

  #isDead(): boolean {
    return this.#death !== undefined;
  }

  #receive(chunk: Buffer): void {
    if (this.#isDead()) return;
    let rest = chunk;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = Buffer.concat([...this.#chunks, rest.subarray(0, end)]);
      this.#chunks = [];
      this.#length = 0;
      rest = rest.subarray(end + 1);
      if (line.length > MAX_REPLY) {
        this.#refuse(TOO_LONG);
        return;
      }
      this.#take(line.toString('utf8'));
      if (this.#isDead()) return;
    }
    this.#length += rest.length;
    // what comes while nothing is asked is kept by nobody
    if (this.#length > 0 && this.#pending.size > 0) this.#chunks.push(rest);
    if (this.#length > MAX_REPLY) this.#refuse(TOO_LONG);
  }

  #take(line: string): void {
    if (line.trim() === '') return;
    // one that has answered all that it was asked, and goes on
    if (this.#pending.size === 0) {
      if (!this.#isEnding) this.#refuse('says something that it was not asked');
      return;
    }
    const reply = replyIn(line);
    // not repeated: whatever it is, it may be a secret
    if (reply === undefined) this.#refuse('says a line that is no JSON object');
    else this.#answer(reply);
  }

  /** Who prints and ends may forget the end of the line: a whole object is a reply. @returns what is to be said of half of one */
  #takeLast(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    this.#chunks = [];
    if (text.trim() === '' || this.#isDead()) return '';
    const reply = replyIn(text);
    if (reply === undefined) return ' in the middle of a line';
    this.#answer(reply);
    return '';
  }

  #answer(reply: Reply): void {
    const [only] = this.#pending.values();
    const { id } = reply;
    const pending = id === undefined && this.#pending.size === 1 ? only : this.#pending.get(id as number);
    if (!pending) {
      this.#refuse('answers a request that was not made');
      return;
    }
    if (pending.onLogin && isAhead(reply)) {
      pending.onLogin();
      return;
    }
    this.#pending.delete(pending.id);
    pending.resolve(reply);
  }

  #refuse(what: string): void {
    const error = protocolError(this.#options.name, what);
    this.#kill(`${what} and was killed`, { error });
  }

  /** Nothing that it was to be told was read by anybody. */
  #failToStart(why: unknown): void {
    const reason = `could not be started: ${errorText(why)}`;
    this.#die(reason, { error: new NotSent('ERR_EXEC_DIED', `${this.#options.name} ${reason}`) });
  }

  /** Ends it at once. @param blame the error of one request, or of all */
  #kill(reason: string, blame: { readonly id?: number; readonly error?: AgentError } = {}): void {
    const { killGroup } = this.#options;
    const child = this.#child;
    this.#die(reason, blame);
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      if (killGroup) killGroup(child.pid);
      child.kill('SIGKILL');
    }
    for (const stream of [child?.stdout, child?.stderr]) stream?.destroy();
  }

  #die(reason: string, { id, error }: { readonly id?: number; readonly error?: AgentError } = {}): void {
    if (this.#death) return;
    const { name, onEvent } = this.#options;
    const died = new AgentError('ERR_EXEC_DIED', `${name} ${reason}`);
    this.#death = died;
    for (const pending of this.#pending.values()) {
      pending.reject(error && (id === undefined || id === pending.id) ? error : died);
    }
    this.#pending.clear();
    this.#onDeath();
    const pid = this.#child?.pid;
    // whoever had it end gave up what was under way
    const expected = this.#isEnding && error === undefined;
    if (pid !== undefined) onEvent?.({ type: 'ended', program: name, pid, reason, expected });
  }
}

/** @returns undefined if a line is no JSON object */
function replyIn(line: string): Reply | undefined {
  try {
    const reply: unknown = JSON.parse(line);
    return typeof reply === 'object' && reply !== null && !Array.isArray(reply) ? (reply as Reply) : undefined;
  } catch {
    return undefined;
  }
}

/** Said ahead of the reply: the secret was accepted. */
function isAhead(reply: Reply): boolean {
  return reply['login'] === 'accepted' && reply['signature'] === undefined && reply['error'] === undefined;
}
