import { Worker } from 'node:worker_threads';

/** Seconds in which a parser comes back, on however busy a machine. */
const PATIENCE = 120;
/** Bytes of an input that are told. */
const MOST = 2 ** 20;

const WATCH = `
  const { writeSync } = require('node:fs');
  const { workerData: { what, shared, patience } } = require('node:worker_threads');
  const state = new Int32Array(shared, 0, 2);
  let last = 0;
  let seconds = 0;
  setInterval(() => {
    const begun = Atomics.load(state, 0);
    seconds = begun === last ? seconds + 1 : 0;
    last = begun;
    if (seconds < patience) return;
    const bytes = Buffer.from(new Uint8Array(shared, state.byteLength, Atomics.load(state, 1)));
    writeSync(2, what + ' does not come back: of ' + (bytes.toString('base64') || 'nothing') + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }, 1000);
`;

/** Ends this process when a parser never comes back, and says of which input: no timeout of a test ends a loop that lets nothing else run. */
export class Hangs implements Disposable {
  readonly #shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT + MOST);
  readonly #state = new Int32Array(this.#shared, 0, 2);
  readonly #input = new Uint8Array(this.#shared, this.#state.byteLength);
  readonly #worker: Worker;

  constructor(what: string, patience: number = PATIENCE) {
    this.#worker = new Worker(WATCH, { eval: true, workerData: { what, shared: this.#shared, patience } });
  }

  /** The parser begins with an input. */
  begin(bytes: Uint8Array): void {
    const told = bytes.subarray(0, MOST);
    this.#input.set(told);
    Atomics.store(this.#state, 1, told.length);
    Atomics.add(this.#state, 0, 1);
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate();
  }
}
