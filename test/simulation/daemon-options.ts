import type { Process } from './kernel.ts';
import type { SimulatedKey } from './keys.ts';
import type { Random } from './random.ts';
import type { SignRequest } from './request.ts';
import type { Daemon } from './daemon.ts';

export interface DaemonOptions {
  readonly name: string;
  readonly place: { readonly path?: string | undefined; readonly port?: number | undefined };
  /** It connects to the agent. */
  readonly isClient: boolean;
  readonly isHeld: boolean;
  readonly password: string | undefined;
  readonly random: Random;
  /** By which keys it may get signatures, all of one type. */
  readonly keys: () => readonly SimulatedKey[];
  /** Milliseconds within which each request has to be answered, now. */
  readonly patience: () => number;
  /** When the agent was last ready to serve, if it is. */
  readonly readySince: () => number;
  /** `writtenAt`: when the agent sent it. */
  readonly onSignature: (asked: Asked, signature: Buffer, writtenAt: number) => void;
  /** Told of a request without a signature. */
  readonly onEmpty: (daemon: Daemon, asked: Asked) => void;
}

/** A request on its way. */
export interface Asked {
  readonly request: SignRequest;
  /** As it was asked, without its end. */
  readonly line: string;
  readonly at: number;
  readonly process: Process;
}
