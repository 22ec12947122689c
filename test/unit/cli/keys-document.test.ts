import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { moduleEntry, tokenEntry, type TokenEntry } from '../../../src/cli/keys-document.ts';
import { keysText } from '../../../src/cli/keys-text.ts';
import { CKM } from '../../../src/pkcs11/constants.ts';
import type { FoundToken } from '../../../src/pkcs11/inventory/inventory.ts';
import type { ListedKey } from '../../../src/pkcs11/inventory/key-list.ts';
import { withoutEnd } from '../../support/certificates.ts';

const NEW_KEY = ['-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null'];
const certificate = new X509Certificate(
  execFileSync('openssl', ['req', '-x509', ...NEW_KEY, '-subj', '/O=x/CN=alice', '-days', '2'], { stdio: 'pipe' }),
);
const { publicKey } = certificate;
const DAY = 86_400_000;
const MADE = Date.parse(certificate.validFrom);

const KEY: ListedKey = {
  privateKey: 'present',
  id: Buffer.from('0a', 'hex'),
  label: 'vpn',
  alwaysAuthenticate: true,
  allowedMechanisms: undefined,
  publicKey,
  certificates: [certificate],
  uri: { object: 'vpn' },
};

function entry(key: Partial<ListedKey>, now = MADE + DAY): TokenEntry {
  const info = { label: 'Office', manufacturer: 'ACME', model: 'Card', serial: '42', slot: '' };
  const token = {
    module: { path: '/card.so', name: 'card' },
    info: { ...info, flags: 0, minPinLength: 4, maxPinLength: 8 },
    uri: { token: 'Office' },
  } as unknown as FoundToken;
  return tokenEntry(token, { keys: [{ ...KEY, ...key }], mechanisms: new Set([CKM.RSA_PKCS]) }, false, now);
}

const text = (token: TokenEntry): string =>
  keysText({ modules: [moduleEntry({ path: '/card.so', name: 'card' }, [token], undefined)] });

test('a key in words', () => {
  expect(text(entry({})).split('\n').slice(0, 5)).toEqual([
    'module card (/card.so)',
    "  token 'Office' (ACME, Card, serial 42): no login needed",
    "    RSA-2048 'vpn' id 0a",
    "      'pkcs11:token=Office;object=vpn?module-name=card'",
    '      wants the PIN with each signature',
  ]);
});

test('a URI with percent signs stands there a second time, for a systemd unit', () => {
  const lines = text(entry({ uri: { object: 'v n' } })).split('\n');
  expect(lines).toContain("      'pkcs11:token=Office;object=v%20n?module-name=card'");
  expect(lines).toContain("      in a systemd unit: 'pkcs11:token=Office;object=v%%20n?module-name=card'");
});

test('what the token can not do is a dash, with what to change', () => {
  expect(text(entry({}))).toMatch(/^ +PSS \(TLS 1\.2 and 1\.3\) +– write 'management-external-key pkcs1'/m);
});

test.for([
  [MADE - DAY, 'not yet valid', 'NOT VALID before'],
  [MADE + DAY, 'valid', 'valid until'],
  [MADE + 3 * DAY, 'expired', 'EXPIRED on'],
] as const)('a certificate at %s is %s', ([now, validity, words]) => {
  const token = entry({}, now);
  expect(token.keys[0]?.certificates).toMatchObject([{ subject: 'O=x, CN=alice', validity }]);
  expect(text(token)).toContain(`certificate O=x, CN=alice, issued by O=x, CN=alice, ${words}`);
});

test('a certificate whose dates can not be read stands there as such', () => {
  const token = entry({ certificates: [withoutEnd(certificate)] });
  expect(token.keys[0]?.certificates).toMatchObject([
    { notBefore: new Date(MADE).toISOString(), notAfter: null, validity: 'unreadable' },
  ]);
  expect(text(token)).toContain("issued by O=x, CN=alice, NOT VALID: its dates can't be read");
});

test('keys that pksigd can not use say why, and have no table', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).publicKey;
  expect(entry({ publicKey: other }).keys[0]).toMatchObject({
    kind: null,
    signs: [],
    unusable: expect.stringContaining('secp224r1'),
  });
  expect(entry({ publicKey: undefined }).keys[0]).toMatchObject({
    kind: null,
    signs: [],
    unusable: expect.stringContaining('--cert'),
  });
  expect(entry({ privateKey: 'absent' }).keys[0]).toMatchObject({ kind: 'RSA-2048', signs: [] });
});
