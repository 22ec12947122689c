import { AgentError, errorCode, errorText } from '../errors.ts';
import { sampleRequests, type SampleRequest } from '../signing/sample-requests.ts';
import { createSignature, type Signer } from '../signing/signer.ts';
import { keyKind } from '../signing/public-key.ts';
import { isAskedFor, type Abilities, type CanSign } from './can-sign.ts';
import type { CheckedKey, KeyCheck } from './checked-key.ts';
import { failure, type Report, type Verdict } from './verdict.ts';

/** Milliseconds beyond which a signature is slow: OpenVPN stands still meanwhile. */
const SLOW = 3_000;

/** One sample, and how signing it went. */
interface Trial {
  readonly sample: SampleRequest;
  /** How it was signed; undefined if it was not. */
  readonly mechanism?: string;
  readonly error?: unknown;
  /** Milliseconds. */
  readonly duration: number;
}

/** Errors that make further trials pointless: of the token, its PIN, its module; a program that hangs. */
function endsTrials(error: unknown): boolean {
  return /^ERR_(?:PIN|TOKEN|MODULE)_|^ERR_EXEC_TIMEOUT$/.test(errorCode(error) ?? '');
}

/**
 * Signs and verifies all that a daemon may ask of the key. Once a signature was slow (a person may have to touch the
 * token each time), one a scheme is enough.
 */
async function trySignatures(signer: Signer): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (const sample of sampleRequests(keyKind(signer.publicKey))) {
    const { scheme } = sample.request;
    const isSlow = trials.some(({ duration }) => duration > SLOW);
    if (isSlow && trials.some((trial) => trial.mechanism !== undefined && trial.sample.request.scheme === scheme)) {
      continue;
    }
    const started = performance.now();
    const duration = (): number => performance.now() - started;
    try {
      const { mechanism } = await createSignature(signer, sample.request);
      trials.push({ sample, mechanism, duration: duration() });
    } catch (error) {
      trials.push({ sample, error, duration: duration() });
      if (endsTrials(error)) break;
    }
  }
  return trials;
}

/** The key's abilities by its trials: a request that was not tried goes as its scheme does. Undefined if the token failed. */
function abilitiesByTrials(trials: readonly Trial[]): Abilities | undefined {
  if (endsTrials(trials.at(-1)?.error)) return undefined;
  const canSign: CanSign = (scheme, dataKind) => {
    const trial =
      trials.find(({ sample }) => isAskedFor(sample, scheme, dataKind)) ??
      trials.find(({ sample }) => sample.request.scheme === scheme);
    return trial?.mechanism !== undefined;
  };
  return { canSign, maySign: canSign };
}

/** `RSA_PKCS1_PADDING of a digest`. */
function describe({ request }: SampleRequest): string {
  return `${request.scheme} of ${request.scheme === 'RSA_NO_PADDING' ? 'a padded block' : `a ${request.dataKind}`}`;
}

/** Which others have worked. */
interface Working {
  readonly any: boolean;
  readonly ofScheme: boolean;
}

function verdictOf(trials: readonly Trial[], working: Working): Verdict {
  const [first] = trials;
  if (!first) throw new TypeError('a group has trials');
  const what = describe(first.sample);
  const hashes = trials.flatMap(({ sample }) => sample.hash ?? []).join(', ');
  const text = hashes === '' ? what : `${what} (${hashes})`;
  const slowest = Math.max(...trials.map(({ duration }) => duration));
  if (first.mechanism !== undefined) {
    const detail = `${text} by ${first.mechanism}`;
    if (slowest <= SLOW) return { outcome: 'ok', what: 'signature', detail };
    const hint = 'OpenVPN stands still meanwhile; does the token wait for a touch?';
    return { outcome: 'warn', what: 'signature', detail: `${detail} took ${Math.round(slowest / 100) / 10} s`, hint };
  }
  const { error } = first;
  const code = errorCode(error);
  // a scheme that a token lacks is not a fault as long as OpenVPN can be told to ask for something else
  if (code === 'ERR_SCHEME_UNSUPPORTED' && working.any) {
    return { outcome: 'warn', what: 'signature', detail: `no ${text}`, hint: 'see the lines below' };
  }
  // a module that takes one hash for another: what it gives never leaves, and the other hashes are signed
  if (code === 'ERR_SIGNATURE_INVALID' && working.ofScheme) {
    const detail = `no ${text}: the token gives wrong signatures for it`;
    return { outcome: 'warn', what: 'signature', detail, hint: 'a handshake that wants it fails' };
  }
  const verdict = failure('signature', error);
  return { ...verdict, detail: `${text}: ${verdict.detail}` };
}

/** One verdict for all that went the same way. */
function reportTrials(trials: readonly Trial[], report: Report): void {
  const works = trials.filter(({ mechanism }) => mechanism !== undefined).map(({ sample }) => sample.request.scheme);
  const groups = new Map<string, Trial[]>();
  for (const trial of trials) {
    const outcome = trial.mechanism ?? (trial.error instanceof AgentError ? trial.error.code : errorText(trial.error));
    const name = JSON.stringify([describe(trial.sample), outcome, trial.duration > SLOW]);
    groups.set(name, [...(groups.get(name) ?? []), trial]);
  }
  for (const group of groups.values()) {
    const ofScheme = group.some(({ sample }) => works.includes(sample.request.scheme));
    report(verdictOf(group, { any: works.length > 0, ofScheme }));
  }
}

/**
 * Tries all that a daemon may ask of a key that is open.
 * @returns what it can sign; undefined if that is not known
 */
export async function checkSignatures(
  { signer, abilities, isPinRefused = false }: Pick<CheckedKey, 'signer' | 'abilities' | 'isPinRefused'>,
  { login, report }: Pick<KeyCheck, 'login' | 'report'>,
): Promise<Abilities | undefined> {
  if (!signer) {
    const detail = 'none was tried: that takes a login';
    report({ outcome: 'skip', what: 'signature', detail, ...(!login && !isPinRefused && { reason: 'no-login' }) });
    return abilities;
  }
  const trials = await trySignatures(signer);
  reportTrials(trials, report);
  return abilitiesByTrials(trials);
}
