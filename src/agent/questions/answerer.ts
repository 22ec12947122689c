import { type Clock, pause } from '../../clock.ts';
import { AgentError, errorCode, errorText } from '../../errors.ts';
import type { ManagementClient, Notification, Relay } from '../../management/index.ts';
import { isAborted } from '../../promises.ts';
import type { Emit, TunnelEvent } from '../events.ts';
import { Latest } from '../latest.ts';
import type { Trouble } from '../trouble.ts';
import { planChallengeText } from './challenge.ts';
import { planLink } from './links.ts';
import { Logins } from './logins.ts';
import { planNeedOk, planNeedStr, planProxy, planRemote } from './plain-answers.ts';
import { type Answer, NotYet, type Plan } from './plan.ts';
import type { TunnelAnswers } from './tunnel-answers.ts';

/** The connection whose daemon asks. */
export interface Asking {
  readonly client: ManagementClient;
  readonly relay: Relay | undefined;
  readonly emit: Emit<TunnelEvent>;
  /** The daemon waits for an answer. */
  readonly trouble: Trouble;
  readonly clock: Clock;
  /** The daemon has its answer. */
  readonly onAnswered: () => void;
}

/** Milliseconds that a relay's client has for its answer, before ours is given. */
const CLIENTS_FIRST = 15_000;
/** Milliseconds between tries to get an answer: the first pause, and the longest. */
const FIRST_PAUSE = 10_000;
const LONGEST_PAUSE = 300_000;
/** Milliseconds in which a question that comes again is paced, how often it may come until then, and the longest pause. */
const AGAIN = 60_000;
const AT_ONCE = 5;
const LONGEST_PACE = 30_000;

/** What one question at a time is answered with; what is under way. */
class Lane {
  readonly latest = new Latest();
  key: string | undefined;
}

/** Answers the questions of one connection, as the settings say. */
export class Answerer {
  readonly #tunnel: TunnelAnswers;
  readonly #asking: Asking;
  readonly #logins: Logins;
  /** The daemon waits with one question. A server's challenge and a link stand beside it. */
  readonly #lanes = { question: new Lane(), challenge: new Lane(), link: new Lane() };
  /** How often each question came, and when last. */
  readonly #times = new Map<string, { count: number; at: number }>();

  constructor(tunnel: TunnelAnswers, asking: Asking) {
    this.#tunnel = tunnel;
    this.#asking = asking;
    this.#logins = new Logins(tunnel, asking.emit);
  }

  /** Begins to answer. False if the settings have no answer to that. */
  take(notification: Notification): boolean {
    const plan = this.#planOf(notification);
    if (plan === undefined) return false;
    const { lane } = plan;
    const key = `${plan.type} ${plan.name ?? ''} ${plan.text}`;
    // under way already: the daemon is no faster for asking again
    if (lane.key === key) return true;
    lane.key = key;
    const given = lane.latest.renew();
    const leave = (): void => {
      if (!given.signal.aborted) lane.key = undefined;
      lane.latest.finish(given);
    };
    void this.#answer(plan, given.signal, leave).finally(leave);
    return true;
  }

  /** What the daemon says of logins. */
  note(notification: Notification): void {
    if (notification.type === 'PASSWORD') this.#logins.note(notification);
    if (notification.type === 'STATE' && notification.name === 'CONNECTED') this.#tunnel.accept();
  }

  /** The daemon goes on: it waits for no answer any more. */
  over(): void {
    this.#stop(this.#lanes.question);
  }

  /** The daemon begins anew, or has gone. */
  stop(): void {
    for (const lane of Object.values(this.#lanes)) this.#stop(lane);
  }

  #stop(lane: Lane): void {
    lane.latest.stop();
    lane.key = undefined;
  }

  #planOf(it: Notification): (Plan & { readonly lane: Lane }) | undefined {
    const { question, challenge, link } = this.#lanes;
    const { settings } = this.#tunnel;
    const on = (lane: Lane, plan: Plan | undefined) => plan && { ...plan, lane };
    switch (it.type) {
      case 'PASSWORD':
        return it.form === 'need' ? on(question, this.#logins.plan(it)) : undefined;
      case 'NEED-OK':
        return on(question, planNeedOk(it, settings));
      case 'NEED-STR':
        return on(question, planNeedStr(it, settings));
      case 'REMOTE':
        return on(question, planRemote(it, settings));
      case 'PROXY':
        return on(question, planProxy(it, settings));
      case 'INFOMSG':
        if (it.message.kind === 'CR_TEXT' && it.message.responseRequired)
          return on(challenge, planChallengeText(it.message.text, it.message.echo, this.#tunnel));
        if (it.message.kind === 'WEB_AUTH' || it.message.kind === 'OPEN_URL')
          return on(link, planLink(it.message, this.#tunnel));
        return undefined;
      default:
        return undefined;
    }
  }

  /**
   * Never throws.
   * @param onSend an answer is sent from now on: what the daemon asks behind it is another question
   */
  async #answer(plan: Plan, signal: AbortSignal, onSend: () => void): Promise<void> {
    const pace = this.#pace(plan);
    if (pace > 0) await pause(this.#asking.clock, pace, signal);
    if (!(await this.#isOurs(plan, signal))) return;
    for (let longest = FIRST_PAUSE; !isAborted(signal); longest = Math.min(longest * 2, LONGEST_PAUSE)) {
      const notYet = await this.#try(plan, signal, onSend);
      if (notYet === undefined || isAborted(signal)) return;
      const { error, after } = notYet;
      const { code } = error;
      const details = { notification: plan.type, name: plan.name, code, error: errorText(error) };
      const trouble = code === 'ERR_ANSWER_REFUSED' ? 'answer-refused' : 'answer-missing';
      this.#asking.trouble.set({ trouble, level: 'error', details });
      await this.#tunnel.wait(after === undefined ? undefined : Math.max(after, longest), signal);
    }
  }

  /** Why there is no answer yet; undefined if it needs none any more. */
  async #try(plan: Plan, signal: AbortSignal, onSend: () => void): Promise<NotYet | undefined> {
    const { client, relay, emit, trouble, onAnswered } = this.#asking;
    let answer: Answer | undefined;
    try {
      answer = await plan.prepare(signal);
      if (isAborted(signal)) return undefined;
      if (plan.isAction !== true && relay?.takeQuestion(client, plan.type) === false) return undefined;
      onSend();
      await answer.send(client, {});
      trouble.clear();
      emit({ type: 'question-answered', notification: plan.type, ...(plan.name !== undefined && { name: plan.name }) });
      onAnswered();
      return undefined;
    } catch (error) {
      if (error instanceof NotYet) return error;
      if (isAborted(signal) || errorCode(error) === 'ERR_ABORTED') return undefined;
      // what can't be sent, or could not be had: it may be another one next time
      if (error instanceof AgentError && ['ERR_ANSWER', 'ERR_MANAGEMENT_ARGUMENT'].includes(error.code))
        return new NotYet(error, FIRST_PAUSE);
      const isExpected = errorCode(error) === 'ERR_MANAGEMENT_CLOSED';
      emit({ type: 'answer-failed', notification: plan.type, error: errorText(error), isExpected });
      return undefined;
    } finally {
      answer?.destroy?.();
    }
  }

  /** A relay's client that may answer goes first, and has its time. */
  async #isOurs(plan: Plan, signal: AbortSignal): Promise<boolean> {
    const { client, relay, clock } = this.#asking;
    if (relay?.hasClient(plan.right) !== true) return true;
    if (plan.isAction === true) return false;
    await pause(clock, CLIENTS_FIRST, signal);
    return !isAborted(signal) && relay.isAsking(client, plan.type);
  }

  /** Milliseconds before a question is answered that comes again and again. */
  #pace({ type, name }: Plan): number {
    const now = this.#asking.clock.now();
    const key = `${type} ${name ?? ''}`;
    const { count, at } = this.#times.get(key) ?? { count: 0, at: now };
    const next = now - at > AGAIN ? 1 : count + 1;
    this.#times.set(key, { count: next, at: now });
    return next <= AT_ONCE ? 0 : Math.min(1000 * 2 ** (next - AT_ONCE - 1), LONGEST_PACE);
  }
}
