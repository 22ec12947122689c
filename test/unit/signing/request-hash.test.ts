import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeEmsaPss } from '../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import type { KeyKind } from '../../../src/signing/public-key.ts';
import { hashOfRequest } from '../../../src/signing/request-hash.ts';

const RSA: KeyKind = { type: 'RSA', modulusBits: 2048, modulusBytes: 256 };
const EC: KeyKind = { type: 'EC', curve: 'P-521', orderBytes: 66 };

const { SHA1, SHA256, SHA384 } = HASHES;
test.for([
  ['RSA_PKCS1_PADDING,hashalg=SHA384', 48, RSA, { hash: SHA384 }],
  [undefined, 36, RSA, { hash: HASHES['MD5-SHA1'] }],
  ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=20', 32, RSA, { hash: SHA256, saltLength: 20 }],
  ['ECDSA', 48, EC, { hash: SHA384 }],
  ['ECDSA', 20, EC, { hash: SHA1 }],
  ['ECDSA', 33, EC, { hash: undefined }],
  ['ECDSA,hashalg=SHA256,data=message', 100, EC, { hash: SHA256 }],
  ['ED25519,data=message', 100, { type: 'ED25519' }, { hash: undefined }],
  ['ED448,data=message', 100, { type: 'ED448' }, { hash: undefined }],
] as const)('%s over %i bytes', ([text, length, kind, expected]) => {
  const request = parseSignatureRequest(Buffer.alloc(length, 7).toString('base64'), text, kind);
  expect(hashOfRequest(request)).toEqual(expected);
});

test('a finished block says its own', () => {
  const block = encodeEmsaPss(SHA384, randomBytes(48), 30, 2048);
  const request = parseSignatureRequest(block.toString('base64'), 'RSA_NO_PADDING', RSA);
  expect(hashOfRequest(request)).toEqual({ hash: SHA384, saltLength: 30 });
});
