import type { AgentError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { DaemonOwner } from '../sockets/daemon-owner.ts';

/** How a management client behaves. Everything is optional. */
export interface ManagementOptions {
  /** Answers `ENTER PASSWORD:`, for daemons whose `--management` names a password file. Not changed, not destroyed. */
  readonly password?: Secret | undefined;
  /**
   * The version to announce (`version N`), in the first bytes that are sent. What a daemon sends depends on it: from 2
   * on PK_SIGN instead of RSA_SIGN, from 3 on with the algorithm. None is announced by default.
   */
  readonly clientVersion?: number | undefined;
  /** Closes the connection when aborted; before it stands, connecting fails with ERR_ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the connection stands and the greeting is awaited, which comes at once unless another client has the seat. */
  readonly onConnected?: (() => void) | undefined;
  /** Milliseconds from the start to the daemon's greeting. 0 waits for ever. Default 10,000. */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds for each command that names no timeout of its own. 0 waits for ever. Default 60,000. */
  readonly commandTimeout?: number | undefined;
  /**
   * Whose the daemon's end of the connection must be, wherever the kernel tells: checked before anything is sent. A unix
   * socket that we make is for that user only. Default: any user's.
   */
  readonly owner?: DaemonOwner | undefined;
  /**
   * How many notifications may wait for their reader (or bytes of them: an eighth of `maxHeld`) before the daemon is held
   * back. While it is held back its leaving is not noticed either: a program that wants no notifications must listen all
   * the same, or send commands. Default 1,024.
   */
  readonly highWaterMark?: number | undefined;
  /** How many may wait while replies are awaited too: beyond it the connection fails. Default 1,048,576. */
  readonly maxQueued?: number | undefined;
  /**
   * Bytes of memory that what the daemon sent may take in one place: notifications that wait for their reader, the lines of
   * one reply. Beyond it the connection fails with ERR_MANAGEMENT_LIMIT. Default 256 MiB.
   */
  readonly maxHeld?: number | undefined;
}

/** What the daemon says of itself. */
export interface DaemonVersion {
  /** Its management interface's version, from the greeting: 1 (2.3, 2.4), 3 (2.5), 5 (2.6), 6 (2.7). */
  readonly management: number;
  /** `OpenVPN 2.6.14 x86_64-pc-linux-gnu …`, once a `version` command has told it. */
  readonly title: string | undefined;
  /** `2.6.14`, from the title. */
  readonly release: string | undefined;
}

/** Why a connection ended. */
export interface CloseReason {
  /** `daemon`: it closed or went away; `client`: we closed; `error`: the connection couldn't be used any longer. */
  readonly by: 'daemon' | 'client' | 'error';
  readonly error: AgentError | undefined;
}
