import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { checkSignatures } from '../../../src/check/signatures.ts';
import { AgentError } from '../../../src/errors.ts';
import { FakeKey } from '../keys/fake-key.ts';
import { reported } from './reported.ts';

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });

test('what the key signs is told by scheme, and what it refuses is no failure', async () => {
  const { report, lines } = reported();
  const key = new FakeKey(RSA, (request) => {
    if (request.scheme !== 'RSA_PKCS1_PADDING' || request.message === undefined)
      throw new AgentError('ERR_SCHEME_UNSUPPORTED', 'not by this token');
    const { hash } = request.digestInfo;
    return sign(hash.name, request.message, RSA.privateKey);
  });
  const { canSign, maySign } = (await checkSignatures({ signer: key }, { login: true, report })) ?? {};
  expect(lines).toEqual([
    'warn  signature: no RSA_PKCS1_PADDING of a digest (MD5-SHA1, SHA1, SHA256, SHA384, SHA512): see the lines below',
    'ok    signature: RSA_PKCS1_PADDING of a message (SHA1, SHA256, SHA384, SHA512) by fake',
    'warn  signature: no RSA_PKCS1_PSS_PADDING of a digest (SHA256, SHA384, SHA512): see the lines below',
    'warn  signature: no RSA_PKCS1_PSS_PADDING of a message (SHA256, SHA384, SHA512): see the lines below',
    'warn  signature: no RSA_NO_PADDING of a padded block: see the lines below',
  ]);
  expect(canSign?.('RSA_PKCS1_PADDING', 'message')).toBe(true);
  expect(canSign?.('RSA_PKCS1_PADDING', 'digest')).toBe(false);
  expect(canSign?.('RSA_NO_PADDING', 'digest')).toBe(false);
  // it was tried
  expect(maySign?.('RSA_NO_PADDING', 'digest')).toBe(false);
});

test('a token that fails ends the trials: what the key can sign is not known', async () => {
  const { report, lines } = reported();
  const key = new FakeKey(RSA, () => {
    throw new AgentError('ERR_TOKEN_FAILED', 'out of order');
  });
  expect(await checkSignatures({ signer: key }, { login: true, report })).toBeUndefined();
  expect(lines).toEqual(['fail  signature: RSA_PKCS1_PADDING of a digest (MD5-SHA1): out of order']);
});

test('a key that is not open is not tried, and can what its token lists', async () => {
  const { report, lines } = reported();
  const abilities = { canSign: () => true, maySign: () => true };
  expect(await checkSignatures({ signer: undefined, abilities }, { login: false, report })).toBe(abilities);
  expect(lines).toEqual(['skip  signature: none was tried: that takes a login: <no-login>']);
});
