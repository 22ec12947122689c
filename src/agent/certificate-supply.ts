import type { X509Certificate } from 'node:crypto';
import { errorCode, errorText } from '../errors.ts';
import { certificatePem } from '../keyfile/pem.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import type { DaemonSignal, ManagementClient } from '../management/index.ts';
import type { Choice, ServiceOptions } from './service-options.ts';
import { type Complaint, RELAY_PATIENCE } from './trouble.ts';

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

export interface CertificateSupplyOptions extends Pick<ServiceOptions, 'key' | 'choose' | 'relay' | 'emit'> {
  readonly client: ManagementClient;
  /** Sends the daemon a signal; never rejects. */
  readonly signal: (name: DaemonSignal) => Promise<void>;
  /** Its connection has ended. */
  readonly isGone: () => boolean;
}

/** What there is for a daemon that asks, or why there is nothing. */
export interface Offer {
  readonly choice?: Choice;
  readonly refusal?: unknown;
}

/** The certificate of one daemon, and the key that belongs to it. */
export class CertificateSupply {
  readonly #options: CertificateSupplyOptions;
  readonly #memory: CertificateMemory;
  /** It waits for one. */
  #isAsked = false;

  constructor(options: CertificateSupplyOptions, memory: CertificateMemory) {
    this.#options = options;
    this.#memory = memory;
  }

  get #hint(): string {
    return this.#memory.hint ?? '';
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

  /** What to give it now. Never rejects. @param opened the key, as it is without a hint */
  async offer(opened: OpenedKey): Promise<Offer> {
    const { choose } = this.#options;
    if (!choose) return { choice: { opened, certificates: opened.certificates } };
    return await choose(this.#hint).then(
      (choice) => ({ choice }),
      (refusal: unknown) => ({ refusal }),
    );
  }

  /** Why there is nothing to give, after the relay's clients were asked for it. */
  complaintOf({ choice, refusal }: Offer): Complaint | undefined {
    const { relay, client } = this.#options;
    if (choice && choice.certificates.length > 0) return undefined;
    if (relay?.askForCertificate(client) === true)
      return { trouble: 'certificate-unanswered', level: 'warn', patience: RELAY_PATIENCE };
    if (refusal === undefined) return { trouble: 'no-certificate', level: 'error' };
    const details = { code: errorCode(refusal), error: errorText(refusal) };
    return { trouble: 'certificate-not-chosen', level: 'error', details };
  }

  /** It has this one from now on. @throws AgentError ERR_MANAGEMENT_* if the daemon takes it not */
  async give({ choice }: Offer, signal: AbortSignal): Promise<void> {
    if (!choice) return;
    const { opened, certificates } = choice;
    const [certificate] = certificates;
    this.#isAsked = false;
    if (certificate) this.#memory.given = { opened, certificate };
    await this.#options.client.certificate(certificates.map(certificatePem).join(''), { signal });
  }

  /** The key of the certificate that it has: it may have been replaced since. @throws AgentError why it can't be used */
  async key(): Promise<OpenedKey> {
    const current = await this.#options.key();
    const { given, hint = '' } = this.#memory;
    if (given) return given.opened;
    return hint === '' || !this.#options.choose ? current : (await this.#options.choose(hint, 'as it is')).opened;
  }

  /**
   * The key has another certificate: a daemon that waits for one gets it, one that has another is restarted, if it is to be.
   * @param take gives it what it waits for
   */
  async renew(isToRestart: boolean, take: () => void): Promise<void> {
    if (this.#isAsked) take();
    else if (isToRestart && (await this.#isOutdated())) await this.#haveAskAnew('SIGUSR1');
  }

  /** It signs on. What keeps its certificate over SIGUSR1 (`persist-key`) gets SIGHUP, by which it reads its configuration anew as well. */
  signedOn(): void {
    if (this.#hasKept) void this.#haveAskAnew('SIGHUP');
  }

  async #haveAskAnew(signal: DaemonSignal): Promise<void> {
    if (this.#options.isGone()) return;
    this.#memory.signalled = signal;
    this.#memory.isRestarted = false;
    this.#options.emit({ type: 'daemon-outdated', signal });
    await this.#options.signal(signal);
  }

  /** Whether it has a certificate that is not the key's any more. Never rejects. */
  async #isOutdated(): Promise<boolean> {
    const { given } = this.#memory;
    if (!given || !this.#options.choose || this.#memory.signalled !== undefined) return false;
    const now = await this.#options.choose(this.#hint, 'as it is').catch(() => undefined);
    const [certificate] = now?.certificates ?? [];
    return certificate !== undefined && this.#memory.given === given && !certificate.raw.equals(given.certificate.raw);
  }

  /** It begins anew: in its hold, or on its way there. It asks again behind that. */
  restarted(): void {
    this.#isAsked = false;
    if (this.#memory.signalled !== undefined) this.#memory.isRestarted = true;
  }

  /** Whether it was told to restart, did, and signs on with what it had: it has `persist-key`. */
  get #hasKept(): boolean {
    return this.#memory.signalled === 'SIGUSR1' && this.#memory.isRestarted === true;
  }
}
