// Tokens: what they hold, and what they think of PINs.
import { CKF } from '../../src/pkcs11/constants.ts';
import { type NamedToken, recordFileName } from '../../src/pkcs11/pins/token-name.ts';
import { STATE_FOLDER } from './audit-watch.ts';
import { disk } from './disk.ts';
import { kernel, type Process } from './kernel.ts';
import type { SimulatedKey } from './keys.ts';

/** One C_Login, as the token saw it. */
export interface LoginAttempt {
  readonly pin: string;
  readonly isRight: boolean;
  readonly at: number;
  /** The agent's run that heard what came of it, and when. */
  toldTo?: Process;
  toldAt?: number;
}

export interface TokenOptions {
  readonly label: string;
  readonly serial: string;
  readonly pin: string;
  readonly key: SimulatedKey;
  readonly isRemovable: boolean;
  readonly alwaysAuthenticates: boolean;
  readonly showsTries: boolean;
}

const TRIES = 3;
/** Milliseconds before a login within which an agent looks at what a token shows. */
const LOOKED_WITHIN = 1_000;
/** Milliseconds after which what a token said is on the disk: however slow that is, and where nothing is amiss with it. */
const RECORDED_WITHIN = 30_000;
const RECORDED_SOON = 500;

/** A token with one key pair. */
export class Token {
  readonly label: string;
  readonly serial: string;
  pin: string;
  readonly key: SimulatedKey;
  readonly isRemovable: boolean;
  readonly alwaysAuthenticates: boolean;
  readonly showsTries: boolean;
  /** When others last spent tries of it. */
  spentAt: number = Number.NEGATIVE_INFINITY;
  readonly attempts: LoginAttempt[] = [];
  tries: number = TRIES;
  /** The run of the agent that has its key in another token of this label. */
  isNotFor: Process | undefined;
  /** When it last took a PIN. */
  openedAt: number = Number.NEGATIVE_INFINITY;
  /** How often it was pulled: sessions of before are void. */
  insertions = 0;
  /** Logins that hosts were asked for, and those that were written down and never asked for: the agent died in between. */
  asked = 0;
  unmade = 0;
  /** Those on the disk that are counted, as one or the other. */
  readonly #counted = new Set<string>();

  constructor(options: TokenOptions) {
    this.label = options.label;
    this.serial = options.serial;
    this.pin = options.pin;
    this.key = options.key;
    this.isRemovable = options.isRemovable;
    this.alwaysAuthenticates = options.alwaysAuthenticates;
    this.showsTries = options.showsTries;
  }

  get flags(): number {
    const { TOKEN_INITIALIZED, LOGIN_REQUIRED, USER_PIN_COUNT_LOW, USER_PIN_FINAL_TRY, USER_PIN_LOCKED } = CKF;
    const state = this.tries === 0 ? USER_PIN_LOCKED : this.tries === 1 ? USER_PIN_FINAL_TRY | USER_PIN_COUNT_LOW : 0;
    const low = this.tries < TRIES && this.tries > 1 ? USER_PIN_COUNT_LOW : 0;
    return TOKEN_INITIALIZED | LOGIN_REQUIRED | (this.showsTries || this.tries === 0 ? state | low : 0);
  }

  /** @returns undefined if the PIN is right */
  login(pin: string, shown: number): 'CKR_PIN_INCORRECT' | 'CKR_PIN_LOCKED' | undefined {
    const isRight = pin === this.pin;
    const attempt: LoginAttempt = { pin, isRight, at: kernel().now };
    last.login = attempt;
    const name = `token ${this.label} (${this.serial})`;
    kernel().say(name, `C_Login with ${isRight ? 'the right' : 'a wrong'} PIN, ${this.tries} tries left`);
    kernel().count(isRight ? 'login' : 'wrong PIN');
    disk().watcher('login');
    if ((shown & (CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED)) !== 0)
      kernel().violate(`${name} showed that one try or none is left, and was sent a PIN`);
    if (this.isNotFor === kernel().process) kernel().violate(`${name} was sent a PIN, and the key is in another token`);
    if (!isRight) this.#checkNotAgain(attempt, name);
    this.attempts.push(attempt);
    if (this.tries === 0) return 'CKR_PIN_LOCKED';
    if (isRight) {
      this.openedAt = kernel().now;
      this.tries = TRIES;
      return undefined;
    }
    this.tries -= 1;
    // nobody can know what others spent since the flags were looked at, or where they are not shown
    const isOfOthers = this.showsTries ? kernel().now - this.spentAt < LOOKED_WITHIN : this.spentAt > 0;
    if (this.tries === 0 && !isOfOthers) kernel().violate(`${name} was locked by the agent`);
    return 'CKR_PIN_INCORRECT';
  }

  get about(): NamedToken {
    return { manufacturer: 'Simulation', model: 'Token', serial: this.serial, label: this.label };
  }

  /** The times of logins without an outcome that stand on the disk. */
  #writtenLogins(): string[] {
    const text = disk().textOnDisk(STATE_FOLDER, recordFileName(this.about)) ?? '';
    return [...text.matchAll(/"attemptedAt":\[([^\]]*)\]/g)].flatMap(([, at = '']) => at.split(','));
  }

  /** A login is on the disk before it is made: nothing that happens then makes it be forgotten. */
  checkWritten(): void {
    if (this.#writtenLogins().length === 0)
      kernel().violate(`token ${this.label} (${this.serial}) is sent a PIN, and that is not on the disk`);
  }

  /** A host is asked for a login. */
  loginAsked(): void {
    this.asked += 1;
    for (const login of this.#writtenLogins()) this.#counted.add(login);
  }

  /** The agent dies: perhaps between the two. Who comes next can't know that the token saw nothing. */
  agentDied(): void {
    for (const login of this.#writtenLogins()) {
      if (!this.#counted.has(login)) this.unmade += 1;
      this.#counted.add(login);
    }
  }

  /** How many logins the agent must count that it never saw. */
  get unseen(): number {
    return this.asked + this.unmade - this.attempts.length;
  }

  #checkNotAgain({ pin }: LoginAttempt, name: string): void {
    const before = this.attempts.filter((each) => each.pin === pin && !each.isRight);
    const world = kernel();
    const isTold = before.some((each) => each.toldTo === world.process || isRemembered(each));
    if (isTold) world.violate(`${name} refused a PIN, and was sent it again`);
    else if (before.length >= 2) world.violate(`${name} was sent one wrong PIN ${before.length + 1} times`);
  }
}

/** Whether what came of a login is known to all runs of the agent from then on: the one that heard it had the time to write it down. */
export function isRemembered({ toldTo, toldAt = 0 }: LoginAttempt): boolean {
  if (!toldTo || toldTo.hasUnrecordedPins) return false;
  if (toldTo.hasEnded) return true;
  const within = disk().troubledAt < toldAt ? RECORDED_SOON : RECORDED_WITHIN;
  return (toldTo.isAlive ? kernel().now : toldTo.diedAt) - toldAt > within;
}

/** Whether what the agent says of its PIN is so: it was refused or has few tries, or the outcome of a login was not heard. */
export function bearsOut({ attempts, tries, unseen }: Token, code: string): boolean {
  if (code !== 'ERR_PIN_UNSETTLED') return tries < TRIES || attempts.some(({ isRight }) => !isRight);
  return unseen > 0 || !attempts.every(isRemembered);
}

/** The C_Login that was made last, and the token of the session that was opened last: whoever answers the agent looks. */
export const last: { login: LoginAttempt | undefined; opened: Token | undefined } = {
  login: undefined,
  opened: undefined,
};
