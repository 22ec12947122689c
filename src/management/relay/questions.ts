import type { Notification } from '../notifications/types.ts';
import type { Reply } from '../commands/reply.ts';

/**
 * The question that the daemon waits with: it asks one at a time, and repeats it to each client that connects
 * (special_state_msg in manage.c). Those that the agent answers itself are kept from the clients.
 */
export class Questions {
  /** Told when the daemon waits for nothing any more. */
  onOver: () => void = () => undefined;
  #pending: { readonly type: string; readonly lines: readonly string[] } | undefined;
  /** Halves of an answer that are still to come. */
  readonly #open = new Set<string>();

  /** The question's lines, one character a byte: a client that comes now is told them. */
  get lines(): readonly string[] {
    return this.#pending?.lines ?? [];
  }

  get type(): string | undefined {
    return this.#pending?.type;
  }

  /** A notification came: it may be a question, or show that the last one is over. */
  note(notification: Notification, lines: readonly string[]): void {
    const { type } = notification;
    switch (type) {
      case 'PASSWORD':
        if (notification.form !== 'need') return;
        break;
      case 'HOLD':
      case 'NEED-OK':
      case 'NEED-STR':
        break;
      case 'PK_SIGN':
      case 'RSA_SIGN':
      case 'NEED-CERTIFICATE':
      case 'FATAL':
        this.clear();
        return;
      default:
        return;
    }
    this.ask(type, lines);
  }

  ask(type: string, lines: readonly string[]): void {
    this.#pending = { type, lines };
    this.#open.clear();
    const wants = type === 'PASSWORD' ? / (username\/password|username|password)(?: |$)/.exec(lines[0] ?? '')?.[1] : '';
    for (const half of wants?.split('/') ?? []) this.#open.add(half);
  }

  /** A command was answered: it may have been the answer. */
  settle(name: string, argument: string | undefined, reply: Reply): void {
    if (reply.error !== undefined || this.#pending === undefined) return;
    const { type } = this.#pending;
    if (name === 'signal' || (type === 'HOLD' && name === 'hold' && argument === 'release')) this.clear();
    else if (type === 'NEED-OK' && name === 'needok') this.clear();
    else if (type === 'NEED-STR' && name === 'needstr') this.clear();
    else if (type === 'PASSWORD' && this.#open.delete(name) && this.#open.size === 0) this.clear();
  }

  clear(): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    this.onOver();
  }
}
