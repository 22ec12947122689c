// A module host's process: the real code that calls modules, on a simulated module, with time and mishaps around it.
import { encodeFrame, FrameDecoder } from '../../src/pkcs11/host/frames.ts';
import { type HostAnswer, Cryptoki } from '../../src/pkcs11/host/process/cryptoki.ts';
import type { HostCall, HostCalls, HostRequest } from '../../src/pkcs11/host/protocol.ts';
import { kernel } from './kernel.ts';
import type { SimulatedChild } from './node/child-process.ts';
import { last, type LoginAttempt, type Token } from './token.ts';

/** What becomes of a call. */
export type HostEffect = 'die before' | 'die after' | 'hang before' | 'hang after' | 'late' | 'garbage' | 'no start';

export interface HostMishap {
  readonly effect: HostEffect;
  /** Of which call; undefined for any. */
  readonly call?: HostCall | undefined;
  /** Milliseconds more than usual, for one that is late. */
  readonly milliseconds?: number;
}

/** What is to happen to the next calls, in order. */
export const mishaps: HostMishap[] = [];

/** All that run. */
export const hosts: Set<SimulatedHost> = new Set<SimulatedHost>();

interface Job {
  readonly request: HostRequest;
  readonly payload: Buffer;
}

function isLogin(request: HostRequest): request is HostRequest<'login' | 'sign'> {
  const { call, params } = request;
  return call === 'login' || (call === 'sign' && (params as HostCalls['sign']['params']).pinLength !== undefined);
}

export class SimulatedHost {
  readonly #child: SimulatedChild;
  readonly #reply: (bytes: Buffer) => void;
  readonly #cryptoki = new Cryptoki();
  readonly #decoder = new FrameDecoder();
  readonly #jobs: Job[] = [];
  /** Where each session is. */
  readonly #tokens = new Map<string, Token>();
  #isReady = false;
  #isBusy = false;
  #isDead = false;
  #isOrphan = false;

  constructor(child: SimulatedChild, reply: (bytes: Buffer) => void) {
    this.#child = child;
    this.#reply = reply;
    hosts.add(this);
    if (this.#mishapOf('load')?.effect === 'no start') {
      kernel().after(3, () => {
        this.exit(1);
      });
      return;
    }
    kernel().after(5 + kernel().random.next() * 20, () => {
      if (this.#isDead) return;
      this.#isReady = true;
      this.#write(encodeFrame({ id: 0, result: null }));
      this.#next();
    });
  }

  #mishapOf(call: HostCall): HostMishap | undefined {
    const index = mishaps.findIndex((each) => each.call === undefined || each.call === call);
    if (index < 0) return undefined;
    const isStart = mishaps[index]?.effect === 'no start';
    if (isStart !== !this.#isReady) return undefined;
    const [mishap] = mishaps.splice(index, 1);
    if (mishap) kernel().say('host', `${call}: ${mishap.effect}`);
    if (mishap) kernel().count(`host ${mishap.effect}`);
    return mishap;
  }

  take(bytes: Buffer): void {
    if (this.#isDead) return;
    for (const { header, payload } of this.#decoder.push(bytes)) {
      const request = header as HostRequest;
      if (isLogin(request)) this.#tokens.get(request.params.session)?.loginAsked();
      this.#jobs.push({ request, payload });
    }
    this.#next();
  }

  #write(bytes: Buffer): void {
    if (!this.#isDead) this.#reply(bytes);
  }

  /** Ends by itself. */
  exit(code: number): void {
    this.die();
    this.#child.end(code);
  }

  die(): void {
    this.#isDead = true;
    hosts.delete(this);
  }

  /** The agent has gone: it ends with what it is about. */
  orphan(): void {
    this.#isOrphan = true;
    if (!this.#isBusy) this.die();
  }

  #next(): void {
    if (this.#isBusy || !this.#isReady || this.#isDead) return;
    if (this.#isOrphan) {
      this.die();
      return;
    }
    const job = this.#jobs.shift();
    if (!job) return;
    this.#isBusy = true;
    const world = kernel();
    const mishap = this.#mishapOf(job.request.call);
    const { effect } = mishap ?? {};
    world.after(0.2 + world.random.next() * 2, () => {
      if (this.#isDead || effect === 'hang before') return;
      if (effect === 'die before') {
        this.exit(139);
        return;
      }
      void this.#carryOut(job, mishap);
    });
  }

  async #carryOut({ request, payload }: Job, mishap: HostMishap | undefined): Promise<void> {
    const { id, call, params } = request;
    const world = kernel();
    const frames: Buffer[] = [];
    const onLogin = (): void => {
      frames.push(encodeFrame({ id, loggedIn: true }));
    };
    last.login = undefined;
    let attempt: LoginAttempt | undefined;
    let answer: HostAnswer;
    if (call === 'load') {
      answer = await this.#cryptoki.load(params as HostCalls['load']['params']);
    } else {
      answer = this.#cryptoki.call(call, params, payload, onLogin);
      attempt = last.login;
      if (call === 'openSession' && 'result' in answer && last.opened)
        this.#tokens.set(answer.result as string, last.opened);
    }
    const signature = 'result' in answer && Buffer.isBuffer(answer.result) ? answer.result : undefined;
    frames.push(signature ? encodeFrame({ id, result: null }, signature) : encodeFrame({ id, ...answer }));
    const { effect, milliseconds = 0 } = mishap ?? {};
    world.after(0.2 + world.random.next() * 3 + (effect === 'late' ? milliseconds : 0), () => {
      if (effect === 'hang after') return;
      if (effect === 'die after') {
        this.exit(139);
        return;
      }
      if (effect === 'garbage') {
        this.#write(Buffer.from('Segmentation fault (core dumped)\n'));
        return;
      }
      if (attempt && !this.#isDead && this.#child.owner.isAlive) {
        attempt.toldTo = this.#child.owner;
        attempt.toldAt = world.now;
      }
      for (const frame of frames) this.#write(frame);
      this.#cryptoki.whileIdle();
      this.#isBusy = false;
      this.#next();
    });
  }
}
