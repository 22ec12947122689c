import { isUtf8 } from 'node:buffer';
import type { LoginSettings } from '../../config/answers.ts';
import { isTyped, type Login, mayReadUnasked, readLogin } from '../../config/secrets.ts';
import { AgentError } from '../../errors.ts';
import {
  type CommandOptions,
  concatenatedResponse,
  type DynamicChallenge,
  dynamicChallengeOf,
  dynamicChallengeResponse,
  type ManagementClient,
  type PasswordNotification,
  type StaticChallenge,
  staticChallengeResponse,
} from '../../management/index.ts';
import { Secret } from '../../secret.ts';
import type { Emit, TunnelEvent } from '../events.ts';
import type { AnswerMemory, AnswerPrint, SentAnswer } from './answer-memory.ts';
import { echoVariable, refuseAgain, responseTo } from './challenge.ts';
import { type Answer, NotYet, type Plan } from './plan.ts';
import type { TunnelAnswers } from './tunnel-answers.ts';

type Need = Extract<PasswordNotification, { form: 'need' }>;
type Failed = Extract<PasswordNotification, { form: 'failed' }>;

/** Milliseconds between looks at a source whose password was refused. */
const LOOK_AGAIN = 10_000;
/** Milliseconds in which a server's challenge can be answered. */
const CHALLENGE_LIFE = 300_000;

/** Usernames and passwords for one connection, and what became of those that were sent. */
export class Logins {
  readonly #tunnel: TunnelAnswers;
  readonly #emit: Emit<TunnelEvent>;
  /** The last answer for each thing, until its server says what it thinks of it, or the daemon wants another one. */
  readonly #sent = new Map<string, SentAnswer>();
  /** What the server wants to know at the next login. */
  #challenge: { readonly challenge: DynamicChallenge; readonly at: number } | undefined;
  /** The daemon logs in with a token that the server gave, not with the password. */
  #usesToken = false;

  constructor(tunnel: TunnelAnswers, emit: Emit<TunnelEvent>) {
    this.#tunnel = tunnel;
    this.#emit = emit;
  }

  /** Undefined for what the settings have no password for. */
  plan(need: Need): Plan | undefined {
    const { name, staticChallenge } = need;
    // a refusal behind this is of what it is given now, by whomever
    this.#sent.delete(name);
    const known: Readonly<Record<string, LoginSettings | undefined>> = this.#tunnel.settings.logins;
    const login = Object.hasOwn(known, name) ? known[name] : undefined;
    if (login === undefined) return undefined;
    return {
      ...{ type: 'PASSWORD', name, right: 'operate' },
      text: `${need.wants} ${staticChallenge?.text ?? ''}`,
      prepare: (signal) => this.#prepare(need, login, signal),
    };
  }

  /** The daemon says what became of a login. */
  note(notification: PasswordNotification): void {
    if (notification.form === 'auth-token') this.#usesToken = true;
    else if (notification.form === 'failed') this.#noteFailure(notification);
  }

  #noteFailure(failed: Failed): void {
    const { reason } = failed;
    // without a name it is of the login at the server
    const name = failed.name ?? 'Auth';
    const sent = this.#sent.get(name);
    if (name === 'Auth' && this.#usesToken) {
      // the token is over; the password that the daemon takes next was not looked at
      this.#usesToken = false;
      return;
    }
    const challenge = name === 'Auth' ? dynamicChallengeOf(failed) : undefined;
    if (challenge !== undefined) {
      this.#challenge = { challenge, at: this.#tunnel.clock.now() };
      // once more a challenge, where one was answered: the answer was wrong
      if (sent?.login === undefined) this.#refuse(name, sent);
      return;
    }
    // the server can't say at the moment, or a session of its own is over
    if (reason !== undefined && /^(?:TEMP|SESSION)\b/.test(reason)) return;
    this.#refuse(name, sent);
    // a challenge is of the login that followed it
    if (name === 'Auth') this.#challenge = undefined;
    const isSecret = reason?.includes('CRV1') === true;
    this.#emit({ type: 'login-refused', name, ...(reason !== undefined && !isSecret && { reason }) });
  }

  #refuse(name: string, sent: SentAnswer | undefined): void {
    if (sent === undefined) return;
    this.#tunnel.memory(name).refuse(sent);
    this.#sent.delete(name);
  }

  async #prepare(need: Need, settings: LoginSettings, signal: AbortSignal): Promise<Answer> {
    const memory = this.#tunnel.memory(need.name);
    if (need.name === 'Auth' && need.staticChallenge === undefined) {
      const { challenge, at = 0 } = this.#challenge ?? {};
      if (challenge && this.#tunnel.clock.now() - at < CHALLENGE_LIFE)
        return await this.#answerChallenge(need, challenge, memory, signal);
    }
    const what = `login '${need.name}' of tunnel '${this.#tunnel.tunnel}'`;
    const login = await readLogin(settings, what, this.#tunnel.secrets(signal));
    try {
      checkBeginning('username', login.username, what);
      checkBeginning('password', login.password, what);
      if (need.wants !== 'password') checkText('username', login.username, what);
      if (need.staticChallenge !== undefined) checkText('password', login.password, what);
      const print = memory.print([login.username?.bytes ?? '', login.password.bytes]);
      if (memory.isRefused({ login: print }) && !isTyped(settings)) throw refusedBefore(settings);
      const { staticChallenge } = need;
      if (staticChallenge === undefined) return this.#answer(need, login, memory, { login: print });
      return await this.#answerStatic(need, staticChallenge, { login, print }, memory, signal);
    } catch (error) {
      destroy(login);
      throw error;
    }
  }

  async #answerStatic(
    need: Need,
    { text, echo, concat }: StaticChallenge,
    { login, print }: { readonly login: Login; readonly print: string },
    memory: AnswerMemory,
    signal: AbortSignal,
  ): Promise<Answer> {
    const asked = { question: 'static-challenge', text, variables: echoVariable(echo) };
    const response = await responseTo(asked, this.#tunnel, signal);
    const prints = { login: print, response: memory.print([print, response]) };
    refuseAgain(memory, { response: prints.response });
    const pack = concat ? concatenatedResponse : staticChallengeResponse;
    const password = new Secret(pack(login.password.reveal(), response));
    login.password.destroy();
    return this.#answer(need, { ...login, password }, memory, prints);
  }

  /** A challenge that came with the last refusal: its answer takes the place of the password. */
  async #answerChallenge(
    need: Need,
    challenge: DynamicChallenge,
    memory: AnswerMemory,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { text, echo, responseRequired, username } = challenge;
    let response = '';
    let print: string | undefined;
    if (responseRequired) {
      refuseAgain(memory, {});
      const asked = { question: 'dynamic-challenge', text, variables: echoVariable(echo) };
      response = await responseTo(asked, this.#tunnel, signal);
      print = memory.print([username, response]);
      refuseAgain(memory, { response: print });
    }
    const password = new Secret(dynamicChallengeResponse(challenge, response));
    return this.#answer(need, { username: new Secret(username), password }, memory, { response: print });
  }

  #answer({ name, wants }: Need, login: Login, memory: AnswerMemory, print: AnswerPrint): Answer {
    return {
      send: async (client, options) => {
        if (name === 'Auth') await haveAskedAgain(client, options);
        if (wants !== 'password') await client.username(name, login.username?.reveal() ?? '', options);
        if (wants === 'username') return;
        // what comes of it may be told right behind the reply
        this.#sent.set(name, { ...print, at: this.#tunnel.clock.now() });
        memory.sent(print);
        if (name === 'Auth') [this.#challenge, this.#usesToken] = [undefined, false];
        await client.password(name, login.password, options);
      },
      destroy: () => {
        destroy(login);
      },
    };
  }
}

/**
 * Has the daemon ask anew when its server refuses the password. By itself it ends (`auth-retry none`), so that a challenge
 * finds nobody and its supervisor starts it again, or sends the same password for ever (`nointeract`). Each time, since a
 * daemon that reads its configuration anew forgets it.
 */
async function haveAskedAgain(client: ManagementClient, options: CommandOptions): Promise<void> {
  await client.setAuthRetry('interact', options).catch(() => undefined);
}

/** What is sent as text must be one: other bytes would be replaced, and the server count a login that nobody meant. */
function checkText(kind: 'username' | 'password', secret: Secret | undefined, what: string): void {
  if (secret === undefined || isUtf8(secret.bytes)) return;
  throw new AgentError('ERR_ANSWER', `the ${kind} of ${what} is not UTF-8`, {
    hint: 'write it in UTF-8; it was not sent',
  });
}

/** A server counts what an editor wrote before the first line as a part of it. */
function checkBeginning(kind: 'username' | 'password', secret: Secret | undefined, what: string): void {
  if (secret?.hasByteOrderMark !== true) return;
  throw new AgentError('ERR_ANSWER', `the ${kind} of ${what} begins with a byte order mark`, {
    hint: 'an editor wrote it: save the file as UTF-8 without one; it was not sent',
  });
}

function destroy({ username, password }: Login): void {
  username?.destroy();
  password.destroy();
}

function refusedBefore(settings: LoginSettings): NotYet {
  const error = new AgentError('ERR_ANSWER_REFUSED', 'this password was refused: it is not sent again', {
    reason: 'refused-login',
  });
  return new NotYet(error, mayReadUnasked(settings) ? LOOK_AGAIN : undefined);
}
