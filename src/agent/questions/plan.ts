import type { AgentError } from '../../errors.ts';
import type { CommandOptions, ManagementClient, Notification, RelayRights } from '../../management/index.ts';

/** How one question is answered. */
export interface Plan {
  readonly type: Notification['type'];
  /** What the question is about. */
  readonly name?: string | undefined;
  /** Two questions with one text are the same. */
  readonly text: string;
  /** What a relay's client must be allowed to answer it. */
  readonly right: RelayRights;
  /** Gets the answer. @throws NotYet; AgentError ERR_ANSWER, ERR_ABORTED */
  readonly prepare: (signal: AbortSignal) => Promise<Answer>;
  /** Nothing goes to the daemon: preparing is all. */
  readonly isAction?: boolean;
}

export interface Answer {
  /** @throws AgentError as the client's commands do */
  readonly send: (client: ManagementClient, options: CommandOptions) => Promise<void>;
  /** Zeroes its secrets. */
  readonly destroy?: (() => void) | undefined;
}

/** There is no answer that may be sent now. */
export class NotYet extends Error {
  readonly error: AgentError;
  /** Milliseconds after which there may be one; undefined: not before a person does something. */
  readonly after: number | undefined;

  constructor(error: AgentError, after?: number) {
    super(error.message);
    this.error = error;
    this.after = after;
  }
}
