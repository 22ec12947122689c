import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import type { Decision } from '../../../src/agent/policy/asked.ts';
import { answer, type Outcome } from '../../../src/agent/answer.ts';
import { AgentError } from '../../../src/errors.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import type { Signer } from '../../../src/signing/signer.ts';
import { FakeClock } from './fake-clock.ts';

const PAIR = generateKeyPairSync('ed25519');
const REQUEST = { data: Buffer.from('x').toString('base64'), algorithmText: 'ED25519,data=message' };

function signer(how: (request: SignatureRequest, signal?: AbortSignal) => Promise<Buffer>): Signer {
  return {
    name: 'a key',
    publicKey: PAIR.publicKey,
    certificates: [],
    sign: async (request, signal) => ({ bytes: await how(request, signal), mechanism: 'test' }),
    canSign: () => true,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const WORKS = signer(({ tbs }) => Promise.resolve(sign(null, tbs, PAIR.privateKey)));

interface Bed {
  readonly clock: FakeClock;
  readonly gone: AbortController;
  readonly slow: object[];
  readonly outcome: Promise<Outcome>;
}

function ask(key: Promise<Signer>, request = REQUEST): Bed {
  const clock = new FakeClock();
  const gone = new AbortController();
  const slow: object[] = [];
  const outcome = answer(request, {
    key: async () => ({ signer: await key }),
    deadline: 10_000,
    wanted: gone,
    clock,
    onSlow: (about) => slow.push(about),
  });
  return { clock, gone, slow, outcome };
}

describe('an answer', () => {
  test('is a signature, with what it is of', async () => {
    const { outcome } = ask(Promise.resolve(WORKS));
    expect(await outcome).toMatchObject({
      outcome: 'signed',
      key: 'a key',
      scheme: 'ED25519,data=message',
      mechanism: 'test',
      signature: expect.any(Buffer) as Buffer,
    });
  });

  test('says which copy of the key signed', async () => {
    const copies = {
      ...WORKS,
      sign: async (request: SignatureRequest) => ({ ...(await WORKS.sign(request)), copy: 'the second' }),
    };
    expect(await ask(Promise.resolve(copies)).outcome).toMatchObject({ key: 'a key', copy: 'the second' });
    expect(await ask(Promise.resolve(WORKS)).outcome).not.toHaveProperty('copy');
  });

  test('is refused where the request can not be signed: the key is not asked', async () => {
    const never = signer(() => Promise.reject(new Error('was asked')));
    const { outcome } = ask(Promise.resolve(never), { ...REQUEST, algorithmText: 'x'.repeat(1000) });
    const said = await outcome;
    expect(said).toMatchObject({ outcome: 'refused', code: expect.stringMatching(/^ERR_REQUEST_/) as string });
    expect(said.scheme?.length).toBeLessThanOrEqual(100);
  });

  test('fails with what the key says, and with a signature that is not one', async () => {
    const broken = signer(() => Promise.reject(new AgentError('ERR_TOKEN_FAILED', 'broken')));
    expect(await ask(Promise.resolve(broken)).outcome).toMatchObject({ outcome: 'failed', code: 'ERR_TOKEN_FAILED' });
    const lies = signer(() => Promise.resolve(Buffer.alloc(64)));
    expect(await ask(Promise.resolve(lies)).outcome).toMatchObject({ code: 'ERR_SIGNATURE_INVALID' });
    const error = new AgentError('ERR_PIN_LOCKED', 'locked');
    expect(await ask(Promise.reject(error)).outcome).toMatchObject({ code: 'ERR_PIN_LOCKED', durationMs: 0 });
  });

  test('fails at the deadline, and the key hears that nobody waits; a person was told before', async () => {
    let heard: AbortSignal | undefined;
    const hangs = signer((_, signal) => {
      heard = signal;
      return new Promise(() => undefined);
    });
    const { clock, slow, outcome } = ask(Promise.resolve(hangs));
    await expect.poll(() => heard).toBeDefined();
    clock.pass(3);
    expect(slow).toEqual([{ key: 'a key', scheme: 'ED25519,data=message', waitedMs: 3_000, waitsFor: 'signature' }]);
    clock.pass(7);
    expect(await outcome).toMatchObject({ outcome: 'failed', durationMs: 10_000 });
    expect(heard?.aborted).toBe(true);
    clock.pass(60);
    expect(slow).toHaveLength(1);
  });

  test('is refused at the deadline while somebody is yet to say yes', async () => {
    const clock = new FakeClock();
    const decide = vi.fn(() => new Promise<Decision>(() => undefined));
    const key = (): Promise<{ signer: Signer }> => Promise.resolve({ signer: WORKS });
    const about = { deadline: 10_000, wanted: new AbortController(), clock, onSlow: () => undefined };
    const outcome = answer(REQUEST, { key, decide, ...about });
    await expect.poll(() => decide.mock.calls).toHaveLength(1);
    clock.pass(10);
    expect(await outcome).toMatchObject({ outcome: 'refused', code: 'ERR_POLICY_CONFIRM', durationMs: 10_000 });
  });

  test('is dropped when nobody waits any more, the key not ready or at work', async () => {
    const waiting = ask(new Promise(() => undefined));
    waiting.gone.abort();
    expect(await waiting.outcome).toMatchObject({ outcome: 'dropped' });
    let signal: AbortSignal | undefined;
    const slow = signer((_, given) => {
      signal = given;
      return new Promise(() => undefined);
    });
    const signing = ask(Promise.resolve(slow));
    await expect.poll(() => signal).toBeDefined();
    signing.gone.abort();
    expect(await signing.outcome).toMatchObject({ outcome: 'dropped', key: 'a key' });
    expect(signal?.aborted).toBe(true);
  });
});
