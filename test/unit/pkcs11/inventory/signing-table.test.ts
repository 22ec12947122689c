import { expect, test } from 'vitest';
import { CKM } from '../../../../src/pkcs11/constants.ts';
import { signingTable } from '../../../../src/pkcs11/inventory/signing-table.ts';
import type { KeyKind } from '../../../../src/signing/public-key.ts';

const RSA: KeyKind = { type: 'RSA', modulusBits: 2048, modulusBytes: 256 };
const EC: KeyKind = { type: 'EC', curve: 'P-256', orderBytes: 32 };

/** The rows without their TLS versions: `scheme [arguments] = ways; remedy`. */
function table(kind: KeyKind, ...listed: number[]): string[] {
  return signingTable(kind, new Set(listed)).map(({ scheme, arguments: words, ways, remedy }) => {
    const texts = ways.map(({ way, hashes }) => (hashes.length > 0 ? `${way} for ${hashes.join(' ')}` : way));
    return `${scheme} [${words.join(' ')}] = ${texts.join(', ')}; ${remedy ?? ''}`;
  });
}

test('a token that does all: a row a scheme', () => {
  expect(table(RSA, CKM.RSA_PKCS, CKM.RSA_X_509, CKM.RSA_PKCS_PSS)).toEqual([
    'RSA_PKCS1_PADDING [ digest] = CKM_RSA_PKCS; ',
    'RSA_PKCS1_PSS_PADDING [ digest] = CKM_RSA_PKCS_PSS; ',
    'RSA_NO_PADDING [nopadding] = CKM_RSA_X_509; ',
  ]);
});

test('raw RSA alone: the padding in software', () => {
  expect(table(RSA, CKM.RSA_X_509)).toEqual([
    'RSA_PKCS1_PADDING [ digest] = EMSA-PKCS1-v1_5 + CKM_RSA_X_509; ',
    'RSA_PKCS1_PSS_PADDING [ digest] = EMSA-PSS + CKM_RSA_X_509; ',
    'RSA_NO_PADDING [nopadding] = CKM_RSA_X_509; ',
  ]);
});

test('no PSS in any way: what to change', () => {
  const rows = table(RSA, CKM.RSA_PKCS);
  expect(rows).toContainEqual(
    expect.stringMatching(/^RSA_PKCS1_PSS_PADDING \[ digest\] = ; write 'management-external-key pkcs1'/),
  );
  expect(rows).toContainEqual(expect.stringMatching(/^RSA_NO_PADDING \[nopadding\] = ; leave 'nopadding' out/));
});

test('a token that insists on hashing: rows of their own with the argument digest, and what each hash takes', () => {
  const rows = table(RSA, CKM.RSA_PKCS, CKM.SHA256_RSA_PKCS_PSS, CKM.SHA384_RSA_PKCS_PSS);
  expect(rows).toContainEqual(expect.stringMatching(/^RSA_PKCS1_PSS_PADDING \[\] = ; add 'digest'/));
  expect(rows).toContainEqual(
    expect.stringMatching(
      /^RSA_PKCS1_PSS_PADDING \[digest\] = CKM_SHA256_RSA_PKCS_PSS for SHA256, CKM_SHA384_RSA_PKCS_PSS for SHA384; write/,
    ),
  );
});

test('ECDSA and EdDSA', () => {
  expect(table(EC, CKM.ECDSA)).toEqual(['ECDSA [ digest] = CKM_ECDSA; ']);
  expect(table(EC, CKM.RSA_PKCS)).toEqual(['ECDSA [ digest] = ; ']);
  expect(table({ type: 'ED25519' }, CKM.EDDSA)).toEqual(['ED25519 [] = CKM_EDDSA; ']);
});

test('in which TLS it is asked for', () => {
  const uses = signingTable(RSA, new Set([CKM.RSA_PKCS, CKM.RSA_X_509])).map(({ use }) => use);
  expect(uses).toEqual([['TLS 1.0 and 1.1', 'TLS 1.2'], ['TLS 1.2 and 1.3'], ['TLS 1.2 and 1.3']]);
  expect(signingTable(EC, new Set([CKM.ECDSA]))[0]?.use).toEqual(['TLS 1.2 and 1.3']);
});
