import type { X509Certificate } from 'node:crypto';
import { daysLeft } from '../certificates/choose.ts';
import type { Clock } from '../clock.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { nameOnOneLine } from '../keyfile/pem.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import type { CertificateAbout, Emit, KeyEvent } from './events.ts';

/** Milliseconds between looks at a certificate, and between lines about its end. */
const DAY = 86_400_000;
/** Days before its end from which it is told of. */
const TOLD_BEFORE = 30;
/** Keys that were in its place before, and sign for daemons that have their certificates yet. */
const MOST_RETIRED = 4;

export interface LiveKeyOptions {
  /** What the settings call it. */
  readonly name: string;
  /** Opens anew what it is opened by. */
  readonly open: () => Promise<OpenedKey>;
  readonly emit: Emit<KeyEvent>;
  readonly clock: Clock;
  /** It has another certificate, or is another key. */
  readonly onChange: () => void;
}

/** What events say of a certificate. */
export function certificateFields(certificate: X509Certificate | undefined): CertificateAbout {
  if (!certificate) return {};
  const { subject, validTo } = certificate;
  return { certificate: nameOnOneLine(subject), validTo, daysLeft: daysLeft(certificate, Date.now()) };
}

/**
 * An open key and its certificates as they are now: read anew when a daemon wants them, when the key's token is back, and
 * once a day. Another key in its place is taken over, if what names the key names it and none else.
 */
export class LiveKey implements AsyncDisposable {
  readonly #options: LiveKeyOptions;
  #opened: OpenedKey;
  #certificates: readonly X509Certificate[];
  readonly #retired: OpenedKey[] = [];
  #refreshing: Promise<void> | undefined;
  #stopTimer: () => void = () => undefined;
  #unlisten: () => void = () => undefined;
  /** Why the certificates could not be read last. */
  #told = '';
  #isClosed = false;

  constructor(opened: OpenedKey, options: LiveKeyOptions) {
    this.#options = options;
    this.#opened = opened;
    this.#certificates = opened.certificates;
    this.#listen();
    this.#schedule();
  }

  get opened(): OpenedKey {
    return this.#opened;
  }

  /** The key's own first; often none. */
  get certificates(): readonly X509Certificate[] {
    return this.#certificates;
  }

  /**
   * Reads the certificates anew: those from before stay if that fails. Never rejects.
   * @param manner `quietly`: that another key can't be taken over is told by whoever opens it anew next
   */
  async refresh(manner?: 'quietly'): Promise<void> {
    this.#refreshing ??= this.#refresh(manner).finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #refresh(manner: 'quietly' | undefined): Promise<void> {
    if (this.#isClosed) return;
    try {
      const { readCertificates } = this.#opened;
      if (readCertificates) this.#take(await readCertificates());
    } catch (error) {
      const isOther = error instanceof AgentError && error.reason === 'key-changed';
      if (isOther) await this.#takeOver(manner);
      else this.#tellKept(error);
    }
  }

  #take(certificates: readonly X509Certificate[]): void {
    const [before] = this.#certificates;
    const [now] = certificates;
    if (before && !now) {
      this.#tellKept(new AgentError('ERR_CERTIFICATE_NOT_FOUND', `${this.#opened.signer.name} has no certificate now`));
      return;
    }
    this.#told = '';
    this.#certificates = certificates;
    if (!now || before?.raw.equals(now.raw) === true || this.#isClosed) return;
    const { name, emit, onChange } = this.#options;
    emit({ type: 'certificate-changed', name, key: this.#opened.signer.name, ...certificateFields(now) });
    onChange();
  }

  /** What is in its place may be another key, or the same one in another file. */
  async #takeOver(manner: 'quietly' | undefined): Promise<void> {
    const { name, open, emit, onChange } = this.#options;
    let fresh: OpenedKey;
    try {
      fresh = await open();
    } catch (error) {
      if (manner === undefined) this.#tellKept(error);
      return;
    }
    if (this.#isClosed) {
      await fresh[Symbol.asyncDispose]();
      return;
    }
    const before = this.#opened;
    this.#opened = fresh;
    this.#retire(before);
    this.#listen();
    const { publicKey, name: key } = fresh.signer;
    const isOther = !publicKey.equals(before.signer.publicKey);
    if (isOther) {
      this.#certificates = [];
      emit({ type: 'key-changed', name, key });
    }
    this.#take((await fresh.readCertificates?.().catch(() => undefined)) ?? fresh.certificates);
    if (isOther && this.#certificates.length === 0) onChange();
  }

  #retire(opened: OpenedKey): void {
    this.#retired.push(opened);
    if (this.#retired.length > MOST_RETIRED) void this.#retired.shift()?.[Symbol.asyncDispose]();
  }

  #tellKept(error: unknown): void {
    const text = errorText(error);
    if (text === this.#told || this.#isClosed) return;
    this.#told = text;
    const { name, emit } = this.#options;
    emit({ type: 'certificate-kept', name, key: this.#opened.signer.name, code: errorCode(error), error: text });
  }

  /** Its token may come back with another certificate. */
  #listen(): void {
    this.#unlisten();
    const { availability } = this.#opened.signer;
    const undo = availability?.onLost(() => {
      void availability.ready().then(() => this.refresh());
    });
    this.#unlisten = undo ?? (() => undefined);
  }

  #schedule(): void {
    this.#stopTimer = this.#options.clock.after(DAY, () => {
      void this.refresh().then(() => {
        if (this.#isClosed) return;
        this.#tellEnd();
        this.#schedule();
      });
    });
  }

  #tellEnd(): void {
    const [certificate] = this.#certificates;
    if (!certificate || !(daysLeft(certificate, Date.now()) < TOLD_BEFORE)) return;
    const { name, emit } = this.#options;
    emit({ type: 'certificate-ending', name, key: this.#opened.signer.name, ...certificateFields(certificate) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stopTimer();
    this.#unlisten();
    await Promise.all([this.#opened, ...this.#retired].map((opened) => opened[Symbol.asyncDispose]()));
  }
}
