import type { X509Certificate } from 'node:crypto';
import type { OpenedKey } from '../keys/open-key.ts';
import type { DaemonSignal } from '../management/index.ts';
import type { Choice, ServiceOptions } from './service-options.ts';

/** What is known of the certificate that a daemon has: longer than a connection, since the daemon keeps it. */
export interface CertificateMemory {
  /** What it wants: of its last NEED-CERTIFICATE, or of its .ovpn. */
  hint: string | undefined;
  /** What it was given. */
  given?: { readonly opened: OpenedKey; readonly certificate: X509Certificate } | undefined;
  /** The signal that was sent so that it asks anew. */
  signalled?: DaemonSignal | undefined;
  /** It was seen to restart since. */
  isRestarted?: boolean;
}

/** The certificate of one daemon, and the key that belongs to it. */
export class CertificateSupply {
  readonly #options: Pick<ServiceOptions, 'key' | 'choose'>;
  readonly #memory: CertificateMemory;
  /** It waits for one. */
  #isAsked = false;

  constructor(options: Pick<ServiceOptions, 'key' | 'choose'>, memory: CertificateMemory) {
    this.#options = options;
    this.#memory = memory;
  }

  /** What it asked with last. */
  get hint(): string {
    return this.#memory.hint ?? '';
  }

  /** It waits for a certificate. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** It asks. What it was given before is of no use to it any more. */
  ask(hint: string): void {
    this.#isAsked = true;
    this.#memory.hint = hint;
    this.#memory.given = undefined;
    this.#memory.signalled = undefined;
    this.#memory.isRestarted = false;
  }

  /** Another management client has given it one. */
  over(): void {
    this.#isAsked = false;
  }

  /** What to give it now. @param opened the key, as it is without a hint. @throws AgentError ERR_CERTIFICATE_*, ERR_USAGE for its hint, and why the key can't be opened */
  choose(opened: OpenedKey): Promise<Choice> {
    if (this.#options.choose) return this.#options.choose(this.hint);
    return Promise.resolve({ opened, certificates: opened.certificates });
  }

  /** It has this one from now on. */
  give({ opened, certificates: [certificate] }: Choice): void {
    this.#isAsked = false;
    if (certificate) this.#memory.given = { opened, certificate };
  }

  /** The key of the certificate that it has: it may have been replaced since. @throws AgentError why it can't be used */
  async key(): Promise<OpenedKey> {
    const current = await this.#options.key();
    const { given, hint = '' } = this.#memory;
    if (given) return given.opened;
    return hint === '' || !this.#options.choose ? current : (await this.#options.choose(hint, 'as it is')).opened;
  }

  /** Whether it has a certificate that is not the key's any more. Never rejects. */
  async isOutdated(): Promise<boolean> {
    const { given } = this.#memory;
    if (!given || !this.#options.choose || this.#memory.signalled !== undefined) return false;
    const now = await this.#options.choose(this.hint, 'as it is').catch(() => undefined);
    const [certificate] = now?.certificates ?? [];
    return certificate !== undefined && this.#memory.given === given && !certificate.raw.equals(given.certificate.raw);
  }

  signalled(signal: DaemonSignal): void {
    this.#memory.signalled = signal;
    this.#memory.isRestarted = false;
  }

  /** It begins anew: in its hold, or on its way there. */
  restarted(): void {
    if (this.#memory.signalled !== undefined) this.#memory.isRestarted = true;
  }

  /** Whether it was told to restart, did, and signs on with what it had: it has `persist-key`. */
  get hasKept(): boolean {
    return this.#memory.signalled === 'SIGUSR1' && this.#memory.isRestarted === true;
  }
}
