import type { Asked } from './daemon-options.ts';
import { kernel } from './kernel.ts';
import type { Peer } from './wire.ts';

/** Milliseconds within which an answer may be under way that the daemon does not wait for any more. */
export const UNDER_WAY = 3;

/** An answer that may still come, though the daemon was restarted since it asked, or has asked twice. */
export class LateAnswer {
  asked: Asked | undefined;
  #until = 0;

  expect(asked: Asked | undefined): void {
    if (!asked) return;
    this.asked = asked;
    this.#until = Number.POSITIVE_INFINITY;
  }

  /** It has told that it begins anew: from then on nobody answers. */
  tell(): void {
    this.#until = Math.min(this.#until, kernel().now + UNDER_WAY);
  }

  clear(): void {
    this.asked = undefined;
  }

  mayCome(peer: Peer): boolean {
    const { now } = kernel();
    // what piled up while the daemon took nothing is of before, too
    return this.asked !== undefined && (now < this.#until || now - peer.tookInAt < UNDER_WAY);
  }
}
