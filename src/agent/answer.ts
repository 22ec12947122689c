import { AgentError, errorCode, errorText, type AgentErrorCode } from '../errors.ts';
import { parseSignatureRequest } from '../signing/parse-request.ts';
import { keyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import {
  encodeSignature,
  type RawSignature,
  type Signature,
  type Signer,
  type VerifiedSignature,
  verifySignature,
} from '../signing/signer.ts';
import { contextOf, type SigningContext } from '../signing/tls/context.ts';
import { serverIn } from '../signing/tls/server-name.ts';
import type { Clock } from '../clock.ts';
import type { Asked } from './policy/asked.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import type { Known, RequestRecord } from './audit/request-record.ts';
import { unlessAborted } from '../promises.ts';

/** Milliseconds of waiting after which a person is told what a token may be waiting for. */
const TOUCH_AFTER = 3_000;
/** An algorithm text longer than this is not one: no more of it goes into events. In characters. */
const LONGEST_TEXT = 100;

/** What one daemon wants signed, as it said it. */
export interface RawRequest {
  /** base64. */
  readonly data: string;
  readonly algorithmText: string | undefined;
}

/** What is known of a request, however far it came. */
interface About {
  /** The key's name. */
  readonly key?: string;
  /** The algorithm text, of our own making once the request could be read. */
  readonly scheme?: string;
  /** Undefined where nothing was begun. */
  readonly durationMs: number | undefined;
}

/** What became of a request. For all but `signed` and `dropped` the daemon is to get an empty block. */
export type Outcome =
  | (About & { readonly outcome: 'signed'; readonly signature: Buffer; readonly mechanism: string })
  /** `refused`: the request itself can't be signed, its policy forbids it, or the agent is locked; nothing was sent to the key. `failed`: the key did not sign. */
  | (About & {
      readonly outcome: 'refused' | 'failed';
      readonly code: AgentErrorCode | undefined;
      readonly error: string;
    })
  /** Nobody waits for an answer any more. */
  | (About & { readonly outcome: 'dropped' });

/** A request on its way through the steps. */
interface Job {
  readonly request: RawRequest;
  readonly admit: AnswerOptions['admit'];
  readonly key: AnswerOptions['key'];
  readonly record: AnswerOptions['record'];
  readonly durationMs: () => number;
  readonly decide: AnswerOptions['decide'];
  /** Aborts when there is no use in a signature any more. */
  readonly signal: AbortSignal;
  /** The deadline has passed. */
  isLate: boolean;
  /** What is being done. */
  step?: Step;
  signer?: Signer;
  scheme?: string;
  parsed?: SignatureRequest;
  context?: SigningContext;
  raw?: RawSignature;
  verified?: VerifiedSignature;
  signature?: Signature;
}

/** One step of answering. Throws what keeps the request from being signed. */
type Step = (job: Job) => Promise<void> | undefined;

function admit(job: Job): undefined {
  job.admit?.();
}

async function awaitKey(job: Job): Promise<void> {
  job.signer = (await job.key()).signer;
  const { algorithmText } = job.request;
  if (algorithmText !== undefined) job.scheme = algorithmText.slice(0, LONGEST_TEXT);
}

function parse(job: Job): undefined {
  const { data, algorithmText } = job.request;
  job.parsed = parseSignatureRequest(data, algorithmText, keyKind(need(job.signer).publicKey));
  job.scheme = job.parsed.algorithmText;
}

/** What is known of it, for the audit log. */
function known({ signer, scheme, context }: Job): Known {
  const seen = context && 'tls' in context ? { tls: context.tls, server: serverIn(context) ?? null } : undefined;
  return { publicKey: signer?.publicKey, scheme, context: seen };
}

/** That the key is asked is written down. */
function recordRequest(job: Job): Promise<void> | undefined {
  return job.record?.accepted(known(job));
}

/** What the signature is for, as far as that is to be seen. */
function look(job: Job): undefined {
  job.context = contextOf(need(job.parsed), need(job.signer).publicKey);
}

/** The key's policy, and what the tunnel may have. */
function decide(job: Job): Promise<void> | undefined {
  const signer = need(job.signer);
  return job.decide?.(
    { request: need(job.parsed), kind: keyKind(signer.publicKey), context: need(job.context), key: signer.name },
    job.signal,
  );
}

async function sign(job: Job): Promise<void> {
  job.raw = await need(job.signer).sign(need(job.parsed), job.signal);
}

/** A faulty signature must never leave: one of RSA gives the key away. */
function verify(job: Job): undefined {
  job.verified = verifySignature(need(job.signer), need(job.parsed), need(job.raw));
}

function encode(job: Job): undefined {
  job.signature = encodeSignature(need(job.parsed), need(job.verified));
}

/** No signature leaves before it is written down. */
function recordSignature(job: Job): Promise<void> | undefined {
  return job.record?.signed(known(job), need(job.signature).bytes, job.durationMs());
}

/** All that is done to a request, in order. What must come before or behind a step has its place here. */
const STEPS: readonly Step[] = [
  admit,
  awaitKey,
  parse,
  look,
  decide,
  recordRequest,
  sign,
  verify,
  encode,
  recordSignature,
];

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('a step was left out');
  return value;
}

export interface AnswerOptions {
  /** Whether anything is signed now. @throws AgentError why not */
  readonly admit?: (() => void) | undefined;
  /** What is to sign, as soon as it is ready. */
  readonly key: () => Promise<Pick<OpenedKey, 'signer'>>;
  /** Has it written down, if that is asked for. */
  readonly record?: RequestRecord | undefined;
  /** Whether the key may sign it. @throws AgentError ERR_POLICY_* why not */
  readonly decide?: ((asked: Asked, signal: AbortSignal) => Promise<void>) | undefined;
  /** Milliseconds until it counts as failed: a key that is not ready, a module that hangs. */
  readonly deadline: number;
  /** Aborted when nobody waits for the answer any more, or, by {@link answer}, at the deadline. */
  readonly wanted: AbortController;
  readonly clock: Clock;
  /** Told once if it takes so long that a person may be waited for. */
  readonly onSlow: (about: Omit<About, 'durationMs'> & { readonly waitedMs: number }) => void;
}

/** Answers one request. Never rejects: what went wrong is the outcome. */
export async function answer(request: RawRequest, options: AnswerOptions): Promise<Outcome> {
  const { admit, key, decide, record, deadline, wanted, clock, onSlow } = options;
  const started = clock.now();
  // two decimals: a software key signs in less than a millisecond
  const durationMs = (): number => Math.round((clock.now() - started) * 100) / 100;
  const job: Job = { request, admit, key, decide, record, durationMs, signal: wanted.signal, isLate: false };
  const about = (): Omit<About, 'durationMs'> => ({
    ...(job.signer && { key: job.signer.name }),
    ...(job.scheme !== undefined && { scheme: job.scheme }),
  });

  const expire = (): void => {
    job.isLate = !wanted.signal.aborted;
    wanted.abort(TOO_LATE);
  };
  // one timer for both: nearly all requests end before the first
  let callOff = clock.after(Math.min(TOUCH_AFTER, deadline), () => {
    if (deadline <= TOUCH_AFTER) {
      expire();
      return;
    }
    callOff = clock.after(deadline - TOUCH_AFTER, expire);
    onSlow({ ...about(), waitedMs: TOUCH_AFTER });
  });
  try {
    await unlessAborted(run(job), job.signal);
    const { bytes, mechanism } = need(job.signature);
    return { ...about(), mechanism, outcome: 'signed', signature: bytes, durationMs: durationMs() };
  } catch (error) {
    const outcome = noSignature(job, error, deadline);
    record?.ended(known(job), outcome);
    return { ...about(), ...outcome };
  } finally {
    callOff();
  }
}

function noSignature(job: Job, error: unknown, deadline: number): Exclude<Outcome, { outcome: 'signed' }> {
  const durationMs = job.durationMs();
  if (job.signal.aborted && !job.isLate) return { outcome: 'dropped', durationMs };
  const reason = job.isLate ? tooLate(job, deadline) : error;
  const code = errorCode(reason);
  const isRefused = code === 'ERR_LOCKED' || /^ERR_(?:REQUEST|POLICY)_/.test(code ?? '');
  return { outcome: isRefused ? 'refused' : 'failed', code, error: errorText(reason), durationMs };
}

/** A reason of its own: the signal would else make one with a stack. */
const TOO_LATE = new AgentError('ERR_ABORTED', 'the deadline has passed');

function tooLate({ signer, step }: Job, deadline: number): AgentError {
  // of all that decides only a command takes time: whoever has not said yes has said no
  if (step === decide) return new AgentError('ERR_POLICY_CONFIRM', `not confirmed within ${deadline} ms`);
  return signer
    ? new AgentError('ERR_KEY_TIMEOUT', `no signature within ${deadline} ms`)
    : new AgentError('ERR_KEY_UNAVAILABLE', `the key was not ready within ${deadline} ms`);
}

async function run(job: Job): Promise<void> {
  for (const step of STEPS) {
    job.step = step;
    const working = step(job);
    if (working) await working;
    // nothing more is begun for nobody
    job.signal.throwIfAborted();
  }
}
