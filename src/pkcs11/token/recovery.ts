import { errorCode, errorText } from '../../errors.ts';
import { isWorthReopening } from '../host/failures.ts';
import { UnsettledLogin } from '../host/login-outcome.ts';
import type { Module } from '../host/module.ts';
import type { Session } from '../host/session.ts';

/** What to try, in this order, when a token fails: each step forgets more than the one before. */
const RECOVERY_STEPS = [
  'reopen the session',
  'log out and in',
  'finalize and initialize the module',
  'start a new module host',
] as const;

/** What may bring a token back. The names go into the log. */
export type RecoveryStep = (typeof RECOVERY_STEPS)[number];

/** Milliseconds for a call that only looks, or lets go: modules hang in them when a card was pulled at a bad moment. */
export const BRIEF = 5_000;

/** A module host that grew beyond this is replaced when nothing is under way. */
export const MAX_HOST_BYTES: number = 512 * 1024 * 1024;

/**
 * The step that may help against an error.
 * @param tried the step that was tried last, undefined at first
 * @returns undefined if the error is not the token's or its module's, or if nothing is left to try
 */
export function nextStep(tried: RecoveryStep | undefined, error: unknown): RecoveryStep | undefined {
  if (tried === 'start a new module host' || !isWorthReopening(error)) return undefined;
  // a process that ended leaves nothing else to try; a login without an outcome may still be under way in it
  if (errorCode(error) === 'ERR_MODULE_DIED' || error instanceof UnsettledLogin) return 'start a new module host';
  return RECOVERY_STEPS[placeOf(tried) + 1];
}

/** Which of two steps comes later: it forgets more. */
export function laterStep(one: RecoveryStep | undefined, other: RecoveryStep | undefined): RecoveryStep | undefined {
  return placeOf(one) < placeOf(other) ? other : one;
}

/** Where a step stands among all; none: before the first, at -1. */
function placeOf(step: RecoveryStep | undefined): number {
  return RECOVERY_STEPS.findIndex((each) => each === step);
}

/**
 * What other tokens of a module would lose by `finalize and initialize the module` or a new host, which end their sessions:
 * - `alone`: none is open, or is to be;
 * - `idle`: those that are open are not in use, and come back without a person at a keypad;
 * - `in use`.
 */
export type Neighbours = 'alone' | 'idle' | 'in use';

/** Milliseconds between two times that requests for one token may end the sessions of others. */
export const DISTURBANCE_PAUSE = 30_000;

/** Whether a step ends the sessions of all tokens of the module. */
export function endsAll(step: RecoveryStep): boolean {
  return placeOf(step) >= placeOf('finalize and initialize the module');
}

/**
 * Whether a request for one token may take a step that ends the sessions of its neighbours. Its own trouble must not become
 * theirs: a daemon whose token is out may ask time and again.
 * @param isPause whether that was done for this token a moment ago
 */
export function mayDisturb(step: RecoveryStep, error: unknown, neighbours: Neighbours, isPause: boolean): boolean {
  if (neighbours === 'alone') return true;
  // their sessions are gone too; or the PIN may still be under way in that process
  if (errorCode(error) === 'ERR_MODULE_DIED' || error instanceof UnsettledLogin) return true;
  // the module works: a new list of slots may help, more can't
  if (errorCode(error) === 'ERR_TOKEN_ABSENT' && (neighbours === 'in use' || step === 'start a new module host'))
    return false;
  return !isPause;
}

interface PollRule {
  readonly step: RecoveryStep;
  /** The first poll that takes this step, counted from 1, and after how many it is taken again. */
  readonly first: number;
  readonly every: number;
}

const REOPEN: PollRule = { step: 'reopen the session', first: 1, every: 1 };

/** Of the rules that are due the first one counts. */
const POLL_RULES: Readonly<Record<Neighbours, readonly PollRule[]>> = {
  alone: [
    // helps where nothing else does, but loads the module anew
    { step: 'start a new module host', first: 3, every: 30 },
    // helps where the module keeps an old list of slots (p11-kit, SoftHSM)
    { step: 'finalize and initialize the module', first: 2, every: 2 },
    REOPEN,
  ],
  idle: [{ step: 'finalize and initialize the module', first: 5, every: 10 }, REOPEN],
  'in use': [REOPEN],
};

/** The step that the n-th poll for an absent token takes before it looks; polls count from 1. */
export function pollStep(poll: number, neighbours: Neighbours): RecoveryStep {
  const isDue = ({ first, every }: PollRule): boolean => poll >= first && (poll - first) % every === 0;
  return POLL_RULES[neighbours].find(isDue)?.step ?? REOPEN.step;
}

/**
 * Takes a recovery step; what is open is of no use afterwards. Never throws.
 * @param open the session that failed, if there is one
 * @param module the module, where there is none
 * @param error what the step is to help against
 */
export async function takeStep(
  step: RecoveryStep,
  open: Session | undefined,
  module: () => Promise<Module>,
  error?: unknown,
): Promise<void> {
  // which one died is not known: the one that is there by now may be new, and others work in it
  if (!open && step === 'start a new module host' && errorCode(error) === 'ERR_MODULE_DIED') return;
  try {
    const host = open?.host ?? (await module());
    switch (step) {
      case 'reopen the session':
        if (open) await closeSession(open);
        break;
      case 'log out and in':
        if (open) await host.call('logout', { session: open.session }, BRIEF).catch(() => undefined);
        if (open) await closeSession(open);
        break;
      case 'finalize and initialize the module':
        await host.call('reinitialize', {}, BRIEF);
        break;
      case 'start a new module host':
        await host.stop(error === undefined ? undefined : `was replaced: ${errorText(error)}`);
    }
  } catch {
    // what is broken can't be closed properly
  }
}

/** Closes a session. @throws AgentError ERR_TOKEN_*, ERR_MODULE_* */
export async function closeSession({ host, session }: Session): Promise<void> {
  await host.call('closeSession', { session }, BRIEF);
}
