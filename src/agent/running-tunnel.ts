import type { TunnelSettings } from '../config/settings.ts';
import type { Relay } from '../management/index.ts';
import type { TunnelAnswers } from './questions/tunnel-answers.ts';
import type { Tunnel } from './tunnel.ts';

/** A tunnel of the agent, with what is its alone. */
export interface RunningTunnel {
  readonly settings: TunnelSettings;
  readonly tunnel: Tunnel;
  readonly relay: Relay | undefined;
  readonly answers: TunnelAnswers | undefined;
  readonly stop: AbortController;
  /** Settles when the last request is answered; undefined until it is served. */
  serving: Promise<void> | undefined;
  ending: Promise<void> | undefined;
  /** Why its key is of no use, if it ended for that. */
  failure: { readonly error: unknown } | undefined;
}

/** Settles when a tunnel has ended, served or not, and its relay with it. */
export async function ended(running: RunningTunnel): Promise<void> {
  running.ending ??= end(running);
  await running.ending;
}

async function end({ serving, relay }: RunningTunnel): Promise<void> {
  await serving;
  await relay?.[Symbol.asyncDispose]();
}
