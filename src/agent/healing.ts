import { AgentError, errorCode } from '../errors.ts';
import type { HealAction } from '../config/settings.ts';
import type { DaemonSignal } from '../management/index.ts';
import type { Emit, TunnelEvent } from './events.ts';

/** What a daemon waits for, and is answered with by a block. */
export type Wanted = 'PK_SIGN' | 'RSA_SIGN' | 'NEED-CERTIFICATE';

/** What is known over a daemon's connections. */
export interface HealingMemory {
  /** It was restarted, and has taken no answer since. */
  wasTried?: boolean;
}

export interface HealingOptions {
  /** Default: `restart`. */
  readonly action: HealAction | undefined;
  readonly memory: HealingMemory;
  readonly emit: Emit<TunnelEvent>;
  readonly signal: (name: DaemonSignal) => Promise<void>;
}

/** The daemon's words for a block that it does not wait for (man_pk_sig and man_certificate in manage.c). */
function isNotAwaited(error: unknown): boolean {
  if (errorCode(error) !== 'ERR_MANAGEMENT_COMMAND') return false;
  return error instanceof AgentError && error.message.includes('not currently available');
}

/**
 * Frees a daemon that is stuck. If its connection was lost inside a block (`pk-sig`, `rsa-sig`, `certificate`), it tells whoever
 * connects next what it waits for, takes no answer, and stands still (seen from 2.3 to 2.7). SIGUSR1 has it fail the handshake
 * and begin anew; but one that waits for its certificate can't start without, and every signal ends it.
 */
export class Healing {
  readonly #options: HealingOptions;
  /** What it waited for already when we connected: nothing has moved since. */
  #announced: Wanted | undefined;
  #hasMoved = false;

  constructor(options: HealingOptions) {
    this.#options = options;
  }

  /** It asks: what is asked first on a connection may be what it waited for before. */
  asked(wanted: Wanted): void {
    if (this.#announced === undefined && !this.#hasMoved) this.#announced = wanted;
    else this.moved();
  }

  /** It does something else, or somebody else has answered: it is not stuck. */
  moved(): void {
    this.#hasMoved = true;
    this.#announced = undefined;
  }

  /** It took an answer. */
  taken(): void {
    this.moved();
    this.#options.memory.wasTried = false;
  }

  /** It refused an answer. Frees it once, if that is what it takes. */
  refused(wanted: Wanted, error: unknown): void {
    const { action = 'restart', memory, emit, signal } = this.#options;
    if (this.#announced !== wanted || !isNotAwaited(error)) return;
    this.moved();
    const isToRestart = action === 'restart' && wanted !== 'NEED-CERTIFICATE' && memory.wasTried !== true;
    const name = isToRestart ? 'SIGUSR1' : undefined;
    emit({ type: 'daemon-stuck', notification: wanted, signal: name });
    if (name === undefined) return;
    memory.wasTried = true;
    void signal(name);
  }
}
