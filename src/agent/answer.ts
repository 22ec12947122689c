import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { parseSignatureRequest } from '../signing/parse-request.ts';
import { keyKind } from '../signing/public-key.ts';
import { createSignature, type Signature, type Signer } from '../signing/signer.ts';

/** Milliseconds of waiting after which a person is told what a token may be waiting for. */
const TOUCH_AFTER = 3_000;

/** What one tunnel wants signed, as its daemon said it. */
export interface RawRequest {
  /** base64. */
  readonly data: string;
  readonly algorithmText: string | undefined;
}

/**
 * Signs one request and writes its one log line, whatever becomes of it.
 * @param deadline milliseconds until it counts as failed: a key that is not ready, a module that hangs
 * @returns undefined if it was refused or failed: the daemon is to get an empty block
 */
export async function answer(
  request: RawRequest,
  key: Promise<Signer>,
  deadline: number,
  log: (level: 'info' | 'warn' | 'error', fields: object, text: string) => void,
): Promise<Buffer | undefined> {
  const started = performance.now();
  const fields: Record<string, unknown> = {};
  // to a hundredth: a software key takes less than one
  const duration = (): number => Math.round((performance.now() - started) * 100) / 100;

  const sign = async (): Promise<Signature> => {
    const signer = await key;
    fields['key'] = signer.name;
    fields['scheme'] = request.algorithmText;
    const parsed = parseSignatureRequest(request.data, request.algorithmText, keyKind(signer.publicKey));
    fields['scheme'] = parsed.algorithmText;
    return await createSignature(signer, parsed);
  };

  const inTime = new AbortController();
  const tooLate = sleep(deadline, undefined, { signal: inTime.signal }).then(() => {
    throw new AgentError('ERR_MODULE_TIMEOUT', `no signature within ${deadline} ms`);
  });
  const touch = setTimeout(() => {
    log('warn', { ...fields, waitedMs: TOUCH_AFTER }, 'still signing: touch your token if it wants that');
  }, TOUCH_AFTER);
  try {
    const { bytes, mechanism } = await Promise.race([sign(), tooLate]);
    log('info', { ...fields, mechanism, outcome: 'signed', durationMs: duration() }, 'signed');
    return bytes;
  } catch (error) {
    const code = errorCode(error);
    const outcome = code?.startsWith('ERR_REQUEST_') === true ? 'refused' : 'failed';
    log('error', { ...fields, outcome, code, error: errorText(error), durationMs: duration() }, outcome);
    return undefined;
  } finally {
    clearTimeout(touch);
    inTime.abort();
  }
}
