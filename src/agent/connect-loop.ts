import type { ManagementClient } from '../management/index.ts';
import { connectComplaint, NO_GREETING, shortLived } from './connect-complaint.ts';
import type { Emit, TunnelEvent } from './events.ts';
import { type Complaint, Trouble } from './trouble.ts';
import type { Clock } from '../clock.ts';
import type { NextTry } from './next-try.ts';
import { isAborted, unlessAborted, within } from '../promises.ts';

/** How to connect to one daemon, and what to do then. */
export interface ConnectLoopOptions {
  /**
   * One try to connect. `onConnected` is called when something accepted the connection, before the greeting; `signal` gives it
   * up, and does nothing to a connection that stands.
   */
  readonly connect: (onConnected: () => void, signal: AbortSignal) => Promise<ManagementClient>;
  /** Serves a connection until it ends, and says why it did. */
  readonly serve: (client: ManagementClient) => Promise<string>;
  readonly signal: AbortSignal;
  readonly emit: Emit<TunnelEvent>;
  readonly clock: Clock;
  /** When to try again. It is disposed of at the end. */
  readonly nextTry: NextTry;
}

/** A connection that lived so long, in milliseconds, was not a failed try. */
const STABLE = 10_000;

/** Connects to a daemon and serves it, again and again, until the signal. Never rejects. */
export async function connectLoop(options: ConnectLoopOptions): Promise<void> {
  const { signal, emit, clock, nextTry } = options;
  const connecting = new Trouble(emit, 'connection', clock);
  let told: string | undefined;
  while (!isAborted(signal)) {
    nextTry.begin();
    const complaint = await serveOnce(options, connecting);
    if (isAborted(signal)) break;
    if (complaint !== undefined) {
      const error = complaint.details?.error;
      if (error !== told && complaint.patience !== undefined) emit({ type: 'daemon-awaited', error });
      told = error;
      connecting.set(complaint);
    }
    await nextTry.wait(complaint);
  }
  nextTry[Symbol.dispose]();
  connecting.stop();
}

/** One connection, from the try to its end. @returns what kept it from being made, or from lasting */
async function serveOnce(options: ConnectLoopOptions, connecting: Trouble): Promise<Complaint | undefined> {
  const { connect, serve, signal, emit, clock, nextTry } = options;
  const greeting = new Trouble(emit, 'greeting', clock);
  // the tunnel's own signal would close a connection that stands before its requests are answered
  const limit = within(0, signal);
  try {
    const onConnected = (): void => {
      connecting.hush();
      greeting.set(NO_GREETING);
    };
    const client = await closedIfLate(connect(onConnected, limit.signal), signal);
    limit[Symbol.dispose]();
    greeting.clear();
    const stopWaiting = clock.after(STABLE, () => {
      connecting.clear();
      nextTry.rest();
    });
    const started = clock.now();
    const reason = await serve(client);
    stopWaiting();
    return clock.now() - started < STABLE ? shortLived(reason) : undefined;
  } catch (error) {
    return connectComplaint(error);
  } finally {
    limit[Symbol.dispose]();
    greeting.stop();
  }
}

/** Gives up waiting at the signal; a connection that comes all the same is closed. */
async function closedIfLate(connecting: Promise<ManagementClient>, signal: AbortSignal): Promise<ManagementClient> {
  void connecting.then(
    (client) => {
      if (signal.aborted) void client.close();
    },
    () => undefined,
  );
  return await unlessAborted(connecting, signal);
}
