import { spawn, type ChildProcess } from 'node:child_process';
import { Duplex, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { AgentError, errorText } from '../../errors.ts';
import { MEANINGLESS_SIGNALS } from '../../signals.ts';
import { Secret } from '../../secret.ts';
import { CallNotSent } from './call-not-sent.ts';
import { hostFailure } from './failures.ts';
import { encodeFrame, FrameDecoder } from './frames.ts';
import type { HostCall, HostCalls, HostReply, HostRequest } from './protocol.ts';

/** What module hosts need of their surroundings. */
export interface ModuleHostOptions {
  /** Node's own binary. */
  readonly execPath: string;
  /** What C_Initialize gets as a string, for modules that want one (NSS: `configdir='sql:…'`). */
  readonly initArgs?: string | undefined;
  /** The module's environment; NODE_OPTIONS are left out of it. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Milliseconds that one call into the module may take before its host is killed. */
  readonly deadline: number;
  /** Tell what the module prints, which may be the PIN in pieces, in hex, by accident or for debugging. */
  readonly showOutput?: boolean | undefined;
  /** Told when a host starts and ends, and that the module prints something. */
  readonly onEvent?: (event: ModuleHostEvent) => void;
}

export type ModuleHostEvent =
  | { readonly type: 'started'; readonly modulePath: string; readonly pid: number }
  | {
      readonly type: 'ended';
      readonly modulePath: string;
      readonly pid: number;
      readonly reason: string;
      /** It was told to. */
      readonly expected: boolean;
    }
  /** The first bytes that the module prints; with `showOutput` each line, in `text`. */
  | { readonly type: 'output'; readonly modulePath: string; readonly text?: string };

/** What a signature may want beside its data. */
interface SignOptions {
  readonly login?: { readonly pin: Secret; readonly patience: number; readonly onLogin: () => void } | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface PendingCall {
  readonly id: number;
  readonly call: HostCall | 'start';
  /** Milliseconds, from when the module begins with it. */
  readonly deadline: number;
  /** What is written when its turn comes; nothing for the start. */
  readonly frame?: Buffer;
  /** Told when the token accepted the PIN in the middle of the call. */
  readonly onLogin?: (() => void) | undefined;
  readonly resolve: (reply: { result: unknown; payload: Buffer }) => void;
  readonly reject: (error: Error) => void;
}

const HOST_PROGRAM: string = fileURLToPath(new URL('./process/main.js', import.meta.url));
/**
 * Starts it through a shell, which ignores what Node can't in its first milliseconds, and real-time signals for good. A
 * debugger that is to listen on an address that no machine has does not open, whatever signal comes when.
 */
const LAUNCHER = `command trap '' HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF ${Array.from({ length: 31 }, (_, index) => 34 + index).join(' ')} 2>/dev/null
exec "$0" --inspect-port=0.0.0.1:65535 "$@"`;
/**
 * Milliseconds that the process gets until it can take calls. Not the deadline of a call: that says how long a token may
 * take, this one how busy a machine may be.
 */
const START_DEADLINE = 60_000;
/** Milliseconds that a module gets for C_Finalize before its process ends. */
const FINALIZE_DEADLINE = 500;
/** A line of a module's output longer than this is cut. */
const MAX_OUTPUT = 1000;

/**
 * The agent's end of one module host process. Calls are answered in order. Once it died, or was killed because a call
 * passed its deadline, every call fails: make a new one.
 */
export class ModuleHost {
  readonly modulePath: string;
  readonly #child: ChildProcess | undefined;
  #requests: Duplex | undefined;
  readonly #options: ModuleHostOptions;
  readonly #decoder = new FrameDecoder();
  /** Calls that were not answered: the one under way, and those that wait behind it. The host answers its own start as call 0. */
  readonly #pending: PendingCall[] = [
    { id: 0, call: 'start', deadline: START_DEADLINE, resolve: () => undefined, reject: () => undefined },
  ];
  /** PINs that this host knows: cut out of whatever the module prints. */
  readonly #secrets: Secret[] = [];
  #nextId = 1;
  #timer: NodeJS.Timeout | undefined;
  #death: AgentError | undefined;
  #stopping = false;
  #endedBy: NodeJS.Signals | null = null;
  #epoch = 0;

  /** Starts the process; {@link ModuleHost.load} makes it ready. */
  constructor(modulePath: string, options: ModuleHostOptions) {
    this.modulePath = modulePath;
    this.#options = options;
    this.#child = this.#start();
    if (!this.#child) return;
    const [requests, output, errors, replies] = this.#child.stdio;
    if (!(requests instanceof Duplex) || !(replies instanceof Duplex)) {
      this.#end('could not be started: no pipes to it');
      return;
    }
    this.#requests = requests;
    // a write to a host that has just died: its end is noticed anyway
    requests.on('error', () => undefined);
    replies.on('error', () => undefined);
    replies.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    for (const stream of [output, errors]) if (stream) this.#forwardOutput(stream);
    this.#child.on('exit', (code, signal) => {
      this.#endedBy = signal;
      this.#end(signal === null ? `exited with status ${code ?? 0}` : `was killed by ${signal}`);
    });
    const { pid } = this.#child;
    if (pid !== undefined) options.onEvent?.({ type: 'started', modulePath, pid });
    this.#watch();
    // the agent's own work keeps it alive, not its helpers
    this.#child.unref();
    for (const stream of [requests, output, errors, replies]) (stream as unknown as { unref(): void }).unref();
  }

  /** Without descriptors, memory or processes to spare there is no child: then this host is dead, or will be told so. */
  #start(): ChildProcess | undefined {
    // NODE_OPTIONS are not for the process that gets the PIN: they may open a debugger, or load somebody's code
    const { NODE_OPTIONS: _, ...environment } = this.#options.environment;
    try {
      const child = spawn('/bin/sh', ['-c', LAUNCHER, this.#options.execPath, HOST_PROGRAM], {
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
        env: environment,
      });
      child.on('error', (error) => {
        this.#end(`could not be started: ${errorText(error)}`);
      });
      // a spawn that found no descriptors (EMFILE) has none, whatever its type says; its 'error' is on the way
      return (child as Partial<ChildProcess>).stdio ? child : undefined;
    } catch (error) {
      this.#end(`could not be started: ${errorText(error)}`);
    }
    return undefined;
  }

  /** Was it ended by a signal that a host ignores as soon as it runs? Another one may have more luck. */
  get wasCaughtStarting(): boolean {
    return this.#endedBy !== null && [...MEANINGLESS_SIGNALS, 'SIGINT', 'SIGTERM'].includes(this.#endedBy);
  }

  /**
   * Loads the module.
   * @throws AgentError ERR_MODULE_*, ERR_PKCS11JS_MISSING, ERR_TOKEN_FAILED (C_Initialize failed); the process has ended then
   */
  async load(): Promise<void> {
    const { initArgs } = this.#options;
    try {
      await this.call('load', { path: this.modulePath, ...(initArgs !== undefined && { initArgs }) });
    } catch (error) {
      this.kill();
      throw error;
    }
  }

  get isAlive(): boolean {
    return this.#death === undefined && !this.#stopping;
  }

  /** Changes when the module is initialized anew: sessions and handles of before are void then. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Makes one call.
   * @param deadline milliseconds that it may take, if that is less than any call may
   * @throws AgentError ERR_TOKEN_*, ERR_PIN_*, ERR_MODULE_TIMEOUT, ERR_MODULE_DIED
   */
  async call<Call extends HostCall>(
    call: Call,
    params: HostCalls[Call]['params'],
    deadline: number = this.#options.deadline,
  ): Promise<HostCalls[Call]['result']> {
    if (call === 'reinitialize') this.#epoch++;
    const { result } = await this.#send(call, params, { deadline: Math.min(deadline, this.#options.deadline) });
    return result as HostCalls[Call]['result'];
  }

  /**
   * C_Login. The PIN's bytes go over the private channel and nowhere else.
   * @param patience milliseconds that it may take at least: a person types at the token's keypad
   * @returns false if somebody was logged in already, so that the token did not look at the PIN
   */
  async login(session: string, pin: Secret, patience = 0): Promise<boolean> {
    this.#conceal(pin);
    const deadline = Math.max(patience, this.#options.deadline);
    return (await this.#send('login', { session }, { data: pin.bytes, deadline })).result === true;
  }

  /**
   * C_SignInit and C_Sign; resolves to the raw signature.
   * @param login for a key with CKA_ALWAYS_AUTHENTICATE: the PIN, told when it was accepted, and the patience of `login`
   * @param signal gives up a call that still waits for the module: ERR_ABORTED
   */
  async sign(params: HostCalls['sign']['params'], data: Buffer, { login, signal }: SignOptions = {}): Promise<Buffer> {
    if (!login) return (await this.#send('sign', params, { data, signal })).payload;
    const { pin, patience, onLogin } = login;
    this.#conceal(pin);
    const withPin = Buffer.concat([pin.bytes, data]);
    const deadline = Math.max(patience, this.#options.deadline);
    const sent = this.#send('sign', { ...params, pinLength: pin.length }, { data: withPin, deadline, onLogin, signal });
    return (await sent.finally(() => withPin.fill(0))).payload;
  }

  #conceal(secret: Secret): void {
    if (secret.length === 0) return; // a keypad's
    // a copy: the module may print it when the PIN's owner has zeroed it already
    if (!this.#secrets.some(({ bytes }) => bytes.equals(secret.bytes))) this.#secrets.push(new Secret(secret.bytes));
  }

  /**
   * Ends the process in good order, if that is quick: a TPM without a resource manager keeps what nobody closed.
   * @param reason if something is wrong with it
   */
  async stop(reason?: string): Promise<void> {
    if (this.isAlive && this.#pending.length === 0) {
      this.#stopping = true;
      await this.#send('finalize', {}, { deadline: FINALIZE_DEADLINE }).catch(() => undefined);
    }
    this.kill(reason);
  }

  /** Ends the process at once; calls under way fail. @param reason if something is wrong with it */
  kill(reason?: string): void {
    this.#end(reason ?? 'was stopped', { expected: reason === undefined });
    this.#child?.kill('SIGKILL');
  }

  #send<Call extends HostCall>(
    call: Call,
    params: HostCalls[Call]['params'],
    {
      data,
      deadline = this.#options.deadline,
      signal,
      onLogin,
    }: {
      data?: Uint8Array;
      deadline?: number;
      signal?: AbortSignal | undefined;
      onLogin?: () => void;
    } = {},
  ): Promise<{ result: unknown; payload: Buffer }> {
    if (this.#death) return Promise.reject(new CallNotSent(this.#death.code, this.#death.message));
    if (signal?.aborted === true) return Promise.reject(givenUp(call, signal));
    const id = this.#nextId++;
    let onAbort = (): void => undefined;
    const frame = encodeFrame({ id, call, params } satisfies HostRequest<Call>, data);
    return new Promise<{ result: unknown; payload: Buffer }>((resolve, reject) => {
      const pending: PendingCall = { id, call, deadline, frame, onLogin, resolve, reject };
      onAbort = () => {
        const at = this.#pending.indexOf(pending);
        if (at < 1) return; // the module is at it
        this.#pending.splice(at, 1);
        frame.fill(0);
        reject(givenUp(call, signal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.push(pending);
      if (this.#pending.length === 1) this.#begin();
    }).finally(() => {
      signal?.removeEventListener('abort', onAbort);
    });
  }

  /** Hands the oldest call to the module. The others wait here, where they can be given up. */
  #begin(): void {
    this.#watch();
    const frame = this.#pending[0]?.frame;
    if (frame) this.#requests?.write(frame, () => frame.fill(0)); // it may have been a PIN
  }

  /** The deadline of the oldest call under way, the one that the module is busy with. */
  #watch(): void {
    clearTimeout(this.#timer);
    const [oldest] = this.#pending;
    if (!oldest) return;
    const { call, deadline } = oldest;
    const isLate = (): void => {
      if (this.#pending[0] !== oldest) return;
      const what =
        call === 'start'
          ? `the host of the PKCS#11 module ${this.modulePath} took longer to start than`
          : `'${call}' took the PKCS#11 module ${this.modulePath} longer than`;
      const error = new AgentError('ERR_MODULE_TIMEOUT', `${what} ${deadline} ms`);
      this.#end('passed its deadline and was killed', { error });
      this.#child?.kill('SIGKILL');
    };
    // an agent that was stopped itself, or had no turn, finds timer and reply at once: first what was read
    this.#timer = setTimeout(() => setImmediate(isLate), deadline);
  }

  #receive(chunk: Buffer): void {
    if (this.#death) return;
    try {
      for (const { header, payload } of this.#decoder.push(chunk)) {
        const reply = header as HostReply;
        if ('loggedIn' in reply) {
          this.#pending[0]?.onLogin?.();
          continue;
        }
        const pending = this.#pending.shift();
        if (pending?.id !== reply.id) {
          throw new AgentError('ERR_MODULE_DIED', `reply ${reply.id} from the module host was not expected`);
        }
        if ('failure' in reply) pending.reject(hostFailure(reply.failure, this.modulePath));
        else pending.resolve({ result: reply.result, payload });
        this.#begin();
      }
    } catch {
      this.#end('sent garbage and was killed');
      this.#child?.kill('SIGKILL');
    }
  }

  #end(reason: string, { error, expected = false }: { error?: AgentError; expected?: boolean } = {}): void {
    if (this.#death) return;
    clearTimeout(this.#timer);
    const { modulePath } = this;
    this.#death = new AgentError('ERR_MODULE_DIED', `the host of the PKCS#11 module ${modulePath} ${reason}`);
    // a call that waited for another one's end may well succeed elsewhere; all wait for the start
    const hasStarted = this.#pending[0]?.call !== 'start';
    if (!hasStarted) this.#pending.shift();
    for (const [index, { frame, reject }] of this.#pending.splice(0).entries()) {
      frame?.fill(0); // a PIN that was never sent
      const reasonOf = index === 0 ? (error ?? this.#death) : this.#death;
      reject(index === 0 && hasStarted ? reasonOf : new CallNotSent(reasonOf.code, reasonOf.message));
    }
    const pid = this.#child?.pid;
    if (pid !== undefined) this.#options.onEvent?.({ type: 'ended', modulePath, pid, reason, expected });
  }

  /**
   * Reads what the module prints, so that it never waits for us. It is dropped unless somebody asked for it: a module that
   * debugs (pkcs11-spy) prints the PIN as a hex dump, which no filter knows.
   */
  #forwardOutput(stream: Readable): void {
    const { modulePath } = this;
    const { showOutput = false, onEvent } = this.#options;
    stream.on('error', () => undefined);
    if (!showOutput) {
      stream.once('data', () => onEvent?.({ type: 'output', modulePath }));
      stream.on('data', (chunk: Buffer) => chunk.fill(0));
      return;
    }
    const lines = new LineSplitter(MAX_OUTPUT);
    stream.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        let text = line;
        for (const secret of this.#secrets) text = text.replaceAll(secret.reveal(), '<redacted>');
        onEvent?.({ type: 'output', modulePath, text });
      }
    });
  }
}

function givenUp(call: HostCall, signal: AbortSignal | undefined): AgentError {
  return new CallNotSent('ERR_ABORTED', `'${call}' was given up before its turn`, { cause: signal?.reason });
}

/** Lines of a stream, each cut at a limit: a module may never end one. */
class LineSplitter {
  readonly #limit: number;
  #rest = '';

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): string[] {
    const [first = '', ...more] = chunk.toString('utf8').split('\n');
    const lines = [this.#rest + first, ...more].map((line) => line.slice(0, this.#limit));
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => line.replace(/\r$/, ''));
  }
}
