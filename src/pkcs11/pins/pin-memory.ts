import { AgentError, errorText } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { UnsettledLogin, type LoginOutcome } from '../host/login-outcome.ts';
import { pinState } from './pin-state.ts';
import { HashedPin, type PinRecord, type PinUse } from './pin-record.ts';
import { Turns } from './turns.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { tokenName } from './token-name.ts';

/** The PIN that a token is to be sent. */
export interface PinTrial {
  readonly token: TokenInfo;
  readonly pin: Secret;
  readonly use: PinUse;
  /** Another process, or another login of this one, has its turn for longer than a second. */
  readonly onWaiting?: ((holder: number | undefined) => void) | undefined;
  /** What the token said could not be written down. */
  readonly onRecordFailed?: ((error: string) => void) | undefined;
}

/** What became of it, and the error that told so. */
export interface LoginResult {
  readonly outcome: LoginOutcome;
  readonly error?: unknown;
}

/** The records of one token, while no other login can have them. */
export interface RecordAccess {
  /** A process or a login had them before, so that the token may have changed since it was looked at. */
  readonly waited: boolean;
  load(): Promise<readonly PinRecord[]>;
  /** Resolves when they are safe. */
  save(records: readonly PinRecord[]): Promise<void>;
}

/** Where the records of tokens are kept. */
export interface RecordStore {
  /** How a person makes it forget: `remove /path`. */
  cureOf(token: TokenInfo): string;
  peek(token: TokenInfo): Promise<readonly PinRecord[]>;
  exclusively<Result>(
    token: TokenInfo,
    onWaiting: PinTrial['onWaiting'],
    work: (access: RecordAccess) => Promise<Result>,
  ): Promise<Result>;
}

/** Logins with one PIN whose outcomes the token never told, at most. */
const MAX_UNSETTLED = 2;

/**
 * The memory of PINs that tokens refused, and of logins whose outcome they never told. All that logs in asks it first: an
 * agent under `Restart=always`, ten that start together, copies, recovery and watchers must use up one try, not all three.
 * A login is written down before it is made; the token's word settles it. Where nothing is remembered, it is written down
 * without the PIN's hash: most PINs are right, and a hash that is not there tells nothing. Only a process that ends within that
 * login leaves such a record, which then counts for every PIN.
 */
export class PinMemory {
  readonly #store: RecordStore;
  readonly #repeats = new Turns();
  readonly #hashes = new WeakMap<Secret, HashedPin>();
  /** What stood there of a PIN when a signature's login was accepted, and stays: it says nothing against the next one. */
  readonly #despite = new WeakMap<Secret, string>();

  constructor(store: RecordStore) {
    this.#store = store;
  }

  /**
   * Makes one login attempt, unless this PIN has had its tries on this token. Attempts on one token follow each other, so
   * that those that wait learn from the first.
   * @param beforehand is told whether others may have had their turn since the token was looked at; resolves to the token, if it
   *   was looked at again
   * @returns what `login` did; for the outcome `unknown` with an {@link UnsettledLogin}
   * @throws AgentError ERR_PIN_INCORRECT, ERR_PIN_UNSETTLED, ERR_STATE_DIRECTORY, all without an attempt
   */
  async guard(
    trial: PinTrial,
    login: () => Promise<LoginResult>,
    beforehand: (waited: boolean) => Promise<TokenInfo | undefined> = () => Promise.resolve(undefined),
  ): Promise<LoginResult> {
    return await this.#store.exclusively(trial.token, trial.onWaiting, async (access) => {
      const before = await access.load();
      // what stands there may have cost a try since the token was looked at
      const token = (await beforehand(access.waited || before.length > 0)) ?? trial.token;
      const pin = this.#hashed(trial.pin);
      const mine = await pin.among(before);
      this.#mayTry(token, before, mine, trial.use);
      const at = new Date();
      const isFirst = before.length === 0;
      await access.save(isFirst ? [untold(trial, at)] : await attempted(trial, at, pin, before, mine));
      const { outcome, error } = await login();
      if (outcome === 'accepted' && trial.use === 'signature')
        this.#despite.set(trial.pin, textOf([...mine].filter((record) => useOf(record) !== trial.use)));
      try {
        const after =
          outcome === 'unknown' && isFirst
            ? await attempted(trial, at, pin, before, mine)
            : await settled(outcome, trial, pin, before, mine);
        if (after) await access.save(after);
      } catch (reason) {
        // what is on the disk says `attempted`: that is less than the token said, but no more than one login too many
        trial.onRecordFailed?.(errorText(reason));
      }
      return outcome === 'unknown' ? { outcome, error: this.#unsettled(trial, mine, error) } : { outcome, error };
    });
  }

  /**
   * Makes a login with a PIN that the token has accepted until now: it is written down only if it fails. These too follow each
   * other, whatever keys they are for: a PIN that was changed meanwhile must not be refused once for each that waits.
   * @param login must make `isAccepted` false where the token does not accept it
   * @param isAccepted looked at when its turn has come
   * @returns as `guard` does; undefined, without an attempt, where something new is remembered of the PIN after all
   */
  async repeat(
    trial: PinTrial,
    login: () => Promise<LoginResult>,
    isAccepted: () => boolean,
  ): Promise<LoginResult | undefined> {
    const { token, pin } = trial;
    return await this.#repeats.take(tokenName(token), async () => {
      // what can't be read keeps no PIN away that was right a moment ago
      const records = await this.#store.peek(token).catch(() => []);
      const text = textOf(await this.#hashed(pin).among(records));
      if (!isAccepted() || text !== (this.#despite.get(pin) ?? textOf([]))) return undefined;
      const result = await login();
      const { outcome } = result;
      if (outcome === 'accepted' || outcome === 'untried') return result;
      return { outcome, error: await this.note(trial, result) };
    });
  }

  /**
   * Writes down what became of a login that was not written down before, since its PIN had been accepted until then.
   * @returns what to throw
   */
  async note(trial: PinTrial, { outcome, error }: LoginResult): Promise<unknown> {
    return await this.#store
      .exclusively(trial.token, trial.onWaiting, async (access) => {
        const before = await access.load();
        const pin = this.#hashed(trial.pin);
        const mine = await pin.among(before);
        const after = await settled(outcome, trial, pin, before, mine);
        await access.save(after ?? (await attempted(trial, new Date(), pin, before, mine)));
        return outcome === 'unknown' ? this.#unsettled(trial, mine, error) : error;
      })
      .catch((reason: unknown) => {
        trial.onRecordFailed?.(errorText(reason));
        return error;
      });
  }

  /**
   * Whether a PIN may be tried, without an attempt.
   * @throws AgentError ERR_PIN_INCORRECT, ERR_PIN_UNSETTLED, ERR_STATE_DIRECTORY
   */
  async check(token: TokenInfo, pin: Secret): Promise<void> {
    const records = await this.#store.peek(token);
    this.#mayTry(token, records, await this.#hashed(pin).among(records), 'session');
  }

  /** Whether anything is remembered of a token. @throws AgentError ERR_STATE_DIRECTORY */
  async hasRecord(token: TokenInfo): Promise<boolean> {
    return (await this.#store.peek(token)).length > 0;
  }

  /** Each salt costs a hash, once for a PIN. */
  #hashed(pin: Secret): HashedPin {
    const known = this.#hashes.get(pin) ?? new HashedPin(pin);
    this.#hashes.set(pin, known);
    return known;
  }

  #mayTry(token: TokenInfo, records: readonly PinRecord[], mine: ReadonlySet<PinRecord>, use: PinUse): void {
    const { label } = token;
    const { tries } = pinState(token);
    const cure = this.#store.cureOf(token);
    for (const { refusedAt } of mine) {
      if (refusedAt === undefined) continue;
      throw new AgentError('ERR_PIN_INCORRECT', `token '${label}' refused this PIN before (${refusedAt})`, {
        hint: `it is not tried again; correct the PIN at its source, or ${cure}`,
      });
    }
    const times = unsettledOf(mine);
    const said = `token '${label}' never told what became of earlier logins with this PIN (${times.join(', ')})`;
    if (times.length >= MAX_UNSETTLED) {
      throw new UnsettledLogin(said, {
        mayTryAgain: false,
        hint: `it counts as refused; correct the PIN at its source, or, if it is right, ${cure}`,
      });
    }
    const hint = `log in by hand with the right PIN, then ${cure}`;
    if (times.length > 0 && ['count low', 'final try'].includes(tries)) {
      throw new UnsettledLogin(`${said}, and has few tries left`, { mayTryAgain: false, hint });
    }
    // it may not tell how many are left: of three, each may be a PIN that a person gave, but none a second login of ours
    const ofUse = records.filter((record) => useOf(record) === use && record.isPast !== true);
    const logins = ofUse.reduce((sum, record) => sum + loginsOf(record), 0);
    if (tries === 'ok' && logins > 1 && (times.length > 0 || ofUse.some((record) => loginsOf(record) > 1))) {
      const text = `token '${label}' has not accepted ${logins} logins in a row, and may have one try left`;
      throw new UnsettledLogin(text, { mayTryAgain: false, hint });
    }
  }

  #unsettled({ token }: PinTrial, before: ReadonlySet<PinRecord>, cause: unknown): UnsettledLogin {
    const mayTryAgain = unsettledOf(before).length + 1 < MAX_UNSETTLED;
    return new UnsettledLogin(
      `token '${token.label}' never told what became of the login with this PIN (${errorText(cause)})`,
      {
        cause,
        mayTryAgain,
        hint: mayTryAgain
          ? 'it may be tried once more'
          : `it counts as refused; correct the PIN at its source, or, if it is right, ${this.#store.cureOf(token)}`,
      },
    );
  }
}

/** A login with a PIN that is not told. */
function untold({ use }: PinTrial, at: Date): PinRecord {
  return { attemptedAt: [at.toISOString()], ...ofUse(use) };
}

/** The records with one login more. */
async function attempted(
  { use }: PinTrial,
  at: Date,
  pin: HashedPin,
  before: readonly PinRecord[],
  mine: ReadonlySet<PinRecord>,
): Promise<PinRecord[]> {
  const old = [...mine].find(
    ({ hash, refusedAt, ...record }) => hash !== undefined && refusedAt === undefined && useOf(record) === use,
  );
  const attemptedAt = [...(old?.attemptedAt ?? []), at.toISOString()];
  const others = before.filter((record) => record !== old);
  return [...others, { ...(await pin.beside(before)), attemptedAt, ...ofUse(use) }];
}

/** The records when the outcome is known; undefined if they stay as they are. */
async function settled(
  outcome: LoginOutcome,
  { use }: PinTrial,
  pin: HashedPin,
  before: readonly PinRecord[],
  mine: ReadonlySet<PinRecord>,
): Promise<readonly PinRecord[] | undefined> {
  switch (outcome) {
    case 'unknown':
      return undefined;
    case 'untried':
      return before;
    case 'accepted':
      // of its own use only: a card may have another PIN for signatures
      return before
        .filter((record) => !mine.has(record) || useOf(record) !== use)
        .map((record) => (useOf(record) === use ? { ...record, isPast: true } : record));
    case 'refused': {
      const refusedAt = new Date().toISOString();
      const others = before.filter((record) => !mine.has(record));
      const attemptedAt = unsettledOf([...mine].filter((record) => useOf(record) === use && record.isPast !== true));
      return [
        ...others,
        { ...(await pin.beside(before)), refusedAt, ...(attemptedAt.length > 0 && { attemptedAt }), ...ofUse(use) },
      ];
    }
  }
}

const textOf = (records: Iterable<PinRecord>): string => JSON.stringify([...records]);
const useOf = ({ use }: PinRecord): PinUse => use ?? 'session';
const ofUse = (use: PinUse): Pick<PinRecord, 'use'> => (use === 'session' ? {} : { use });
/** Logins that are known of, the one that was refused among them. */
const loginsOf = ({ refusedAt, attemptedAt = [] }: PinRecord): number =>
  attemptedAt.length + (refusedAt === undefined ? 0 : 1);
const unsettledOf = (mine: Iterable<PinRecord>): string[] => [...mine].flatMap(({ attemptedAt }) => attemptedAt ?? []);
