// In place of node:child_process: module hosts, flock(1), and commands of /bin/sh that the world knows.
import { EventEmitter } from 'node:events';
import { Duplex, type Readable } from 'node:stream';
import { systemError } from '../disk.ts';
import { kernel, type Process } from '../kernel.ts';
import { SimulatedHost } from '../module-host.ts';
import { lock } from './fs-promises.ts';

interface Options {
  readonly stdio?: readonly unknown[] | string;
  readonly signal?: AbortSignal;
}

/** A pipe to a process, and from it. */
export class Pipe extends Duplex {
  readonly #onWrite: (bytes: Buffer) => void;
  readonly #owner: Process = kernel().process;

  constructor(onWrite: (bytes: Buffer) => void = () => undefined) {
    super({ emitClose: true });
    this.#onWrite = onWrite;
  }

  override _read(): void {
    // what comes is pushed
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const bytes = Buffer.from(chunk);
    kernel().after(0.05, () => {
      this.#onWrite(bytes);
      if (this.#owner.isAlive) done();
    });
  }

  receive(bytes: Buffer): void {
    if (this.#owner.isAlive && !this.destroyed) this.push(Buffer.from(bytes));
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

export class SimulatedChild extends EventEmitter {
  readonly pid: number = kernel().nextPid();
  stdio: (Duplex | Readable | null)[] = [];
  readonly owner: Process = kernel().process;
  exitCode: number | null = null;
  signalCode: string | null = null;
  killed = false;
  onKill: () => void = () => undefined;
  #isOver = false;

  constructor() {
    super();
    this.owner.hold('child', this);
  }

  get stdin(): Duplex | null {
    return this.stdio[0] as Duplex | null;
  }

  get stdout(): Readable | null {
    return this.stdio[1] as Readable | null;
  }

  get stderr(): Readable | null {
    return this.stdio[2] as Readable | null;
  }

  end(code: number | null, signal: string | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.owner.release('child', this);
    if (!this.owner.isAlive) return;
    [this.exitCode, this.signalCode] = [code, signal];
    for (const stream of this.stdio) stream?.push(null);
    this.emit('exit', code, signal);
    this.emit('close', code, signal);
  }

  kill(): boolean {
    this.killed = true;
    kernel().after(0.2, () => {
      this.onKill();
      this.end(null, 'SIGKILL');
    });
    return true;
  }

  ref(): void {
    // nothing keeps a world alive but its events
  }

  unref(): void {
    // as above
  }
}

export function spawn(command: string, args: readonly string[], options: Options = {}): SimulatedChild {
  const child = new SimulatedChild();
  if (command === 'flock') runFlock(child, args, options);
  else if (args[1]?.includes('--inspect-port')) runHost(child);
  else kernel().after(0.1, () => child.emit('error', systemError('ENOENT', 'spawn', command)), child.owner);
  return child;
}

function runFlock(child: SimulatedChild, args: readonly string[], { stdio, signal }: Options): void {
  const fd = stdio?.[3] as number;
  const isPatient = !args.includes('-n');
  const attempt = (): void => {
    if (signal?.aborted === true || !child.owner.isAlive) child.end(null, 'SIGKILL');
    else if (lock(fd)) child.end(0);
    else if (isPatient) kernel().after(20, attempt, child.owner);
    else child.end(1);
  };
  kernel().after(1 + kernel().random.next() * 2, attempt, child.owner);
}

function runHost(child: SimulatedChild): void {
  const replies = new Pipe();
  const host = new SimulatedHost(child, (bytes) => {
    replies.receive(bytes);
  });
  const requests = new Pipe((bytes) => {
    host.take(bytes);
  });
  child.stdio = [requests, new Pipe(), new Pipe(), replies];
  child.onKill = () => {
    host.die();
  };
  // the end of its input is what ends a host
  child.owner.onDeath.push(() => {
    host.orphan();
  });
}

export function execFile(command: string): never {
  throw systemError('ENOENT', 'spawn', command);
}
