import { managementPassword } from '../config/secrets.ts';
import type { TunnelSettings } from '../config/settings.ts';
import type { Relay } from '../management/index.ts';
import type { Secret } from '../secret.ts';
import { place } from './open-relay.ts';
import type { TunnelAnswers } from './questions/tunnel-answers.ts';
import { secretsSurroundings, type Surroundings } from './surroundings.ts';
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

/** Why all of them have failed: what the first one ended for. Undefined if one has not. */
export function commonFailure(tunnels: readonly RunningTunnel[]): RunningTunnel['failure'] {
  return tunnels.every(({ failure }) => failure) ? tunnels[0]?.failure : undefined;
}

/** How to come by the password of its management interface, if it has one. @param signal gives that up */
export function passwordOf(
  { password, address, openvpnConfig }: TunnelSettings,
  surroundings: Surroundings,
  signal: AbortSignal,
): (() => Promise<Secret>) | undefined {
  if (password === undefined) return undefined;
  const around = secretsSurroundings(surroundings, signal);
  const what = `management password of ${place(address)}`;
  return () => managementPassword(password, what, around, openvpnConfig?.path);
}
