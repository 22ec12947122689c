import { AgentError, errorCode, errorText, type AgentErrorCode } from '../errors.ts';
import { MAX_ALGORITHM_TEXT } from '../signing/algorithm-text.ts';
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
import type { Gate } from './gate.ts';
import type { Asked, Decision } from './policy/asked.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import type { Known, RequestRecord } from './audit/request-record.ts';
import { unlessAborted } from '../promises.ts';

/** Milliseconds of waiting after which a person is told what a token may be waiting for. */
const TOUCH_AFTER = 3_000;

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
  | (About & {
      readonly outcome: 'signed';
      readonly signature: Buffer;
      readonly mechanism: string;
      /** Which of the key's copies signed, where it has several. */
      readonly copy?: string | undefined;
    })
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
  readonly key: AnswerOptions['key'];
  readonly record: AnswerOptions['record'];
  readonly durationMs: () => number;
  readonly decide: AnswerOptions['decide'];
  /** Aborts when there is no use in a signature any more. */
  readonly signal: AbortSignal;
  /** Why the agent itself ended it before there was a signature. */
  calledOff?: AgentError;
  /** What is being done. */
  step?: Step;
  signer?: Signer;
  scheme?: string;
  parsed?: SignatureRequest;
  context?: SigningContext;
  isServerVerified?: boolean;
  raw?: RawSignature;
  verified?: VerifiedSignature;
  signature?: Signature;
}

/** One step of answering. Throws what keeps the request from being signed. */
type Step = (job: Job) => Promise<void> | undefined;

async function awaitKey(job: Job): Promise<void> {
  job.signer = (await job.key()).signer;
  const { algorithmText } = job.request;
  if (algorithmText !== undefined) job.scheme = algorithmText.slice(0, MAX_ALGORITHM_TEXT);
}

function parse(job: Job): undefined {
  const { data, algorithmText } = job.request;
  job.parsed = parseSignatureRequest(data, algorithmText, keyKind(need(job.signer).publicKey));
  job.scheme = job.parsed.algorithmText;
}

/** What is known of it, for the audit log. */
function known({ signer, scheme, context, isServerVerified = false }: Job): Known {
  const server = context && serverIn(context);
  const verified = server === undefined ? null : isServerVerified;
  const seen = context && 'tls' in context ? { tls: context.tls, server: server ?? null, verified } : undefined;
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
  const asked = { request: need(job.parsed), context: need(job.context), key: signer.name };
  return job.decide?.({ ...asked, kind: keyKind(signer.publicKey) }, job.signal).then(({ isServerVerified }) => {
    job.isServerVerified = isServerVerified;
  });
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
const STEPS: readonly Step[] = [awaitKey, parse, look, decide, recordRequest, sign, verify, encode, recordSignature];

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('a step was left out');
  return value;
}

/** A request that takes its time. */
export interface SlowRequest {
  readonly waitedMs: number;
  /** Somebody is asked whether to sign it; the key is not ready; the key has it, and may want a person's touch. */
  readonly waitsFor: 'confirmation' | 'key' | 'signature';
}

export interface AnswerOptions {
  /** What it has to pass, and may be called off by as long as it has no answer. */
  readonly gates?: readonly Gate[] | undefined;
  /** What is to sign, as soon as it is ready. */
  readonly key: () => Promise<Pick<OpenedKey, 'signer'>>;
  /** Has it written down, if that is asked for. */
  readonly record?: RequestRecord | undefined;
  /** Whether the key may sign it. @throws AgentError ERR_POLICY_* why not */
  readonly decide?: ((asked: Asked, signal: AbortSignal) => Promise<Decision>) | undefined;
  /** Milliseconds until it counts as failed: a key that is not ready, a module that hangs. */
  readonly deadline: number;
  /** Aborted when nobody waits for the answer any more, or, by {@link answer}, at the deadline. */
  readonly wanted: AbortController;
  readonly clock: Clock;
  /** Told once if it takes so long that a person may be waited for. */
  readonly onSlow: (about: Omit<About, 'durationMs'> & SlowRequest) => void;
}

/** Answers one request. Never rejects: what went wrong is the outcome. */
export async function answer(request: RawRequest, options: AnswerOptions): Promise<Outcome> {
  const { gates = [], key, decide, record, deadline, wanted, clock, onSlow } = options;
  const started = clock.now();
  // two decimals: a software key signs in less than a millisecond
  const durationMs = (): number => Math.round((clock.now() - started) * 100) / 100;
  const job: Job = { request, key, decide, record, durationMs, signal: wanted.signal };
  const about = (): Omit<About, 'durationMs'> => ({
    ...(job.signer && { key: job.signer.name }),
    ...(job.scheme !== undefined && { scheme: job.scheme }),
  });

  const endWith = (why: AgentError): void => {
    if (!wanted.signal.aborted) job.calledOff = why;
    wanted.abort(why);
  };
  const expire = (): void => {
    endWith(tooLate(job, deadline));
  };
  const leave: (() => void)[] = [];
  // one timer for both: nearly all requests end before the first
  let callOff = clock.after(Math.min(TOUCH_AFTER, deadline), () => {
    if (deadline <= TOUCH_AFTER) {
      expire();
      return;
    }
    callOff = clock.after(deadline - TOUCH_AFTER, expire);
    onSlow({ ...about(), waitedMs: TOUCH_AFTER, waitsFor: waitsFor(job) });
  });
  try {
    for (const gate of gates) leave.push(gate.enter(endWith));
    await unlessAborted(run(job), job.signal);
    const { bytes, mechanism, copy } = need(job.signature);
    const by = { mechanism, ...(copy !== undefined && { copy }) };
    return { ...about(), ...by, outcome: 'signed', signature: bytes, durationMs: durationMs() };
  } catch (error) {
    const outcome = noSignature(job, error);
    record?.ended(known(job), outcome);
    return { ...about(), ...outcome };
  } finally {
    for (const each of leave) each();
    callOff();
  }
}

function waitsFor({ step }: Job): SlowRequest['waitsFor'] {
  if (step === decide) return 'confirmation';
  return step === awaitKey ? 'key' : 'signature';
}

function noSignature(job: Job, error: unknown): Exclude<Outcome, { outcome: 'signed' }> {
  const durationMs = job.durationMs();
  if (job.signal.aborted && !job.calledOff) return { outcome: 'dropped', durationMs };
  const reason = job.calledOff ?? error;
  const code = errorCode(reason);
  const isRefused = code === 'ERR_LOCKED' || /^ERR_(?:REQUEST|POLICY)_/.test(code ?? '');
  return { outcome: isRefused ? 'refused' : 'failed', code, error: errorText(reason), durationMs };
}

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
