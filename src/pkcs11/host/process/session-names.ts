import type { HostFailure } from '../protocol.ts';
import { HostError } from './host-error.ts';

/** As a module says it: nothing was done, and opening it anew helps. */
const SESSION_IS_OVER: HostFailure = {
  kind: 'ckr',
  ckr: 'CKR_SESSION_HANDLE_INVALID',
  code: 0xb3,
  function: 'the module host',
};

/**
 * Names for sessions, each used once: modules give handles anew. SoftHSM begins at 1 again when it is initialized, OpenSC takes
 * addresses that the session of a pulled card has freed. Whoever still has the old handle, and waits for its PIN to log in by
 * it, would send it to another token.
 */
export class SessionNames {
  /** Handles in hex, by name. */
  readonly #handles = new Map<string, string>();
  #named = 0;

  /** @returns the name of a session that was just opened: none of before has its handle any more */
  add(handle: Buffer): string {
    const hex = handle.toString('hex');
    for (const [name, other] of this.#handles) if (other === hex) this.#handles.delete(name);
    const name = `session ${++this.#named}`;
    this.#handles.set(name, hex);
    return name;
  }

  /** @throws HostError for a session that is over */
  handleOf(name: string): Buffer {
    const hex = this.#handles.get(name);
    if (hex === undefined) throw new HostError(SESSION_IS_OVER);
    return Buffer.from(hex, 'hex');
  }

  remove(name: string): void {
    this.#handles.delete(name);
  }

  clear(): void {
    this.#handles.clear();
  }
}
