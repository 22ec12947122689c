import type { Clock } from '../../clock.ts';
import type { Spawn } from './launch.ts';

/** What module hosts need of their surroundings. */
export interface ModuleHostOptions {
  /** Node's own binary. */
  readonly execPath: string;
  /** What C_Initialize gets as a string, for modules that want one (NSS: `configdir='sql:…'`). */
  readonly initArgs?: string | undefined;
  /** The module's environment; NODE_OPTIONS and NODE_EXTRA_CA_CERTS are left out of it. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Milliseconds that one call into the module may take before its host is killed: looked at anew at each call. */
  readonly deadline: number;
  /** How many processes may load one module at a time. Default: as many as this process has CPUs, at most 4. */
  readonly most?: number | undefined;
  /** Tell what the module prints, which may be the PIN in pieces, in hex, by accident or for debugging. */
  readonly showOutput?: boolean | undefined;
  /** Told when a host starts and ends, and that the module prints something. */
  readonly onEvent?: (event: ModuleHostEvent) => void;
  /** Starts the process; Node's own by default. */
  readonly spawn?: Spawn | undefined;
  readonly clock?: Clock | undefined;
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
  /** It answered a call to sign: how long that waited for its turn, and how long the module took. */
  | {
      readonly type: 'signed';
      readonly modulePath: string;
      readonly waitedMs: number;
      readonly durationMs: number;
      /** Calls that waited behind it. */
      readonly queued: number;
    }
  /** The first bytes that the module prints; with `showOutput` each line, in `text`. */
  | { readonly type: 'output'; readonly modulePath: string; readonly text?: string };
