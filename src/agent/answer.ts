import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { parseSignatureRequest } from '../signing/parse-request.ts';
import { keyKind } from '../signing/public-key.ts';
import { createSignature, type Signature, type Signer } from '../signing/signer.ts';
import type { Level } from './log.ts';
import { unlessAborted } from '../promises.ts';

/** Milliseconds of waiting after which a person is told what a token may be waiting for. */
const TOUCH_AFTER = 3_000;

/** What one tunnel wants signed, as its daemon said it. */
export interface RawRequest {
  /** base64. */
  readonly data: string;
  readonly algorithmText: string | undefined;
}

/** What becomes of a request: a signature, an empty block, or no answer as nobody waits for one any more. */
export type Answer = { readonly signature: Buffer | undefined } | 'dropped';

/** An algorithm text as long as this is none: it goes into the log no further. In characters. */
const LONGEST_TEXT = 100;

/**
 * Signs one request and writes its one log line, whatever becomes of it.
 * @param deadline milliseconds until it counts as failed: a key that is not ready, a module that hangs
 * @param signal nobody waits for the answer any more
 * @returns without a signature if it was refused or failed: the daemon is to get an empty block
 */
export async function answer(
  request: RawRequest,
  key: Promise<Signer>,
  deadline: number,
  log: (level: Level, fields: object, text: string) => void,
  signal: AbortSignal,
): Promise<Answer> {
  const started = performance.now();
  const fields: Record<string, unknown> = {};
  // to a hundredth: a software key takes less than one
  const duration = (): number => Math.round((performance.now() - started) * 100) / 100;
  /** Aborts when there is no use in a signature any more. */
  const unwanted = new AbortController();
  const drop = (): void => {
    unwanted.abort();
  };
  if (signal.aborted) drop();
  signal.addEventListener('abort', drop, { once: true });

  const sign = async (): Promise<Signature> => {
    const signer = await unlessAborted(key, unwanted.signal);
    fields['key'] = signer.name;
    fields['scheme'] = request.algorithmText?.slice(0, LONGEST_TEXT);
    const parsed = parseSignatureRequest(request.data, request.algorithmText, keyKind(signer.publicKey));
    fields['scheme'] = parsed.algorithmText;
    return await createSignature(signer, parsed, unwanted.signal);
  };

  const inTime = new AbortController();
  const tooLate = sleep(deadline, undefined, { signal: inTime.signal }).then(() => {
    throw new AgentError('ERR_MODULE_TIMEOUT', `no signature within ${deadline} ms`);
  });
  const touch = setTimeout(() => {
    log('warn', { ...fields, waitedMs: TOUCH_AFTER }, 'still signing: touch your token if it wants that');
  }, TOUCH_AFTER);
  try {
    const { bytes, mechanism } = await unlessAborted(Promise.race([sign(), tooLate]), signal);
    log('info', { ...fields, mechanism, outcome: 'signed', durationMs: duration() }, 'signed');
    return { signature: bytes };
  } catch (error) {
    if (signal.aborted) {
      log('info', { ...fields, outcome: 'dropped', durationMs: duration() }, 'dropped: nobody waits for it any more');
      return 'dropped';
    }
    const code = errorCode(error);
    const outcome = code?.startsWith('ERR_REQUEST_') === true ? 'refused' : 'failed';
    log('error', { ...fields, outcome, code, error: errorText(error), durationMs: duration() }, outcome);
    return { signature: undefined };
  } finally {
    clearTimeout(touch);
    inTime.abort();
    signal.removeEventListener('abort', drop);
    drop();
  }
}
