import { generateKeyPairSync, sign } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FailoverKey } from '../../../src/keys/failover-key.ts';
import type { FailoverEvent } from '../../../src/keys/key-copy.ts';
import { AgentError, type AgentErrorCode } from '../../../src/errors.ts';
import type { Signer } from '../../../src/signing/signer.ts';
import { fakedNow, FakeSigner, MESSAGE, PAIR, REQUEST } from './fake-signer.ts';

const PATIENCE = 1_000;

const failed = (): Promise<never> => Promise.reject(new AgentError('ERR_TOKEN_FAILED', 'out of order'));
const never = (): Promise<never> => new Promise<never>(() => undefined);

describe('a key in two places', () => {
  let first: FakeSigner;
  let second: FakeSigner;
  let events: string[];

  beforeEach(() => {
    vi.useFakeTimers();
    first = new FakeSigner('first');
    second = new FakeSigner('second');
    events = [];
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function open(openSecond: () => Promise<Signer> = () => Promise.resolve(second)): Promise<FailoverKey> {
    const onEvent = ({ type, key }: FailoverEvent): void => void events.push(`${key}: ${type}`);
    return await FailoverKey.open(
      [
        { key: 'A', open: () => Promise.resolve(first) },
        { key: 'B', open: openSecond },
      ],
      { now: fakedNow, patience: PATIENCE, onEvent },
    );
  }
  const signedBy = async (key: FailoverKey): Promise<string> => (await key.sign(REQUEST)).mechanism;

  test('the first signs while it works', async () => {
    const key = await open();
    expect([await signedBy(key), await signedBy(key)]).toEqual(['first', 'first']);
    expect(second.signatures).toBe(0);
  });

  test('one that fails is passed over for a while, then preferred again', async () => {
    const key = await open();
    first.trouble = failed;
    expect(await signedBy(key)).toBe('second');
    first.trouble = undefined;
    expect(await signedBy(key)).toBe('second');
    expect(first.signatures).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await signedBy(key)).toBe('first');
    expect(events).toEqual(['A: copy-failed', 'A: copy-works']);
  });

  test('one that hangs costs patience, not the signature', async () => {
    const key = await open();
    first.trouble = never;
    const signed = signedBy(key);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(await signed).toBe('second');
    // and the next one none
    expect(await signedBy(key)).toBe('second');
    expect(events).toEqual(['A: copy-failed']);
  });

  test('one that was given up as another had signed has failed, once', async () => {
    const key = await open();
    const answered = new AbortController();
    first.trouble = () =>
      new Promise((_, reject) => {
        answered.signal.addEventListener('abort', () => {
          reject(new AgentError('ERR_ABORTED', 'given up'));
        });
      });
    const signed = key.sign(REQUEST, answered.signal);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await signed;
    answered.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(events).toEqual(['A: copy-failed']);
  });

  test('one that fails when another has signed long ago has failed all the same', async () => {
    const key = await open();
    let fail = (): void => undefined;
    first.trouble = () =>
      new Promise((_, reject) => {
        fail = () => {
          reject(new AgentError('ERR_TOKEN_FAILED', 'out of order'));
        };
      });
    const answered = new AbortController();
    const signed = key.sign(REQUEST, answered.signal);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await signed;
    answered.abort();
    fail();
    await vi.advanceTimersByTimeAsync(0);
    expect(events).toEqual(['A: copy-failed']);
  });

  test('a wrong signature is a failure', async () => {
    const key = await open();
    first.trouble = () => Promise.resolve({ bytes: Buffer.alloc(64), mechanism: 'first' });
    expect(await signedBy(key)).toBe('second');
  });

  test('a mistake of the operator is told, although no copy opens', async () => {
    const opening = FailoverKey.open(
      [
        { key: 'A', open: () => Promise.reject(new AgentError('ERR_TOKEN_ABSENT', 'gone')) },
        { key: 'B', open: () => Promise.reject(new AgentError('ERR_USAGE', 'two PIN sources')) },
      ],
      { now: fakedNow, patience: PATIENCE },
    );
    await expect(opening).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test('none works: the first one that was asked says why', async () => {
    const key = await open();
    first.trouble = failed;
    second.trouble = () => Promise.reject(new AgentError('ERR_TOKEN_ABSENT', 'gone'));
    await expect(key.sign(REQUEST)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
  });

  test('one that could not be opened is opened later, and not by a handshake', async () => {
    let isThere = false;
    const key = await open(() => (isThere ? Promise.resolve(second) : failed()));
    await vi.advanceTimersByTimeAsync(5_000);
    isThere = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(events).toEqual(['B: copy-failed', 'B: copy-failed', 'B: copy-works']);
    first.trouble = failed;
    expect(await signedBy(key)).toBe('second');
  });

  test('ready while one is; ready again when another can be opened', async () => {
    let isThere = false;
    const key = await open(() => (isThere ? Promise.resolve(second) : failed()));
    const lost = vi.fn();
    key.availability.onLost(lost);
    first.pull();
    expect(lost).toHaveBeenCalledOnce();
    const ready = vi.fn();
    void key.availability.ready().then(ready);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(ready).not.toHaveBeenCalled();
    isThere = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ready).toHaveBeenCalledOnce();
    expect(await signedBy(key)).toBe('second');
    expect(first.signatures).toBe(0);
    first.putBack();
    await vi.advanceTimersByTimeAsync(0);
    expect(await signedBy(key)).toBe('first');
  });

  test('lost only when both are', async () => {
    const key = await open();
    const lost = vi.fn();
    key.availability.onLost(lost);
    first.pull();
    await key.availability.ready();
    expect(lost).not.toHaveBeenCalled();
    second.pull();
    expect(lost).toHaveBeenCalledOnce();
  });

  test('a signature that takes longer than all patience comes from whichever copy is done first', async () => {
    const key = await open();
    let finish = (): void => undefined;
    first.trouble = () =>
      new Promise((resolve) => {
        finish = () => {
          resolve({ bytes: sign(null, MESSAGE, PAIR.privateKey), mechanism: 'slow' });
        };
      });
    second.trouble = () => {
      finish();
      return never();
    };
    expect(await signedBy(key)).toBe('slow');
  });

  test('all hang, and one fails at last: the first one took too long', async () => {
    const key = await open();
    let fail = (): void => undefined;
    first.trouble = () =>
      new Promise((_, reject) => {
        fail = () => {
          reject(new AgentError('ERR_TOKEN_FAILED', 'out of order'));
        };
      });
    second.trouble = () => {
      fail();
      return failed();
    };
    await expect(key.sign(REQUEST)).rejects.toMatchObject({ code: 'ERR_KEY_TIMEOUT' });
  });

  test('a copy that ignores the signal is left to itself', async () => {
    const key = await open();
    first.trouble = never;
    const stop = new AbortController();
    const signed = expect(key.sign(REQUEST, stop.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    stop.abort();
    await signed;
    expect(second.signatures).toBe(0);
  });

  test('closed: it signs no more, and the copies are closed', async () => {
    const key = await open();
    await key[Symbol.asyncDispose]();
    await expect(key.sign(REQUEST)).rejects.toMatchObject({ code: 'ERR_KEY_UNAVAILABLE' });
    expect([first.isClosed, second.isClosed]).toEqual([true, true]);
  });

  test('closed while a copy waits for its PIN: nothing waits for that, and a copy that opens yet is closed', async () => {
    let type: (signer: Signer) => void = () => undefined;
    const typed = new Promise<Signer>((resolve) => (type = resolve));
    const opens = [failed, () => typed];
    const key = await open(() => (opens.shift() ?? never)());
    await vi.advanceTimersByTimeAsync(5_000);
    expect(opens).toEqual([]);
    await key[Symbol.asyncDispose]();
    type(second);
    await vi.advanceTimersByTimeAsync(0);
    expect([first.isClosed, second.isClosed]).toEqual([true, true]);
    expect(events).toEqual(['B: copy-failed']);
  });

  test("none opens: a PIN's trouble is said first; what the operator got wrong is not waited for", async () => {
    const source = (code: AgentErrorCode) => ({ key: code, open: () => Promise.reject(new AgentError(code, code)) });
    const opening = async (...codes: AgentErrorCode[]): Promise<FailoverKey> =>
      await FailoverKey.open(codes.map(source), { now: fakedNow, patience: PATIENCE });
    await expect(opening('ERR_TOKEN_ABSENT', 'ERR_PIN_LOCKED')).rejects.toMatchObject({ code: 'ERR_PIN_LOCKED' });
    await expect(opening('ERR_TOKEN_ABSENT', 'ERR_KEY_FILE')).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
    await expect(open(() => Promise.reject(new AgentError('ERR_USAGE', 'no')))).rejects.toMatchObject({
      code: 'ERR_USAGE',
    });
    expect(first.isClosed).toBe(true);
  });

  test('two different keys are no copies', async () => {
    const stranger = new FakeSigner('stranger', generateKeyPairSync('ed25519').publicKey);
    await expect(open(() => Promise.resolve(stranger))).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_MISMATCH' });
  });
});
