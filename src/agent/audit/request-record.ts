import { createHash, type KeyObject } from 'node:crypto';
import type { AuditContext, AuditedRequest, Entry } from '../../audit/entry.ts';
import type { AgentErrorCode } from '../../errors.ts';
import type { WriteOptions, Written } from './audit-log.ts';

/** Who asks, and for what. */
export interface Asking {
  readonly tunnel: string;
  /** As far as it is known by now. */
  readonly daemon: () => AuditedRequest['daemon'];
  /** base64, as the daemon said it; undefined if it was cut off. */
  readonly data: string | undefined;
}

/** What is known of a request, however far it came. */
export interface Known {
  readonly publicKey?: KeyObject | undefined;
  readonly scheme?: string | undefined;
  readonly context?: AuditContext | undefined;
}

/** What became of it, where that is no signature. */
export type Ended = { readonly durationMs: number | undefined } & (
  | { readonly outcome: 'refused' | 'failed'; readonly code: AgentErrorCode | undefined }
  | { readonly outcome: 'dropped' }
);

/** Where entries go. */
export interface EntryWriter {
  /** The last entries could not be written. */
  readonly isFailing: boolean;
  /** @param make called with the log that it is for when its turn comes */
  write(make: (log: string) => Entry, options?: WriteOptions): Written;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const fingerprints = new WeakMap<KeyObject, string>();

/** SHA-256 of the SubjectPublicKeyInfo. */
function fingerprint(key: KeyObject): string {
  const known = fingerprints.get(key);
  if (known !== undefined) return known;
  const made = sha256(key.export({ format: 'der', type: 'spki' }));
  fingerprints.set(key, made);
  return made;
}

/** The place of a request in the log that its outcome is for: after a reload that may be another one, with numbers of its own. */
const placeIn = (log: string, request: Written | undefined): number | null =>
  (request?.log === log ? request.seq : undefined) ?? null;

/** What is written down of one request: that the key is asked, and what came of it; or why it was not. */
export class RequestRecord {
  readonly #asking: Asking;
  readonly #writer: EntryWriter;
  /** The entry that says that the key is asked. */
  #accepted: Written | undefined;

  constructor(asking: Asking, writer: EntryWriter) {
    this.#asking = asking;
    this.#writer = writer;
  }

  /**
   * The key is about to be asked. That is written meanwhile; only where the log could not be written last, the key waits.
   * @throws AgentError ERR_AUDIT_WRITE
   */
  accepted(known: Known): Promise<void> | undefined {
    const about = this.#about(known);
    const verdict = { verdict: 'accepted', code: null, duration: null } as const;
    this.#accepted = this.#writer.write(() => ({ type: 'request', ...about, ...verdict }));
    return this.#writer.isFailing ? this.#accepted.done : undefined;
  }

  /**
   * A signature was made, and is about to leave: resolves when it may.
   * @throws AgentError ERR_AUDIT_WRITE
   */
  async signed(known: Known, signature: Buffer, durationMs: number): Promise<void> {
    const about = this.#about(known);
    const hash = sha256(signature);
    const accepted = this.#accepted;
    const written = this.#writer.write(
      (log) => ({
        ...{ type: 'outcome', of: placeIn(log, accepted), ...about },
        ...{ outcome: 'signed', code: null, signature: hash, duration: durationMs },
      }),
      { isSignature: true },
    );
    await written.done;
    // it was written before; if it could not be, this one may not stand alone
    await accepted?.done;
  }

  /** No signature leaves. Nobody waits for that to be written. */
  ended(known: Known, ended: Ended): void {
    const about = this.#about(known);
    const { outcome, durationMs } = ended;
    const code = 'code' in ended ? (ended.code ?? null) : null;
    const came = { code, duration: durationMs ?? null };
    const accepted = this.#accepted;
    this.#writer.write((log) => {
      if (!accepted) return { type: 'request', ...about, verdict: outcome, ...came };
      const result = outcome === 'dropped' ? 'dropped' : 'failed';
      return { type: 'outcome', of: placeIn(log, accepted), ...about, outcome: result, signature: null, ...came };
    });
  }

  #about({ publicKey, scheme, context }: Known): AuditedRequest {
    const { tunnel, daemon, data } = this.#asking;
    return {
      ...{ tunnel, daemon: daemon(), key: publicKey ? fingerprint(publicKey) : null, scheme: scheme ?? null },
      data: data === undefined ? null : sha256(Buffer.from(data, 'base64')),
      context: context ?? null,
    };
  }
}
