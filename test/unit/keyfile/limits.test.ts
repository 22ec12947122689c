import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkDerivationCost } from '../../../src/keyfile/derivation-cost.ts';
import { FileKey } from '../../../src/keyfile/key-file.ts';
import { parseCertificates, pemBlocks } from '../../../src/keyfile/pem.ts';
import { parsePkcs12 } from '../../../src/keyfile/pkcs12.ts';
import { Secret } from '../../../src/secret.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const openssl = (...words: string[]) =>
  execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
const open = (name: string) =>
  FileKey.open(at(name), { passphrase: () => Promise.resolve(new Secret('horse')), allowReadableByOthers: true });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-limits-'));
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=x', '-keyout', 'key.pem', '-out', 'x.crt');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a number of iterations over the 2048 or so that stand there as `02 02 hi lo`, in three bytes as there is room. */
function withIterations(from: Buffer, to: number, given: number): Buffer {
  const mark = Buffer.from([0x02, 0x03, given >> 16, (given >> 8) & 0xff, given & 0xff]);
  const index = from.indexOf(mark);
  expect(index).toBeGreaterThan(0);
  const bytes = Buffer.from(from);
  bytes.writeUIntBE(to, index + 2, 3);
  return bytes;
}

const GIVEN = 70_001;
const TOO_MANY = 0x7fffff;
const REFUSED = { code: 'ERR_KEY_FILE', message: expect.stringMatching(/passphrase hashed too many times/) as string };

test.each([
  ['PBKDF2', ['-v2', 'aes256', '-iter', String(GIVEN)]],
  ['PBKDF2 with SHA-1', ['-v2', 'aes256', '-v2prf', 'hmacWithSHA1', '-iter', String(GIVEN)]],
  ['PKCS #12 key derivation', ['-v1', 'PBE-SHA1-3DES', '-iter', String(GIVEN)]],
])('a PKCS #8 key with too many iterations of %s', async (_, words) => {
  for (const form of ['DER', 'PEM'] as const) {
    openssl(
      'pkcs8',
      '-topk8',
      '-in',
      'key.pem',
      '-passout',
      'pass:horse',
      '-outform',
      'DER',
      '-out',
      'k.der',
      ...words,
    );
    const der = openssl(
      'pkcs8',
      '-in',
      'k.der',
      '-inform',
      'DER',
      '-passin',
      'pass:horse',
      '-outform',
      'DER',
      '-nocrypt',
      '-topk8',
    );
    expect(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).type).toBe('private');
    const encrypted = execFileSync('cat', [at('k.der')]);
    const write = (bytes: Buffer) => {
      const pem = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
      writeFileSync(at('k'), form === 'DER' ? bytes : pem);
    };
    write(encrypted);
    await expect(open('k')).resolves.toBeInstanceOf(FileKey);
    write(withIterations(encrypted, TOO_MANY, GIVEN));
    await expect(open('k')).rejects.toMatchObject(REFUSED);
  }
});

test('a PKCS #8 key with scrypt', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(at('ec.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const der = (words: readonly string[]) =>
    openssl('pkcs8', '-topk8', '-in', 'ec.pem', '-passout', 'pass:horse', '-outform', 'DER', ...words);
  expect(() => {
    checkDerivationCost(der(['-scrypt']), 'x');
  }).not.toThrow();
  const parallel = der(['-scrypt', '-scrypt_N', '1024', '-scrypt_r', '8', '-scrypt_p', '2']);
  const index = parallel.indexOf(Buffer.from([0x02, 0x01, 0x08, 0x02, 0x01, 0x02]));
  // OpenSSL writes N, r, p; 1024 * 8 * 2 are few, 1024 * 127 * 127 are many
  parallel[index + 2] = 127;
  parallel[index + 5] = 127;
  expect(() => {
    checkDerivationCost(parallel, 'x');
  }).toThrow(expect.objectContaining(REFUSED));
});

test.each([
  ['of the MAC', ['-maciter', '-iter', String(GIVEN)], 'last'],
  ['of its encryption', ['-iter', String(GIVEN), '-nomac'], 'first'],
  ['of its encryption, as of old', ['-iter', '2000', '-legacy'], 'legacy'],
])('a PKCS #12 file with too many iterations %s', async (_, words, which) => {
  openssl(
    'pkcs12',
    '-export',
    '-inkey',
    'key.pem',
    '-in',
    'x.crt',
    '-passout',
    'pass:horse',
    '-out',
    'x.p12',
    ...words,
  );
  const bytes = execFileSync('cat', [at('x.p12')]);
  await expect(open('x.p12').then((key) => key.publicKey.type)).resolves.toBe('public');
  if (which === 'legacy') return;
  const mark = Buffer.from([0x02, 0x03, GIVEN >> 16, (GIVEN >> 8) & 0xff, GIVEN & 0xff]);
  const index = which === 'last' ? bytes.lastIndexOf(mark) : bytes.indexOf(mark);
  bytes.writeUIntBE(TOO_MANY, index + 2, 3);
  writeFileSync(at('x.p12'), bytes);
  await expect(open('x.p12')).rejects.toMatchObject(REFUSED);
});

test('a PKCS #12 file without a MAC calls every wrong passphrase wrong, also those that leave a right padding', async () => {
  const words = ['-inkey', 'key.pem', '-in', 'x.crt', '-passout', 'pass:horse', '-out', 'nomac.p12'];
  openssl('pkcs12', '-export', ...words, '-iter', '1', '-nomac');
  const bytes = readFileSync(at('nomac.p12'));
  await expect(parsePkcs12(bytes, 'horse', 'x')).resolves.toMatchObject({ certificates: [{}] });
  // one of 256 does
  for (let tried = 0; tried < 1500; tried += 1)
    await expect(parsePkcs12(bytes, `wrong ${tried}`, 'x')).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
});

test('PEM is found in one walk', () => {
  const begin = '-----BEGIN CERTIFICATE-----\n';
  // with a search from each beginning to the end: 10^11 steps
  expect(pemBlocks(begin.repeat(300_000))).toEqual([]);
  expect(pemBlocks(`-----BEGIN ${'A'.repeat(4_000_000)}`)).toEqual([]);
  expect(pemBlocks(`${begin.repeat(2)}eA==\n-----END CERTIFICATE-----`)).toHaveLength(1);
  const certificates = parseCertificates(execFileSync('cat', [at('x.crt')]), 'x');
  expect(certificates).toHaveLength(1);
});

test('no bytes make the look at an encryption fail otherwise than with an error of its own', () => {
  const start = Buffer.from('30820100308200f0', 'hex');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (rest) => {
      try {
        checkDerivationCost(Buffer.concat([start, rest]), 'x');
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_KEY_FILE' });
      }
    }),
  );
  expect(() => {
    checkDerivationCost(Buffer.from('3080'.repeat(100_000), 'hex'), 'x');
  }).not.toThrow(RangeError);
});
