import type { HostFailure } from '../protocol.ts';

/** What the host itself answers a call with. */
export class HostError extends Error {
  readonly failure: HostFailure;
  constructor(failure: HostFailure) {
    super(failure.kind);
    this.failure = failure;
  }
}
