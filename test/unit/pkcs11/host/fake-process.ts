import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { encodeFrame, FrameDecoder } from '../../../../src/pkcs11/host/frames.ts';
import type { Spawn } from '../../../../src/pkcs11/host/launch.ts';
import type { HostReply, HostRequest } from '../../../../src/pkcs11/host/protocol.ts';

/** The process of a module host, whose part the test plays. */
export class FakeProcess extends EventEmitter {
  readonly pid: number;
  readonly output: PassThrough = new PassThrough();
  readonly errors: PassThrough = new PassThrough();
  readonly #replies = new PassThrough();
  readonly #decoder = new FrameDecoder();
  /** What was asked and not taken yet. */
  readonly requests: { readonly request: HostRequest; readonly payload: string }[] = [];
  /** The very bytes that were written: zeroed, once the stream has them. */
  readonly written: Buffer[] = [];
  readonly signals: string[] = [];
  readonly stdio: readonly unknown[];

  constructor(pid: number) {
    super();
    this.pid = pid;
    const requests = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        this.written.push(chunk);
        for (const { header, payload } of this.#decoder.push(Buffer.from(chunk))) {
          this.requests.push({ request: header as HostRequest, payload: payload.toString() });
        }
        done();
      },
    });
    this.stdio = [requests, this.output, this.errors, this.#replies];
  }

  unref(): void {
    // nothing here keeps a process alive
  }

  kill(signal: string): boolean {
    this.signals.push(signal);
    return true;
  }

  exit(code: number | null, signal: string | null = null): void {
    this.emit('exit', code, signal);
  }

  /** Says that it can take calls. */
  start(): void {
    this.reply({ id: 0, result: null });
  }

  reply(reply: HostReply, payload?: Uint8Array): void {
    this.send(encodeFrame(reply, payload));
  }

  send(bytes: Uint8Array): void {
    this.#replies.write(bytes);
  }

  /** Answers the request that is under way. */
  answer(result: unknown, payload?: Uint8Array): void {
    const { request } = this.requests.shift() ?? {};
    if (!request) throw new Error('nothing was asked');
    this.reply({ id: request.id, result }, payload);
  }

  /** The calls that it was asked for and has not answered. */
  get asked(): string[] {
    return this.requests.map(({ request }) => request.call);
  }
}

/** A spawn that starts fake processes. */
export function fakeSpawn(): {
  readonly spawn: Spawn;
  readonly processes: FakeProcess[];
  readonly options: SpawnOptions[];
} {
  const processes: FakeProcess[] = [];
  const options: SpawnOptions[] = [];
  const spawn: Spawn = (_command, _args, given) => {
    const process = new FakeProcess(100 + processes.length);
    processes.push(process);
    options.push(given);
    return process as unknown as ChildProcess;
  };
  return { spawn, processes, options };
}
