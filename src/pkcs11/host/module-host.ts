import { SYSTEM_CLOCK } from '../../clock.ts';
import { AgentError, NotSent } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { Listeners } from '../../listeners.ts';
import { MEANINGLESS_SIGNALS } from '../../signals.ts';
import { hostFailure } from './failures.ts';
import { encodeFrame, FrameDecoder } from './frames.ts';
import { launch, type HostProcess } from './launch.ts';
import type { Module, SignOptions } from './module.ts';
import type { ModuleHostOptions } from './options.ts';
import { ModuleOutput } from './output.ts';
import type { HostCall, HostCalls, HostReply, HostRequest } from './protocol.ts';

interface PendingCall {
  readonly id: number;
  readonly call: HostCall | 'start';
  /** Milliseconds, from when the module begins with it. */
  readonly deadline: number;
  /** What is written when its turn comes; nothing for the start. */
  readonly frame?: Buffer;
  /** A PIN is in it, of which the token has not said anything yet. */
  hasPin: boolean;
  /** Told when the token accepted the PIN in the middle of the call. */
  readonly onLogin?: (() => void) | undefined;
  /** Told when the module begins with it. */
  readonly onBegin?: (() => void) | undefined;
  /** When it came, and when the module began with it. */
  readonly since: number;
  begun: number;
  readonly resolve: (reply: { result: unknown; payload: Buffer }) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Milliseconds that the process gets until it can take calls. Not the deadline of a call: that says how long a token may
 * take, this one how busy a machine may be.
 */
const START_DEADLINE = 60_000;
/** Milliseconds that calls get at least which take a slow token longer than any other: a card looks for large primes for minutes. */
const SLOW_CALLS: Readonly<Partial<Record<HostCall, number>>> = { generateKeyPair: 600_000 };
/** Milliseconds that a module gets for C_Finalize before its process ends. */
const FINALIZE_DEADLINE = 500;

/**
 * The agent's end of one module host process. Calls are answered in order. Once it died, or was killed because a call
 * passed its deadline, every call fails: make a new one.
 */
export class ModuleHost implements Module {
  readonly modulePath: string;
  readonly #process: HostProcess | undefined;
  readonly #options: ModuleHostOptions;
  readonly #output: ModuleOutput;
  readonly #decoder = new FrameDecoder();
  /** Calls that were not answered: the one under way, and those that wait behind it. The host answers its own start as call 0. */
  readonly #pending: PendingCall[] = [
    {
      id: 0,
      call: 'start',
      deadline: START_DEADLINE,
      hasPin: false,
      since: 0,
      begun: 0,
      resolve: () => undefined,
      reject: () => undefined,
    },
  ];
  /** Called when the module has said something of a call, or has ended. */
  readonly #answers = new Listeners();
  #nextId = 1;
  #stopTimer: () => void = () => undefined;
  #death: AgentError | undefined;
  #stopping = false;
  #endedBy: NodeJS.Signals | null = null;
  #epoch = 0;

  /** Starts the process; {@link ModuleHost.load} makes it ready. */
  constructor(modulePath: string, options: ModuleHostOptions) {
    this.modulePath = modulePath;
    this.#options = options;
    this.#output = new ModuleOutput(modulePath, options);
    this.#process = launch(options, (reason) => {
      this.#end(reason);
    });
    if (!this.#process) return;
    const { child, requests, replies, prints } = this.#process;
    // a write to a host that has just died: its end is noticed anyway
    requests.on('error', () => undefined);
    replies.on('error', () => undefined);
    replies.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    for (const stream of prints) this.#output.read(stream);
    child.on('exit', (code, signal) => {
      this.#endedBy = signal;
      this.#end(signal === null ? `exited with status ${code ?? 0}` : `was killed by ${signal}`);
    });
    if (child.pid !== undefined) options.onEvent?.({ type: 'started', modulePath, pid: child.pid });
    this.#watch();
    // the agent's own work keeps it alive, not its helpers
    child.unref();
    for (const stream of [requests, replies, ...prints]) (stream as { unref?: () => void }).unref?.();
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
      this.#kill('was stopped', { expected: true });
      throw error;
    }
  }

  get isAlive(): boolean {
    return this.#death === undefined && !this.#stopping;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get epoch(): number {
    return this.#epoch;
  }

  async call<Call extends HostCall>(
    call: Call,
    params: HostCalls[Call]['params'],
    deadline?: number,
  ): Promise<HostCalls[Call]['result']> {
    if (call === 'reinitialize') this.#epoch++;
    const most = Math.max(this.#options.deadline, SLOW_CALLS[call] ?? 0);
    const { result } = await this.#send(call, params, { deadline: Math.min(deadline ?? most, most) });
    return result as HostCalls[Call]['result'];
  }

  async login(session: string, pin: Secret, patience = 0, onBegin?: () => void): Promise<boolean> {
    this.#output.conceal(pin);
    const deadline = Math.max(patience, this.#options.deadline);
    return (await this.#send('login', { session }, { data: pin.bytes, deadline, onBegin })).result === true;
  }

  async sign(params: HostCalls['sign']['params'], data: Buffer, { login, signal }: SignOptions = {}): Promise<Buffer> {
    if (!login) return (await this.#send('sign', params, { data, signal })).payload;
    const { pin, patience, onLogin, onBegin } = login;
    this.#output.conceal(pin);
    const withPin = Buffer.concat([pin.bytes, data]);
    const deadline = Math.max(patience, this.#options.deadline);
    const options = { data: withPin, deadline, onLogin, onBegin, signal };
    const sent = this.#send('sign', { ...params, pinLength: pin.length }, options);
    return (await sent.finally(() => withPin.fill(0))).payload;
  }

  /** @param manner `at once`: though a login is under way, which may be another token's, and counts as a try if it is cut short */
  async stop(reason?: string, manner?: 'at once'): Promise<void> {
    if (this.isAlive && this.#pending.length === 0) {
      this.#stopping = true;
      await this.#send('finalize', {}, { deadline: FINALIZE_DEADLINE }).catch(() => undefined);
    } else if (manner === undefined) {
      this.#stopping = true;
      while (this.#pending[0]?.hasPin === true) await this.#answers.next();
    }
    this.#kill(reason ?? 'was stopped', { expected: reason === undefined });
  }

  /** Ends the process at once: nothing less ends one that is stuck in a driver. Calls under way fail. */
  #kill(reason: string, end: { error?: AgentError; expected?: boolean } = {}): void {
    this.#end(reason, end);
    this.#process?.child.kill('SIGKILL');
  }

  #send<Call extends HostCall>(
    call: Call,
    params: HostCalls[Call]['params'],
    {
      data,
      deadline = this.#options.deadline,
      signal,
      onLogin,
      onBegin,
    }: {
      data?: Uint8Array;
      deadline?: number;
      signal?: AbortSignal | undefined;
      onLogin?: () => void;
      onBegin?: (() => void) | undefined;
    } = {},
  ): Promise<{ result: unknown; payload: Buffer }> {
    if (this.#death) return Promise.reject(new NotSent(this.#death.code, this.#death.message));
    // it would be cut off in the middle: of a PIN nobody would know whether the token has seen it
    if (this.#stopping && call !== 'finalize') {
      const text = `the host of the PKCS#11 module ${this.modulePath} is being stopped`;
      return Promise.reject(new NotSent('ERR_MODULE_DIED', text));
    }
    if (signal?.aborted === true) return Promise.reject(givenUp(call, signal));
    const id = this.#nextId++;
    const frame = encodeFrame({ id, call, params } satisfies HostRequest<Call>, data);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        const at = this.#pending.indexOf(pending);
        if (at < 1) return; // the module is at it
        this.#pending.splice(at, 1);
        frame.fill(0);
        reject(givenUp(call, signal));
      };
      const pending: PendingCall = {
        ...{ id, call, deadline, frame, onLogin, onBegin, since: this.#now(), begun: 0 },
        hasPin: call === 'login' || 'pinLength' in params,
        resolve: (reply) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(reply);
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.push(pending);
      if (this.#pending.length === 1) this.#begin();
    });
  }

  /** Hands the oldest call to the module. The others wait here, where they can be given up. */
  #begin(): void {
    this.#watch();
    const [oldest] = this.#pending;
    if (!oldest) return;
    oldest.begun = this.#now();
    oldest.onBegin?.();
    const { frame } = oldest;
    if (frame) this.#process?.requests.write(frame, () => frame.fill(0)); // it may have been a PIN
  }

  /** The deadline of the oldest call under way, the one that the module is busy with. */
  #watch(): void {
    this.#stopTimer();
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
      this.#kill('passed its deadline and was killed', { error });
    };
    // an agent that was stopped itself, or had no turn, finds timer and reply at once: first what was read
    const { clock = SYSTEM_CLOCK } = this.#options;
    this.#stopTimer = clock.after(deadline, () => setImmediate(isLate), 'keep alive');
  }

  #receive(chunk: Buffer): void {
    if (this.#death) return;
    try {
      for (const { header, payload } of this.#decoder.push(chunk)) {
        const reply = header as HostReply;
        if ('loggedIn' in reply) {
          const [signing] = this.#pending;
          signing?.onLogin?.();
          if (signing) signing.hasPin = false;
          this.#answers.tell();
          continue;
        }
        const [pending] = this.#pending;
        if (pending?.id !== reply.id) {
          throw new AgentError('ERR_MODULE_DIED', `reply ${reply.id} from the module host was not expected`);
        }
        this.#pending.shift();
        if (pending.call === 'sign') this.#tellTime(pending);
        if ('failure' in reply) pending.reject(hostFailure(reply.failure, this.modulePath));
        else pending.resolve({ result: reply.result, payload });
        this.#begin();
        this.#answers.tell();
      }
    } catch {
      this.#kill('sent garbage and was killed');
    }
  }

  #now(): number {
    return (this.#options.clock ?? SYSTEM_CLOCK).now();
  }

  #tellTime({ since, begun }: PendingCall): void {
    const { modulePath } = this;
    const [waitedMs, durationMs] = [begun - since, this.#now() - begun];
    this.#options.onEvent?.({ type: 'signed', modulePath, waitedMs, durationMs, queued: this.#pending.length });
  }

  #end(reason: string, { error, expected = false }: { error?: AgentError; expected?: boolean } = {}): void {
    if (this.#death) return;
    this.#stopTimer();
    const { modulePath } = this;
    this.#death = new AgentError('ERR_MODULE_DIED', `the host of the PKCS#11 module ${modulePath} ${reason}`);
    // a call that waited for another one's end may well succeed elsewhere; all wait for the start
    const hasStarted = this.#pending[0]?.call !== 'start';
    if (!hasStarted) this.#pending.shift();
    for (const [index, { frame, reject }] of this.#pending.splice(0).entries()) {
      frame?.fill(0); // a PIN that was never sent
      const reasonOf = index === 0 ? (error ?? this.#death) : this.#death;
      reject(index === 0 && hasStarted ? reasonOf : new NotSent(reasonOf.code, reasonOf.message));
    }
    this.#answers.tell();
    const pid = this.#process?.child.pid;
    if (pid !== undefined) this.#options.onEvent?.({ type: 'ended', modulePath, pid, reason, expected });
  }
}

function givenUp(call: HostCall, signal: AbortSignal | undefined): AgentError {
  return new NotSent('ERR_ABORTED', `'${call}' was given up before its turn`, { cause: signal?.reason });
}
