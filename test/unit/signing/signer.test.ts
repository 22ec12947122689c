import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import { SIGNATURE_SCHEMES } from '../../../src/signing/schemes.ts';
import { createSignature, signVerified, verifySignature, type Signer } from '../../../src/signing/signer.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const KIND = { type: 'ED25519' } as const;
const [ONE, OTHER] = [Buffer.from('one'), Buffer.from('other')];
const requestFor = (message: Buffer) => parseSignatureRequest(message.toString('base64'), undefined, KIND);

function signerOf(bytes: Buffer | Promise<never>, key: KeyObject = publicKey): Signer {
  return {
    name: 'fake',
    publicKey: key,
    certificates: [],
    canSign: () => true,
    sign: async () => ({ bytes: await bytes, mechanism: 'fake' }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
const good = signerOf(sign(null, ONE, privateKey));

afterEach(() => {
  vi.restoreAllMocks();
});

test('a signature that does not verify does not leave', async () => {
  const bad = signerOf(sign(null, OTHER, privateKey));
  await expect(createSignature(bad, requestFor(ONE))).rejects.toMatchObject({ code: 'ERR_SIGNATURE_INVALID' });
});

test('what was verified is not verified again', async () => {
  const verify = vi.spyOn(SIGNATURE_SCHEMES.ED25519, 'verify');
  const request = requestFor(ONE);
  const verified = await signVerified(good, request);
  const outer: Signer = { ...good, sign: () => Promise.resolve(verified) };
  expect((await createSignature(outer, request)).bytes).toEqual(verified.bytes);
  expect(verify).toHaveBeenCalledOnce();
});

test('but it is for another request, and for another key', async () => {
  const verified = await signVerified(good, requestFor(ONE));
  const code = 'ERR_SIGNATURE_INVALID';
  expect(() => verifySignature(good, requestFor(OTHER), verified)).toThrow(expect.objectContaining({ code }));
  const { publicKey: strange } = generateKeyPairSync('ed25519');
  expect(() => verifySignature(signerOf(ONE, strange), requestFor(ONE), verified)).toThrow(
    expect.objectContaining({ code }),
  );
});

test('a copy is what was verified: the key may use its buffer again', async () => {
  const bytes = sign(null, ONE, privateKey);
  const verified = await signVerified(signerOf(bytes), requestFor(ONE));
  bytes.fill(0);
  expect(verified.bytes).toEqual(sign(null, ONE, privateKey));
});

test('the signal ends it, whatever the key is doing', async () => {
  const stop = new AbortController();
  const hanging = signerOf(new Promise<never>(() => undefined));
  const signing = createSignature(hanging, requestFor(ONE), stop.signal);
  stop.abort();
  await expect(signing).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});
