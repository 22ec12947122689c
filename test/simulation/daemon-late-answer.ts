import type { Asked } from './daemon-options.ts';
import { kernel } from './kernel.ts';
import type { Peer } from './wire.ts';

/** Milliseconds within which an answer may be under way that the daemon does not wait for any more. */
const UNDER_WAY = 3;

/** Answers that may still come, though the daemon was restarted since it asked, or has asked twice. */
export class LateAnswers {
  #asked: readonly Asked[] = [];
  #until = 0;

  expect(asked: Asked | undefined): void {
    if (!asked) return;
    this.#asked = [...this.#asked, asked];
    this.#until = Number.POSITIVE_INFINITY;
  }

  /** It has told that it begins anew: from then on nobody answers. */
  tell(): void {
    this.#until = Math.min(this.#until, kernel().now + UNDER_WAY);
  }

  clear(): void {
    this.#asked = [];
  }

  /** One has come. @returns what it answers: the first that it fits */
  take(fits: (asked: Asked) => boolean = () => true): Asked | undefined {
    const answered = this.#asked.find(fits);
    this.#asked = this.#asked.filter((asked) => asked !== answered);
    return answered;
  }

  /** One that the agent wrote before it could hear of another request: a daemon that is deaf meanwhile takes it long after. */
  takeBefore(next: Asked, writtenAt: number, fits: (asked: Asked) => boolean): Asked | undefined {
    return writtenAt - next.at < UNDER_WAY ? this.take(fits) : undefined;
  }

  mayCome(peer: Peer): boolean {
    const { now } = kernel();
    // what piled up while the daemon took nothing is of before, too
    return this.#asked.length > 0 && (now < this.#until || now - peer.tookInAt < UNDER_WAY);
  }
}
