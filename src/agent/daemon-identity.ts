import type { AuditedRequest } from '../audit/entry.ts';
import type { ManagementClient } from '../management/index.ts';
import type { RequestRecord } from './audit/request-record.ts';
import type { Outcome } from './answer.ts';

/** Milliseconds that a daemon has for telling its process: it does so at once, if it is not busy. */
const PID_TIMEOUT = 2_000;

/** Who the daemon of a connection is, for the audit log. */
export class DaemonIdentity {
  readonly #client: ManagementClient;
  #pid: number | undefined;

  constructor(client: ManagementClient) {
    this.#client = client;
  }

  /** As far as it is known by now. */
  known(): AuditedRequest['daemon'] {
    return { pid: this.#pid ?? null, user: this.#client.daemonUser ?? null };
  }

  /** Asks the daemon for its process. Never rejects: it is not known then. */
  async ask(signal: AbortSignal): Promise<void> {
    this.#pid = await this.#client.pid({ signal, timeout: PID_TIMEOUT }).catch(() => undefined);
  }
}

/** The outcome of a request that the daemon cut off at the end of its own buffer. */
export function cutOff(length: number, record: RequestRecord | undefined): Outcome {
  const error = `the daemon cut its request off at ${length} bytes: leave 'digest' out of --management-external-key, or use TLS 1.3`;
  const outcome = { outcome: 'refused', code: 'ERR_REQUEST_TRUNCATED', error, durationMs: undefined } as const;
  record?.ended({}, outcome);
  return outcome;
}
