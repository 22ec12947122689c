import type { Notification } from '../../management/index.ts';
import type { ServiceOptions } from '../service-options.ts';
import { type Complaint, RELAY_PATIENCE, Trouble } from '../trouble.ts';
import { Answerer, type Asking } from './answerer.ts';

/** What a daemon may ask that is not about its key. */
type Question = Extract<Notification, { type: 'PASSWORD' | 'NEED-OK' | 'NEED-STR' | 'PROXY' | 'REMOTE' }>;

/** What the daemon of one connection asks beside signatures: answered as the settings say, or else told. */
export class Questions {
  readonly #options: Omit<Asking, 'trouble'>;
  /** The daemon waits for an answer that we don't have. */
  #trouble: Trouble | undefined;
  /** Undefined if the settings answer nothing. */
  readonly #answerer: Answerer | undefined;

  constructor(options: Omit<Asking, 'trouble'> & Pick<ServiceOptions, 'answers'>) {
    this.#options = options;
    this.#answerer = options.answers && new Answerer(options.answers, { ...options, trouble: this.#waiting() });
  }

  /** Answers what is a question, or tells that nobody does. False for what is none, or none for us. */
  hear(notification: Notification): boolean {
    switch (notification.type) {
      case 'PASSWORD':
        // only the questions: other texts may hold an Auth-Token
        if (notification.form === 'need') this.#ask(notification);
        else this.note(notification);
        return true;
      case 'NEED-OK':
      case 'NEED-STR':
      case 'PROXY':
      case 'REMOTE':
        this.#ask(notification);
        return true;
      case 'INFOMSG':
        return this.#answerer?.take(notification) === true;
      default:
        return false;
    }
  }

  /** What answers go by. */
  note(notification: Notification): void {
    this.#answerer?.note(notification);
  }

  /** Why the daemon waits. */
  complain(complaint: Complaint): void {
    this.#waiting().set(complaint);
  }

  /** It does not wait any more. */
  clear(): void {
    this.#trouble?.clear();
  }

  /** It does not wait any more: it goes on, or somebody else has answered. */
  over(): void {
    this.clear();
    this.#answerer?.over();
  }

  /** Gives up answers that are under way. */
  stop(): void {
    this.#answerer?.stop();
  }

  /** Its connection has ended. */
  leave(): void {
    this.stop();
    this.#trouble?.stop();
  }

  #ask(question: Question): void {
    if (this.#answerer?.take(question) !== true) this.#tell(question);
  }

  #tell(question: Question): void {
    const { relay, client } = this.#options;
    // one of the relay's clients may have been faster
    if (relay?.isAsking(client, question.type) === false) return;
    const details = { notification: question.type, ...('name' in question ? { name: question.name } : {}) };
    const what = question.type === 'PASSWORD' ? 'password' : 'question';
    if (relay === undefined) this.complain({ trouble: `${what}-asked`, level: 'warn', details });
    else this.complain({ trouble: `${what}-unanswered`, level: 'warn', details, patience: RELAY_PATIENCE });
  }

  #waiting(): Trouble {
    this.#trouble ??= new Trouble(this.#options.emit, 'answer', this.#options.clock);
    return this.#trouble;
  }
}
