import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../src/errors.ts';
import { FailoverKey } from '../../../src/keys/failover-key.ts';
import type { FailoverEvent } from '../../../src/keys/key-copy.ts';
import { encodeSignature, type Signer } from '../../../src/signing/signer.ts';
import { CERTIFICATE } from './certificate.ts';
import { fakedNow, FakeSigner, REQUEST } from './fake-signer.ts';

const PATIENCE = 1_000;
const gone = (): Promise<never> => Promise.reject(new AgentError('ERR_TOKEN_ABSENT', 'gone'));

let first: FakeSigner;
let second: FakeSigner;
let events: FailoverEvent[];

beforeEach(() => {
  vi.useFakeTimers();
  first = new FakeSigner('first');
  second = new FakeSigner('second');
  events = [];
});
afterEach(() => {
  vi.useRealTimers();
});

/** A key in two places. */
async function open(openSecond: () => Promise<Signer> = () => Promise.resolve(second)): Promise<FailoverKey> {
  return await FailoverKey.open(
    [
      { key: 'A', open: () => Promise.resolve(first) },
      { key: 'B', open: openSecond },
    ],
    { now: fakedNow, patience: PATIENCE, onEvent: (event) => void events.push(event) },
  );
}
const signedBy = async (key: FailoverKey): Promise<string> => (await key.sign(REQUEST)).mechanism;

describe('the pause of a copy that fails', () => {
  test('doubles with each failure in a row, up to five minutes', async () => {
    await using key = await open(gone);
    await vi.advanceTimersByTimeAsync(1_200_000);
    expect(events.map(({ pause }) => pause).slice(0, 9)).toEqual([
      ...[5_000, 10_000, 20_000, 40_000, 80_000],
      ...[160_000, 300_000, 300_000, 300_000],
    ]);
    expect(events[0]).toEqual({ type: 'copy-failed', key: 'B', error: 'gone', pause: 5_000 });
    expect(await signedBy(key)).toBe('first');
  });

  test('is no longer where the machine’s time is set back', async () => {
    await using key = await open();
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    first.trouble = undefined;
    vi.setSystemTime(Date.now() - 86_400_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await signedBy(key)).toBe('first');
  });

  test('begins anew once it has worked', async () => {
    let isThere = false;
    await using _key = await open(() => (isThere ? Promise.resolve(second) : gone()));
    await vi.advanceTimersByTimeAsync(5_000);
    isThere = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(events.at(-1)).toEqual({ type: 'copy-works', key: 'B' });
    second.trouble = gone;
    first.trouble = gone;
    await expect(_key.sign(REQUEST)).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
    expect(events.at(-1)).toMatchObject({ type: 'copy-failed', key: 'B', pause: 5_000 });
  });

  test('is over when its token comes back', async () => {
    await using key = await open();
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    first.trouble = undefined;
    first.pull();
    first.putBack();
    await vi.advanceTimersByTimeAsync(0);
    expect(events.at(-1)).toEqual({ type: 'copy-works', key: 'A' });
    expect(await signedBy(key)).toBe('first');
  });

  test('ends without a new opening where it is open', async () => {
    await using key = await open();
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not keep it from being asked when all others fail', async () => {
    await using key = await open();
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    second.trouble = gone;
    first.trouble = undefined;
    expect(await signedBy(key)).toBe('first');
  });

  test('puts it behind those that work, and before those that are away', async () => {
    await using key = await open();
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    second.pull();
    first.trouble = undefined;
    expect(await signedBy(key)).toBe('first');
    expect(second.signatures).toBe(1);
  });
});

test('one whose token goes away counts as failed until it is back, although it is not asked meanwhile', async () => {
  await using key = await open();
  first.pull();
  expect(events).toEqual([{ type: 'copy-failed', key: 'A', error: 'its token is away' }]);
  expect(await signedBy(key)).toBe('second');
  expect(events).toHaveLength(1);
  first.putBack();
  await vi.advanceTimersByTimeAsync(0);
  expect(events.slice(1)).toEqual([{ type: 'copy-works', key: 'A' }]);
  expect(await signedBy(key)).toBe('first');
  expect(events).toHaveLength(2);
});

test('one that is closed tells nothing more of its token', async () => {
  const key = await open();
  await key[Symbol.asyncDispose]();
  first.pull();
  expect(events).toEqual([]);
});

test('a signature says which copy made it', async () => {
  await using key = await open();
  first.pull();
  const signature = await key.sign(REQUEST);
  expect(signature).toMatchObject({ copy: 'second' });
  expect(encodeSignature(REQUEST, signature)).toMatchObject({ copy: 'second' });
});

test('a request that is wrong is not asked of the next copy, and is no failure of the first', async () => {
  await using key = await open();
  first.trouble = () => Promise.reject(new AgentError('ERR_REQUEST_LENGTH', 'too long'));
  await expect(key.sign(REQUEST)).rejects.toMatchObject({ code: 'ERR_REQUEST_LENGTH' });
  expect(second.signatures).toBe(0);
  expect(events).toEqual([]);
});

test('a request that is given up is no failure of the copy that had it', async () => {
  await using key = await open();
  const given = new AbortController();
  let giveUp = (): void => undefined;
  first.trouble = () =>
    new Promise((_, reject) => {
      giveUp = () => {
        reject(new AgentError('ERR_ABORTED', 'given up'));
      };
    });
  const signing = key.sign(REQUEST, given.signal);
  await vi.advanceTimersByTimeAsync(0);
  given.abort();
  giveUp();
  await expect(signing).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual([]);
});

test('what has no code is a failure of the copy, and the next one signs', async () => {
  await using key = await open();
  first.trouble = () => Promise.reject(new TypeError('a fault of ours'));
  expect(await signedBy(key)).toBe('second');
  expect(events).toMatchObject([{ type: 'copy-failed', key: 'A', error: 'a fault of ours' }]);
  const fault = new TypeError('another');
  const none = FailoverKey.open([{ key: 'A', open: () => Promise.reject(fault) }], {
    now: fakedNow,
    patience: PATIENCE,
  });
  await expect(none).rejects.toBe(fault);
});

test('nobody needs to listen', async () => {
  await using key = await FailoverKey.open(
    [
      { key: 'A', open: () => Promise.resolve(first) },
      { key: 'B', open: () => Promise.resolve(second) },
    ],
    { now: fakedNow, patience: PATIENCE },
  );
  first.trouble = gone;
  expect(await signedBy(key)).toBe('second');
  await vi.advanceTimersByTimeAsync(5_000);
  first.trouble = undefined;
  expect(await signedBy(key)).toBe('first');
});

test('a request that nobody waits for any more is not asked of the next copy', async () => {
  await using key = await open();
  const given = new AbortController();
  first.trouble = () => {
    given.abort();
    return gone();
  };
  await expect(key.sign(REQUEST, given.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await vi.advanceTimersByTimeAsync(0);
  expect(second.signatures).toBe(0);
});

describe('what copies can sign', () => {
  test('all that are open can', async () => {
    await using key = await open();
    expect(key.canSign(REQUEST)).toBe(true);
    second.can = false;
    expect(key.canSign(REQUEST)).toBe(false);
    expect(key.maySign(REQUEST)).toBe(false);
    second.may = true;
    expect(key.maySign(REQUEST)).toBe(true);
    first.can = false;
    expect(key.maySign(REQUEST)).toBe(false);
    first.may = true;
    expect(key.maySign(REQUEST)).toBe(true);
    // one that knows
    Object.assign(first, { maySign: undefined });
    expect(key.maySign(REQUEST)).toBe(false);
  });

  test('one that is not open yet may', async () => {
    await using key = await open(gone);
    expect([key.canSign(REQUEST), key.maySign(REQUEST)]).toEqual([true, true]);
  });
});

describe('certificates are read', () => {
  const renewed = [new X509Certificate(CERTIFICATE)];
  class Renewed extends FakeSigner {
    readCertificates(): Promise<readonly X509Certificate[]> {
      return Promise.resolve(renewed);
    }
  }

  test('from the first copy that is there', async () => {
    second = new Renewed('second');
    await using key = await open();
    expect(await key.readCertificates()).toBe(key.certificates);
    first.pull();
    expect(await key.readCertificates()).toBe(renewed);
  });

  test('nowhere where no copy is open', async () => {
    await using key = await open(gone);
    first.pull();
    expect(await key.readCertificates()).toBe(key.certificates);
  });
});

describe('a copy that is opened later', () => {
  test('and is another key is closed again, and has failed', async () => {
    const stranger = new FakeSigner('stranger', generateKeyPairSync('ed25519').publicKey);
    let isThere = false;
    await using key = await open(() => (isThere ? Promise.resolve(stranger) : gone()));
    isThere = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(stranger.isClosed).toBe(true);
    expect(events.at(-1)).toMatchObject({ type: 'copy-failed', key: 'B', error: 'stranger is another key than first' });
    expect(await signedBy(key)).toBe('first');
  });

  test('is opened once, however many ask for it', async () => {
    let openings = 0;
    let finish = (): void => undefined;
    await using key = await open(() => {
      openings++;
      if (openings === 1) return gone();
      return new Promise((resolve) => {
        finish = () => {
          resolve(second);
        };
      });
    });
    first.trouble = gone;
    const signed = [signedBy(key), signedBy(key)];
    await vi.advanceTimersByTimeAsync(0);
    finish();
    expect(await Promise.all(signed)).toEqual(['second', 'second']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(openings).toBe(2);
  });

  test('is closed if the key was closed meanwhile', async () => {
    let openings = 0;
    let finish = (): void => undefined;
    const key = await open(() => {
      openings++;
      if (openings === 1) return gone();
      return new Promise((resolve) => {
        finish = () => {
          resolve(second);
        };
      });
    });
    await vi.advanceTimersByTimeAsync(5_000);
    const closing = key[Symbol.asyncDispose]();
    finish();
    await closing;
    expect(second.isClosed).toBe(true);
  });
});

describe('once closed', () => {
  test('a copy is not tried again', async () => {
    let openings = 0;
    const key = await open(() => {
      openings++;
      return gone();
    });
    await key[Symbol.asyncDispose]();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(openings).toBe(1);
    expect(events).toHaveLength(1);
  });

  test('nobody hears that a copy went, nor that one works', async () => {
    const key = await open();
    const lost = vi.fn();
    key.availability.onLost(lost);
    first.trouble = gone;
    expect(await signedBy(key)).toBe('second');
    await key[Symbol.asyncDispose]();
    first.pull();
    second.pull();
    first.putBack();
    await vi.advanceTimersByTimeAsync(0);
    expect(lost).not.toHaveBeenCalled();
    expect(events.map(({ type }) => type)).toEqual(['copy-failed']);
  });

  test('a signature under way that fails brings no new try', async () => {
    const key = await open();
    let fail = (): void => undefined;
    first.trouble = () =>
      new Promise((_, reject) => {
        fail = () => {
          reject(new AgentError('ERR_TOKEN_FAILED', 'out of order'));
        };
      });
    const signed = signedBy(key);
    await key[Symbol.asyncDispose]();
    fail();
    await signed.catch(() => undefined);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('none opens: those that did are closed where one is a mistake, or another key', async () => {
  const stranger = new FakeSigner('stranger', generateKeyPairSync('ed25519').publicKey);
  await expect(open(() => Promise.resolve(stranger))).rejects.toThrow('stranger is another key than first');
  expect([first.isClosed, stranger.isClosed]).toEqual([true, true]);
});

test('has the name of the first that opens', async () => {
  await using key = await FailoverKey.open(
    [
      { key: 'A', open: gone },
      { key: 'B', open: () => Promise.resolve(second) },
    ],
    { now: fakedNow, patience: PATIENCE },
  );
  expect(key.name).toBe('second');
  expect(key.publicKey).toBe(second.publicKey);
});
