import { setImmediate as nextTurn } from 'node:timers/promises';
import { errorCode, errorText } from '../errors.ts';
import type { CloseReason, DaemonSignal, ManagementClient, Notification, StateEntry } from '../management/index.ts';
import type { RequestRecord } from './audit/request-record.ts';
import { answer, type AnswerOptions, type Outcome, type RawRequest } from './answer.ts';
import type { TroubleSubject } from './events.ts';
import { type CertificateMemory, CertificateSupply } from './certificate-supply.ts';
import { cutOff, DaemonIdentity } from './daemon-identity.ts';
import { Healing, type HealingMemory } from './healing.ts';
import { Latest } from './latest.ts';
import { Uses } from './policy/rate.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { Questions } from './questions/questions.ts';
import type { ServiceOptions } from './service-options.ts';
import { Trouble } from './trouble.ts';
import { pause } from '../clock.ts';
import { unlessAborted } from '../promises.ts';

type SignType = 'PK_SIGN' | 'RSA_SIGN';
/** What waits until the key is ready. */
type HeldKind = 'HOLD' | 'NEED-CERTIFICATE';

/** connect-retry's default upper limit, in milliseconds. */
const LONGEST_HOLD = 300_000;
/** A pause in the hold, in milliseconds, that an operator should hear of. */
const LONG_HOLD = 10_000;
/** Milliseconds for which the key may not be ready before a word is said. */
const KEY_PATIENCE = 5_000;
/**
 * A daemon that was restarted (SIGUSR1) while it waited for a signature pauses for a second at least, and then asks anew: it
 * would take an answer to its old request for one to the new. In milliseconds, with a margin.
 */
const RESTART_PAUSE = 500;
/** Milliseconds in which a daemon acknowledges an answer: it does so at once. */
const ACKNOWLEDGED_WITHIN = 10_000;
/** Milliseconds in which a daemon whose hold was released in vain may yet ask for a signature, before a word is said. */
const FRUITLESS_PATIENCE = 5_000;
/** Milliseconds after which a daemon is asked for its state that neither was held nor wanted anything signed. */
const STATE_PATIENCE = 10_000;
/** Milliseconds that it has for telling it: at once, if it is not busy. What is sent next waits that long. */
const STATE_TIMEOUT = 2_000;

/** What is known of a daemon over its connections. */
export type DaemonMemory = CertificateMemory & HealingMemory;

/** How a signature fails where another key may have come in the key's place. */
const KEY_FAILURES: ReadonlySet<string> = new Set(['ERR_KEY_NOT_FOUND', 'ERR_SIGNATURE_INVALID']);

/**
 * One connection to a daemon, served until it ends: at most one request, one hold and one certificate under way. There may be
 * thousands, most of them at rest: what few of them need is made when it is needed.
 */
export class ServedDaemon {
  readonly #client: ManagementClient;
  readonly #options: ServiceOptions;
  readonly #request = new Latest();
  readonly #hold = new Latest();
  readonly #certificate = new Latest();
  /** Requests under way, to their acknowledgement: a stop waits for them. */
  #busy: readonly Promise<unknown>[] = [];
  /** The request that is under way. */
  #current: { readonly since: number; readonly done: Promise<void> } | undefined;
  #isGone = false;
  /** Ends its being slowed down. */
  #slowed: AbortController | undefined;
  /** When the daemon's pause in the hold is over. */
  #holdUntil = 0;
  /** What waits for the key. */
  #waitsForKey: readonly HeldKind[] = [];
  #releases = 0;
  #isFollowed = false;
  readonly #identity: DaemonIdentity;
  #knowsState = false;
  #fruitless: Trouble | undefined;
  readonly #questions: Questions;
  readonly #uses: Uses | undefined;
  readonly #supply: CertificateSupply;
  readonly #healing: Healing;

  /** @param memory of it, from connections before */
  constructor(client: ManagementClient, options: ServiceOptions, memory: DaemonMemory = { hint: undefined }) {
    this.#client = client;
    this.#identity = new DaemonIdentity(client);
    this.#options = options;
    const onAnswered = (): void => {
      this.#follow();
    };
    const { relay, emit, clock, answers } = options;
    this.#questions = new Questions({ client, relay, emit, clock, answers, onAnswered });
    this.#uses = Uses.upTo(options.usesPerConnect);
    const signal = (name: DaemonSignal): Promise<void> => this.signal(name);
    this.#supply = new CertificateSupply({ ...options, client, signal, isGone: () => this.#isGone }, memory);
    this.#healing = new Healing({ action: options.heal, memory, emit: options.emit, signal });
  }

  /** Serves until the connection ends; never rejects. */
  serve(): Promise<CloseReason> {
    const { signal, relay, isRecorded, clock } = this.#options;
    const client = this.#client;
    const callOff = clock.after(STATE_PATIENCE, () => {
      this.#follow();
    });
    const end = async (reason: CloseReason): Promise<CloseReason> => {
      callOff();
      this.#leave();
      await taker.over();
      await this.#idle();
      return reason;
    };
    // before the relay hears of it, to whom a daemon that has gone asks nothing
    const ended = client.closed.then(end);
    relay?.attach(client, () => {
      // a client has answered
      this.#questions.over();
      this.#supply.over();
      this.#healing.moved();
    });
    const taker = client.takeEach((notification) => this.#take(notification));
    if (signal.aborted) this.stop();
    if (isRecorded?.() === true) void this.#identity.ask(signal);
    return ended;
  }

  /** Ends it, as its signal has aborted: a stop waits for signatures, not for a key that may never be ready. */
  stop(): void {
    this.#slowed?.abort();
    this.#hold.stop();
    this.#certificate.stop();
    this.#questions.stop();
    void this.#idle().then(() => this.#client.close());
  }

  /** Never rejects. */
  async signal(name: DaemonSignal): Promise<void> {
    await this.#client.signal(name).catch((error: unknown) => {
      this.#options.emit({ type: 'signal-failed', error: errorText(error) });
    });
  }

  /** The key has another certificate: a daemon that waits for one gets it, one that has another `restart`s, if it is to. */
  async renewCertificate(isToRestart: boolean): Promise<void> {
    await this.#supply.renew(isToRestart, () => {
      this.#takeCertificate();
    });
  }

  async #idle(): Promise<void> {
    while (this.#busy.length > 0) await Promise.all(this.#busy);
  }

  /** What belongs to a connection that has gone is dropped. */
  #leave(): void {
    this.#isGone = true;
    this.#slowed?.abort();
    for (const work of [this.#request, this.#hold, this.#certificate]) work.stop();
    this.#questions.leave();
    this.#fruitless?.stop();
  }

  /** Begins with what a notification wants. Settles when the next one may be taken. */
  async #take(notification: Notification): Promise<void> {
    const { emit } = this.#options;
    // what is still to be read of a connection that has gone is not acted on: no one would take it back
    if (this.#isGone && notification.type !== 'FATAL') return;
    switch (notification.type) {
      case 'PK_SIGN':
      case 'RSA_SIGN': {
        const { type, data, algorithm } = notification;
        await this.#takeRequest(type, (wanted) => this.#sign({ data, algorithmText: algorithm }, wanted));
        return;
      }
      case 'TRUNCATED':
        if (notification.of !== 'PK_SIGN' && notification.of !== 'RSA_SIGN') break;
        await this.#takeRequest(notification.of, () =>
          Promise.resolve(cutOff(notification.line.length, this.#record(undefined))),
        );
        return;
      case 'HOLD':
        this.#beginHold(notification.waitSeconds);
        return;
      case 'NEED-CERTIFICATE':
        this.#supply.ask(notification.hint);
        this.#healing.asked('NEED-CERTIFICATE');
        this.#takeCertificate();
        return;
      case 'FATAL':
        emit({ type: 'daemon-ended', text: notification.text });
        return;
      case 'STATE':
        this.#tellState(notification);
        this.#questions.note(notification);
        return;
      default:
        if (this.#questions.hear(notification)) return;
    }
    emit({ type: 'notification', notification: notification.type });
  }

  /**
   * Has the daemon tell its state from now on, and what it is. Once a connection, when the daemon has what it waited for: what
   * comes next may wait for the reply. Behind a relay it is its clients' to ask, and what they have asked for is heard.
   */
  #follow(): void {
    const { relay, signal } = this.#options;
    if (this.#isFollowed || this.#isGone || relay !== undefined) return;
    this.#isFollowed = true;
    this.#client.stateHistory(1, { follow: true, signal, timeout: STATE_TIMEOUT }).then(
      ([state]) => {
        // the daemon's next one may have come behind the reply and be known first
        if (state && !this.#isGone && !this.#knowsState) this.#tellState(state);
      },
      () => undefined, // it is only for people to see
    );
  }

  #tellState({ name, detail, time }: StateEntry): void {
    this.#knowsState = true;
    if (name === 'RECONNECTING') this.#restarted();
    // not in the midst of its handshake: the server would be left with half of one
    if (name === 'CONNECTED') this.#supply.signedOn();
    this.#uses?.tellState(name);
    this.#options.emit({ type: 'daemon-state', state: name, detail, since: time * 1000 });
  }

  /**
   * One request at a time. A real daemon stands still until it has its answer: whoever asks again at once waits for the first
   * answer, and is not read meanwhile; who asks again later was restarted, and gets the new answer only.
   */
  async #takeRequest(type: SignType, sign: (wanted: AbortController) => Promise<Outcome>): Promise<void> {
    this.#healing.asked(type);
    const since = this.#options.clock.now();
    if (this.#current !== undefined && since - this.#current.since < RESTART_PAUSE) await this.#current.done;
    await this.#keepPace();
    if (this.#isGone) return;
    if (this.#options.signal.aborted) {
      // who asks during a stop asks whoever comes next: one that never ceases to ask must not keep us from ending
      this.#request.stop();
      return;
    }
    this.#questions.over();
    this.#fruitless?.clear();
    this.#releases = 0;
    this.#options.emit({ type: 'request-received', notification: type });
    const current = { since, done: this.#answer(type, sign, this.#request.renew()) };
    this.#current = current;
    void current.done.then(() => {
      if (this.#current === current) this.#current = undefined;
    });
  }

  /** Whoever asks again and again for what it does not get is not read for a while. */
  async #keepPace(): Promise<void> {
    const { pace, clock } = this.#options;
    const delay = pace?.delay ?? 0;
    if (delay === 0 || this.#isGone || this.#options.signal.aborted) return;
    this.#slowed = new AbortController();
    await pause(clock, delay, this.#slowed.signal);
    this.#slowed = undefined;
  }

  /** Settles when the answer is written, a turn of the event loop later: other connections have theirs in between. */
  async #answer(
    type: SignType,
    sign: (wanted: AbortController) => Promise<Outcome>,
    wanted: AbortController,
  ): Promise<void> {
    const signed = sign(wanted);
    this.#track(signed);
    const outcome = await signed;
    if (outcome.outcome !== 'signed') this.#options.pace?.count();
    if (outcome.outcome !== 'dropped') {
      const signature = outcome.outcome === 'signed' ? outcome.signature : null;
      // an answer that comes at the deadline is still to be written
      this.#track(this.#reply(type, signature, wanted.signal.aborted ? this.#request.renew() : wanted));
    }
    // behind the answer: the daemon does not wait for our log
    this.#options.emit({ type: 'request-done', outcome });
    if (outcome.outcome === 'failed' && outcome.code !== undefined && KEY_FAILURES.has(outcome.code))
      this.#options.onKeyFailure?.();
    // behind a relay its state may not be heard
    if (this.#options.relay !== undefined) this.#supply.signedOn();
    await nextTurn();
  }

  #sign(request: RawRequest, wanted: AbortController): Promise<Outcome> {
    const { gates, decide, deadline, clock, emit } = this.#options;
    const key = (): Promise<OpenedKey> => this.#supply.key();
    const record = this.#record(request.data);
    const onSlow: AnswerOptions['onSlow'] = (about) => {
      emit({ type: 'request-slow', ...about });
    };
    return answer(request, {
      ...{ gates, key, record, deadline, wanted, clock, onSlow },
      decide: decide && ((asked, signal) => decide(asked, this.#uses ? [this.#uses] : [], signal)),
    });
  }

  #record(data: string | undefined): RequestRecord | undefined {
    return this.#options.record?.({ daemon: () => this.#identity.known(), data });
  }

  /** Writes the answer at once; settles when it is acknowledged, or when nobody cares any more. Never throws. */
  async #reply(type: SignType, signature: Buffer | null, wanted: AbortController): Promise<void> {
    const { signal } = wanted;
    // at once, and not when this goes on: the next request may stand right behind the acknowledgement
    const onReply = (): void => {
      this.#request.finish(wanted);
    };
    const options = { signal, timeout: ACKNOWLEDGED_WITHIN, onReply };
    try {
      if (type === 'RSA_SIGN') await this.#client.rsaSig(signature, options);
      else await this.#client.pkSig(signature, options);
      this.#healing.taken();
      this.#follow();
    } catch (error) {
      if (errorCode(error) !== 'ERR_MANAGEMENT_COMMAND') {
        this.#failed(type, error, signal);
        return;
      }
      this.#options.emit({ type: 'answer-refused', notification: type, error: errorText(error) });
      this.#healing.refused(type, error);
    } finally {
      this.#request.finish(wanted);
    }
  }

  /** It begins anew, and wants nothing any more of what it asked for: no person is to touch a token for that. */
  #restarted(): void {
    this.#request.stop();
    this.#healing.moved();
    this.#supply.restarted();
  }

  #beginHold(waitSeconds: number | undefined): void {
    const { emit, clock } = this.#options;
    this.#questions.clear();
    this.#questions.stop();
    emit({ type: 'daemon-held' });
    this.#restarted();
    if (this.#releases > 0) this.#tellFruitless();
    const pause = Math.min((waitSeconds ?? 0) * 1000, LONGEST_HOLD);
    if (pause >= LONG_HOLD) emit({ type: 'hold-paused', waitSeconds: pause / 1000 });
    this.#holdUntil = clock.now() + pause;
    this.#handle('HOLD', this.#hold, (signal) => this.#leaveHold(signal));
  }

  async #leaveHold(signal: AbortSignal): Promise<void> {
    const { relay, emit, clock } = this.#options;
    for (let wait = this.#holdUntil - clock.now(); wait > 0; wait = this.#holdUntil - clock.now()) {
      // the hold takes the place of the daemon's own pause between tries: released at once it would hammer the server
      await pause(clock, wait, signal);
      if (signal.aborted) return;
    }
    // after the pause, in which a token may go away
    await this.#key('HOLD', signal, async ({ signer }) => signer.availability?.ready());
    if (clock.now() < this.#holdUntil) {
      await this.#leaveHold(signal);
      return;
    }
    if (relay?.takeHold(this.#client) === false) return;
    this.#releases += 1;
    await this.#client.holdRelease({ signal });
    emit({ type: 'hold-released' });
    this.#follow();
  }

  #tellFruitless(): void {
    const details = { releases: this.#releases };
    this.#fruitless ??= this.#trouble('release');
    this.#fruitless.set({ trouble: 'fruitless-release', level: 'warn', details, patience: FRUITLESS_PATIENCE });
  }

  #takeCertificate(): void {
    this.#handle('NEED-CERTIFICATE', this.#certificate, (signal) => this.#sendCertificates(signal));
  }

  async #sendCertificates(signal: AbortSignal): Promise<void> {
    const offer = await this.#key('NEED-CERTIFICATE', signal, (opened) => this.#supply.offer(opened));
    const complaint = this.#supply.complaintOf(offer);
    if (complaint) {
      this.#questions.complain(complaint);
      return;
    }
    if (this.#options.relay?.takeCertificate(this.#client) === false) return;
    this.#questions.clear();
    await this.#supply.give(offer, signal);
    this.#healing.taken();
  }

  /** Waits for the key, and says so if that takes its time. */
  async #key<T>(kind: HeldKind, signal: AbortSignal, use: (key: OpenedKey) => Promise<T>): Promise<T> {
    const waiting = this.#trouble('key');
    waiting.set({ trouble: 'key-not-ready', level: 'warn', patience: KEY_PATIENCE });
    this.#waitsForKey = [...this.#waitsForKey, kind];
    try {
      const used = await unlessAborted(this.#options.key().then(use), signal);
      waiting.clear();
      return used;
    } finally {
      this.#waitsForKey = this.#waitsForKey.filter((each) => each !== kind);
      waiting.stop();
    }
  }

  #trouble(subject: TroubleSubject): Trouble {
    return new Trouble(this.#options.emit, subject, this.#options.clock);
  }

  #track(work: Promise<unknown>): void {
    this.#busy = [...this.#busy, work];
    void work.then(() => {
      this.#busy = this.#busy.filter((each) => each !== work);
    });
  }

  /**
   * Does work of a kind, instead of what is under way; but what waits for the key waits on: it serves for the new one too.
   * What goes wrong with one concerns no other.
   */
  #handle(kind: HeldKind, latest: Latest, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#waitsForKey.includes(kind)) return;
    const given = latest.renew();
    const { signal } = given;
    work(signal)
      .catch((error: unknown) => {
        this.#failed(kind, error, signal);
        if (kind === 'NEED-CERTIFICATE') this.#healing.refused(kind, error);
      })
      .finally(() => {
        latest.finish(given);
      });
  }

  #failed(notification: Notification['type'], error: unknown, signal: AbortSignal): void {
    // given up, or to be stopped: why is told elsewhere
    const isExpected = signal.aborted || this.#isGone || this.#options.signal.aborted;
    this.#options.emit({ type: 'answer-failed', notification, error: errorText(error), isExpected });
  }
}
