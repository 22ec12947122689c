import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { errorCode, errorText } from '../errors.ts';
import { certificatePem } from '../keyfile/pem.ts';
import type { CloseReason, DaemonSignal, ManagementClient, Notification, Relay } from '../management/index.ts';
import { answer, type Answer } from './answer.ts';
import { Latest } from './latest.ts';
import type { Log } from './log.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { type Clock, Trouble } from './trouble.ts';
import { unlessAborted } from '../promises.ts';

/** How a daemon is served, whichever connection it came by. */
export interface ServiceOptions {
  /** The tunnel's name, for the log. */
  readonly tunnel: string;
  readonly key: () => Promise<OpenedKey>;
  readonly deadline: number;
  readonly relay?: Relay | undefined;
  readonly signal: AbortSignal;
  /** For what a daemon can't make happen more often than it gets signatures. */
  readonly log: Log;
  /** For all else. */
  readonly limitedLog: Log;
  readonly clock: Clock;
}

type SignType = 'PK_SIGN' | 'RSA_SIGN';
/** What waits until the key is ready. */
type HeldKind = 'HOLD' | 'NEED-CERTIFICATE';
type Question = Extract<Notification, { type: 'PASSWORD' | 'NEED-OK' | 'NEED-STR' | 'PROXY' | 'REMOTE' }>;

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
/** Milliseconds in which a person at a client of the relay may answer, before a word is said. */
const RELAY_PATIENCE = 15_000;
const RELAY_HINT = 'is one connected, and may it answer (--relay-allow)?';
/** Notifications of one connection that are taken in one turn of the event loop: then the others have theirs. */
const NOTIFICATIONS_A_TURN = 64;

/** One connection to a daemon, served until it ends: at most one request, one hold and one certificate under way. */
export class ServedDaemon {
  readonly #client: ManagementClient;
  readonly #options: ServiceOptions;
  readonly #request = new Latest();
  readonly #hold = new Latest();
  readonly #certificate = new Latest();
  /** Requests under way, to their acknowledgement: a stop waits for them. */
  readonly #busy = new Set<Promise<void>>();
  /** The request that is under way. */
  #current: { readonly since: number; readonly done: Promise<void> } | undefined;
  #isGone = false;
  /** When the daemon's pause in the hold is over. */
  #holdUntil = 0;
  /** What waits for the key. */
  readonly #waitsForKey = new Set<HeldKind>();
  #releases = 0;
  /** The daemon waits for an answer that we don't have. */
  readonly #question: Trouble;
  readonly #fruitless: Trouble;

  constructor(client: ManagementClient, options: ServiceOptions) {
    this.#client = client;
    this.#options = options;
    this.#question = this.#trouble('the daemon goes on');
    this.#fruitless = this.#trouble('the daemon asks for a signature');
  }

  /** Serves until the connection ends; never throws. */
  async serve(): Promise<CloseReason> {
    const { signal, relay } = this.#options;
    const client = this.#client;
    const stop = (): void => {
      this.#hold.stop();
      this.#certificate.stop();
      // a stop waits for signatures, not for a key that may never be ready
      void this.#idle().then(() => client.close());
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    // before the relay hears of it, to whom a daemon that has gone asks nothing
    void client.closed.then(() => {
      this.#leave();
    });
    relay?.attach(client, () => {
      this.#question.clear();
    });
    try {
      let taken = 0;
      for await (const notification of client) {
        await this.#take(notification);
        taken += 1;
        if (taken % NOTIFICATIONS_A_TURN === 0) await nextTurn();
      }
    } catch {
      // a daemon that broke the protocol: `closed` says how
    }
    signal.removeEventListener('abort', stop);
    const reason = await client.closed;
    await this.#idle();
    return reason;
  }

  async signal(name: DaemonSignal): Promise<void> {
    await this.#client.signal(name);
  }

  async #idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  /** What belongs to a connection that has gone is dropped. */
  #leave(): void {
    this.#isGone = true;
    for (const work of [this.#request, this.#hold, this.#certificate]) work.stop();
    this.#question.stop();
    this.#fruitless.stop();
  }

  /** Begins with what a notification wants. Settles when the next one may be taken. */
  async #take(notification: Notification): Promise<void> {
    const { relay, limitedLog, tunnel } = this.#options;
    switch (notification.type) {
      case 'PK_SIGN':
      case 'RSA_SIGN': {
        const { type, data, algorithm } = notification;
        await this.#takeRequest(type, (signal) => this.#sign({ data, algorithmText: algorithm }, signal));
        return;
      }
      case 'TRUNCATED':
        if (notification.of !== 'PK_SIGN' && notification.of !== 'RSA_SIGN') break;
        await this.#takeRequest(notification.of, () => Promise.resolve(this.#refuseCut(notification.line.length)));
        return;
      case 'HOLD':
        this.#beginHold(notification.waitSeconds);
        return;
      case 'NEED-CERTIFICATE':
        this.#handle('NEED-CERTIFICATE', this.#certificate, (signal) => this.#sendCertificates(signal));
        return;
      case 'PASSWORD':
        // only the questions: other texts may hold an Auth-Token
        if (notification.form === 'need') this.#tellQuestion(notification);
        return;
      case 'NEED-OK':
      case 'NEED-STR':
        this.#tellQuestion(notification);
        return;
      case 'PROXY':
      case 'REMOTE':
        if (relay === undefined) this.#cannotAnswer(notification);
        return;
      case 'FATAL':
        limitedLog.error({ tunnel, text: notification.text }, 'the daemon ended');
        return;
      default:
    }
    limitedLog.debug({ tunnel, type: notification.type }, 'notification');
  }

  /**
   * One request at a time. A real daemon stands still until it has its answer: whoever asks again at once waits for the first
   * answer, and is not read meanwhile; who asks again later was restarted, and gets the new answer only.
   */
  async #takeRequest(type: SignType, sign: (signal: AbortSignal) => Promise<Answer>): Promise<void> {
    const since = this.#options.clock.now();
    if (this.#current !== undefined && since - this.#current.since < RESTART_PAUSE) await this.#current.done;
    if (this.#isGone) return;
    this.#question.clear();
    this.#fruitless.clear();
    this.#releases = 0;
    this.#options.limitedLog.debug({ tunnel: this.#options.tunnel, notification: type }, 'a signature is asked for');
    const signal = this.#request.renew();
    const current = { since, done: this.#answer(type, sign, signal) };
    this.#current = current;
    void current.done.then(() => {
      if (this.#current === current) this.#current = undefined;
    });
  }

  /** Settles when the answer is written, a turn of the event loop later: other connections have theirs in between. */
  async #answer(type: SignType, sign: (signal: AbortSignal) => Promise<Answer>, signal: AbortSignal): Promise<void> {
    const signed = sign(signal);
    this.#track(signed.then(() => undefined));
    const outcome = await signed;
    if (outcome !== 'dropped') this.#track(this.#reply(type, outcome.signature ?? null, signal));
    await nextTurn();
  }

  async #sign(request: { data: string; algorithmText: string | undefined }, signal: AbortSignal): Promise<Answer> {
    const { key, deadline, tunnel, log, limitedLog } = this.#options;
    const signer = key().then((opened) => opened.signer);
    const write = (level: keyof Log, fields: object, text: string): void => {
      (text === 'signed' ? log : limitedLog)[level]({ tunnel, ...fields }, text);
    };
    return await answer(request, signer, deadline, write, signal);
  }

  #refuseCut(length: number): Answer {
    const error = `the daemon cut its request off at ${length} bytes: leave 'digest' out of --management-external-key, or use TLS 1.3`;
    const { tunnel, limitedLog } = this.#options;
    limitedLog.error({ tunnel, outcome: 'refused', code: 'ERR_REQUEST_TRUNCATED', error }, 'refused');
    return { signature: undefined };
  }

  /** Writes the answer at once; settles when it is acknowledged, or when nobody cares any more. Never throws. */
  async #reply(type: SignType, signature: Buffer | null, signal: AbortSignal): Promise<void> {
    const options = { signal, timeout: ACKNOWLEDGED_WITHIN };
    try {
      if (type === 'RSA_SIGN') await this.#client.rsaSig(signature, options);
      else await this.#client.pkSig(signature, options);
    } catch (error) {
      if (errorCode(error) !== 'ERR_MANAGEMENT_COMMAND') {
        this.#failed(type, error, signal);
        return;
      }
      const hint = 'a connection that broke inside an answer leaves it so: send the daemon SIGUSR1';
      const { tunnel, limitedLog } = this.#options;
      limitedLog.error({ tunnel, notification: type, error: errorText(error), hint }, 'the daemon takes no signature');
    }
  }

  #beginHold(waitSeconds: number | undefined): void {
    const { limitedLog, tunnel, clock } = this.#options;
    this.#question.clear();
    limitedLog.debug({ tunnel }, 'the daemon is held');
    if (this.#releases > 0) this.#tellFruitless();
    const pause = Math.min((waitSeconds ?? 0) * 1000, LONGEST_HOLD);
    if (pause >= LONG_HOLD) {
      const hint = "its last tries failed, so it makes a pause: see the daemon's log";
      limitedLog.warn({ tunnel, waitSeconds: pause / 1000, hint }, 'the daemon is held for a while');
    }
    this.#holdUntil = clock.now() + pause;
    this.#handle('HOLD', this.#hold, (signal) => this.#leaveHold(signal));
  }

  async #leaveHold(signal: AbortSignal): Promise<void> {
    const { relay, limitedLog, tunnel, clock } = this.#options;
    for (let pause = this.#holdUntil - clock.now(); pause > 0; pause = this.#holdUntil - clock.now()) {
      // the hold takes the place of the daemon's own pause between tries: released at once it would hammer the server
      await sleep(pause, undefined, { signal });
    }
    // after the pause, in which a token may go away
    await this.#key('HOLD', signal, ({ signer }) => signer.ready());
    if (clock.now() < this.#holdUntil) {
      await this.#leaveHold(signal);
      return;
    }
    if (relay?.takeHold(this.#client) === false) return;
    this.#releases += 1;
    await this.#client.holdRelease({ signal });
    limitedLog.info({ tunnel }, 'hold released');
  }

  #tellFruitless(): void {
    const hint =
      "the handshake fails before it needs the key (management-external-key without 'pss'?), or the server does not answer: see the daemon's log, and ask 'pksigd check'";
    const text = 'the daemon is back in its hold, and asked for no signature since it was released';
    const fields = { releases: this.#releases, hint };
    this.#fruitless.set({ level: 'warn', text, fields, patience: FRUITLESS_PATIENCE });
  }

  async #sendCertificates(signal: AbortSignal): Promise<void> {
    const { relay } = this.#options;
    const { certificates } = await this.#key('NEED-CERTIFICATE', signal, (opened) => Promise.resolve(opened));
    if (certificates.length > 0) {
      this.#question.clear();
      await this.#client.certificate(certificates.map(certificatePem).join(''), { signal });
    } else if (relay?.askForCertificate(this.#client) === true) {
      const text = 'the daemon wants a certificate, and no client of the relay gives one';
      this.#question.set({ level: 'warn', text, fields: { hint: RELAY_HINT }, patience: RELAY_PATIENCE });
    } else {
      const text = 'the daemon wants a certificate and there is none: give --cert';
      this.#question.set({ level: 'error', text });
    }
  }

  /** Of a question that is not for us. */
  #tellQuestion(question: Question): void {
    const { relay } = this.#options;
    if (relay === undefined) {
      this.#cannotAnswer(question);
      return;
    }
    // one of the clients may have been faster
    if (!relay.isAsking(this.#client, question.type)) return;
    const name = 'name' in question ? { name: question.name } : {};
    const what = question.type === 'PASSWORD' ? 'for a password, and' : 'a question, and';
    const text = `the daemon asks ${what} no client of the relay answers`;
    const fields = { notification: question.type, ...name, hint: RELAY_HINT };
    this.#question.set({ level: 'warn', text, fields, patience: RELAY_PATIENCE });
  }

  #cannotAnswer(question: Question): void {
    const name = 'name' in question ? { name: question.name } : {};
    const [text, hint] =
      question.type === 'PASSWORD'
        ? [
            'the daemon asks for a password, which pksigd does not have',
            'give the daemon a file (auth-user-pass FILE), or let another management client in by --relay',
          ]
        : [
            'the daemon asks a question that pksigd does not answer',
            'let another management client in by --relay, or take the option out that makes the daemon ask',
          ];
    this.#question.set({ level: 'warn', text, fields: { notification: question.type, ...name, hint } });
  }

  /** Waits for the key, and says so if that takes its time. */
  async #key<T>(kind: HeldKind, signal: AbortSignal, use: (key: OpenedKey) => Promise<T>): Promise<T> {
    const waiting = this.#trouble('the key is ready: the daemon goes on');
    const hint = 'is the token there, and does nothing wait for its PIN?';
    const text = 'the daemon waits for the key, which is not ready';
    waiting.set({ level: 'warn', text, fields: { hint }, patience: KEY_PATIENCE });
    this.#waitsForKey.add(kind);
    try {
      const used = await unlessAborted(this.#options.key().then(use), signal);
      waiting.clear();
      return used;
    } finally {
      this.#waitsForKey.delete(kind);
      waiting.stop();
    }
  }

  #trouble(over: string): Trouble {
    const { limitedLog, tunnel, clock } = this.#options;
    return new Trouble(limitedLog, { tunnel }, over, clock);
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }

  /**
   * Does work of a kind, instead of what is under way; but what waits for the key waits on: it serves for the new one too.
   * What goes wrong with one concerns no other.
   */
  #handle(kind: HeldKind, latest: Latest, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#waitsForKey.has(kind)) return;
    const signal = latest.renew();
    work(signal).catch((error: unknown) => {
      this.#failed(kind, error, signal);
    });
  }

  #failed(notification: Notification['type'], error: unknown, signal: AbortSignal): void {
    const { limitedLog, tunnel } = this.#options;
    // given up, or to be stopped: why is said elsewhere
    const isExpected = signal.aborted || this.#isGone || this.#options.signal.aborted;
    const level = isExpected ? 'debug' : 'warn';
    limitedLog[level]({ tunnel, notification, error: errorText(error) }, 'no answer was possible');
  }
}
