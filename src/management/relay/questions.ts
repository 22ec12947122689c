import type { Notification } from '../notifications/types.ts';
import type { Reply } from '../commands/reply.ts';

/** Which command answers what. */
const BESIDE: Readonly<Record<string, string>> = { proxy: 'PROXY', remote: 'REMOTE', 'cr-response': 'INFOMSG' };

/**
 * The question that the daemon waits with: it asks one at a time, and repeats it to each client that connects
 * (special_state_msg in manage.c). Those that the agent answers itself are kept from the clients.
 */
export class Questions {
  /** Told when the daemon waits for nothing any more, or for less. */
  onOver: () => void = () => undefined;
  #pending: { readonly type: string; readonly lines: readonly string[] } | undefined;
  /** Halves of an answer that are still to come. */
  readonly #open = new Set<string>();
  /** What it asked besides, and repeats to nobody: by the type of the notification. */
  readonly #beside = new Set<string>();

  /** The question's lines, one character a byte: a client that comes now is told them. */
  get lines(): readonly string[] {
    return this.#pending?.lines ?? [];
  }

  get type(): string | undefined {
    return this.#pending?.type;
  }

  /** Whether a question of this type has no answer yet. */
  isOpen(type: string): boolean {
    return this.#pending?.type === type || this.#beside.has(type);
  }

  /** The agent is about to answer. False if one of the clients was faster. */
  take(type: string): boolean {
    if (this.#beside.delete(type)) return true;
    if (this.#pending?.type !== type) return false;
    this.#pending = undefined;
    return true;
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
      case 'PROXY':
      case 'REMOTE':
        this.#beside.add(type);
        return;
      case 'INFOMSG':
        if (notification.message.kind === 'CR_TEXT') this.#beside.add(type);
        return;
      case 'PK_SIGN':
      case 'RSA_SIGN':
      case 'NEED-CERTIFICATE':
      case 'FATAL':
        this.clear();
        return;
      default:
        return;
    }
    // by what it is for, which is a token's label too, they can't be told
    const isNeed = notification.type === 'PASSWORD';
    this.ask(type, lines, isNeed ? notification.wants.split('/') : []);
  }

  /** @param halves commands that answer it together */
  ask(type: string, lines: readonly string[], halves: readonly string[] = []): void {
    this.#pending = { type, lines };
    this.#open.clear();
    // the daemon begins anew
    if (type === 'HOLD') this.#beside.clear();
    for (const half of halves) this.#open.add(half);
  }

  /** A command was answered: it may have been the answer. */
  settle(name: string, argument: string | undefined, reply: Reply): void {
    if (reply.error !== undefined) return;
    const beside = BESIDE[name];
    if (beside !== undefined && this.#beside.delete(beside)) this.onOver();
    if (this.#pending === undefined) return;
    const { type } = this.#pending;
    if (name === 'signal') this.#beside.clear();
    if (name === 'signal' || (type === 'HOLD' && name === 'hold' && argument === 'release')) this.clear();
    else if (type === 'NEED-OK' && name === 'needok') this.clear();
    else if (type === 'NEED-STR' && name === 'needstr') this.clear();
    else if (type === 'PASSWORD' && this.#open.delete(name) && this.#open.size === 0) this.clear();
  }

  /** The daemon has gone. */
  forget(): void {
    this.#beside.clear();
    this.clear();
  }

  clear(): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    this.onOver();
  }
}
