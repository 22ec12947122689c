import { execFileSync } from 'node:child_process';
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileKey, type KeyFileOptions } from '../../../src/keyfile/key-file.ts';
import { Secret } from '../../../src/secret.ts';
import { CURVES } from '../../../src/signing/curves.ts';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import { createSignature } from '../../../src/signing/signer.ts';

const PASSPHRASE = 'correct horse';
let folder: string;
const at = (name: string): string => join(folder, name);
const openssl = (...words: string[]): Buffer => execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'pipe'] });

const ALGORITHMS = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ed25519: ['-algorithm', 'ED25519'],
};
const KEYS = Object.keys(ALGORITHMS) as (keyof typeof ALGORITHMS)[];
const message = Buffer.from('any message will do');
const ALGORITHM_TEXT = {
  rsa: 'RSA_PKCS1_PADDING,hashalg=SHA256,data=message',
  p256: 'ECDSA,hashalg=SHA256,data=message',
  ed25519: 'ED25519,data=message',
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-keyfile-'));
  writeFileSync(at('pass'), `${PASSPHRASE}\n`, { mode: 0o600 });
  writeFileSync(at('empty'), '\n');
  for (const key of KEYS) {
    const pem = at(`${key}.pem`);
    openssl('genpkey', ...ALGORITHMS[key], '-out', pem);
    openssl('pkey', '-in', pem, '-pubout', '-out', at(`${key}.pub`));
    openssl('req', '-new', '-x509', '-key', pem, '-subj', `/CN=${key}`, '-days', '30', '-out', at(`${key}.crt`));
    openssl('pkcs8', '-topk8', '-nocrypt', '-in', pem, '-outform', 'DER', '-out', at(`${key}.pkcs8.der`));
    openssl('pkcs8', '-topk8', '-in', pem, '-passout', `file:${at('pass')}`, '-out', at(`${key}.encrypted.pem`));
    openssl(
      'pkcs8',
      '-topk8',
      '-in',
      pem,
      '-passout',
      `file:${at('pass')}`,
      '-outform',
      'DER',
      '-out',
      at(`${key}.encrypted.der`),
    );
    const pkcs12 = ['pkcs12', '-export', '-inkey', pem, '-in', at(`${key}.crt`)];
    openssl(...pkcs12, '-passout', `file:${at('pass')}`, '-out', at(`${key}.p12`));
    openssl(...pkcs12, '-passout', `file:${at('empty')}`, '-out', at(`${key}.empty.p12`));
    openssl(...pkcs12, '-passout', `file:${at('pass')}`, '-legacy', '-out', at(`${key}.legacy.p12`));
    writeFileSync(
      at(`${key}.with-certificate.pem`),
      Buffer.concat([readFileSync(at(`${key}.crt`)), readFileSync(pem)]),
    );
  }
  openssl('rsa', '-in', at('rsa.pem'), '-traditional', '-out', at('rsa.pkcs1.pem'));
  openssl('rsa', '-in', at('rsa.pem'), '-traditional', '-outform', 'DER', '-out', at('rsa.pkcs1.der'));
  openssl(
    'rsa',
    '-in',
    at('rsa.pem'),
    '-traditional',
    '-aes256',
    '-passout',
    `file:${at('pass')}`,
    '-out',
    at('rsa.encrypted-pkcs1.pem'),
  );
  openssl('ec', '-in', at('p256.pem'), '-out', at('p256.sec1.pem'));
  openssl('ec', '-in', at('p256.pem'), '-outform', 'DER', '-out', at('p256.sec1.der'));
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-out', at('p256.parameters.pem'));
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp224r1', '-out', at('secp224r1.pem'));
  openssl('genpkey', '-algorithm', 'X25519', '-out', at('x25519.pem'));
  for (const name of execFileSync('ls', [folder], { encoding: 'utf8' }).trim().split('\n')) chmodSync(at(name), 0o600);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function withPassphrase(text = PASSPHRASE): KeyFileOptions {
  return { passphrase: () => Promise.resolve(new Secret(text)) };
}

async function expectSigns(key: keyof typeof ALGORITHMS, file: string, options?: KeyFileOptions): Promise<FileKey> {
  const signer = await FileKey.open(at(file), options);
  const request = parseSignatureRequest(message.toString('base64'), ALGORITHM_TEXT[key], keyKind(signer.publicKey));
  const { bytes } = await createSignature(signer, request);
  const publicKey = createPublicKey(readFileSync(at(`${key}.pub`)));
  expect(verify(key === 'ed25519' ? null : 'sha256', message, publicKey, bytes)).toBe(true);
  return signer;
}

describe.each(KEYS)('%s', (key) => {
  it.each(['pem', 'pkcs8.der'])('plain %s', async (format) => {
    await expectSigns(key, `${key}.${format}`);
  });

  it.each(['encrypted.pem', 'encrypted.der', 'p12', 'legacy.p12'])('%s with the passphrase', async (format) => {
    await expectSigns(key, `${key}.${format}`, withPassphrase());
    const wrong = FileKey.open(at(`${key}.${format}`), withPassphrase('wrong'));
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    const none = FileKey.open(at(`${key}.${format}`));
    await expect(none).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
  });

  it('PKCS#12 with an empty passphrase, certificate included, nobody asked', async () => {
    const { certificates } = await expectSigns(key, `${key}.empty.p12`);
    expect(certificates.map(({ subject }) => subject)).toEqual([`CN=${key}`]);
  });

  it('PEM with a certificate before the key', async () => {
    const { certificates } = await expectSigns(key, `${key}.with-certificate.pem`);
    expect(certificates).toHaveLength(1);
  });
});

it.each(['rsa.pkcs1.pem', 'rsa.pkcs1.der'])('%s', async (file) => {
  await expectSigns('rsa', file);
});
it('PKCS#1 with its own old encryption', async () => {
  await expectSigns('rsa', 'rsa.encrypted-pkcs1.pem', withPassphrase());
});
it.each(['p256.sec1.pem', 'p256.sec1.der'])('%s', async (file) => {
  await expectSigns('p256', file);
});
it('SEC1 behind EC PARAMETERS', async () => {
  expect(keyKind((await FileKey.open(at('p256.parameters.pem'))).publicKey)).toMatchObject({ curve: 'P-256' });
});

describe('ready ECDSA digests, as the openssl command verifies them', () => {
  it.each(Object.keys(CURVES))('%s', async (curve) => {
    const pem = at(`${curve}.pem`);
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-out', pem);
    openssl('pkey', '-in', pem, '-pubout', '-out', at(`${curve}.pub`));
    openssl('ec', '-in', pem, '-conv_form', 'compressed', '-out', at(`${curve}.compressed.pem`));
    openssl('ec', '-in', pem, '-no_public', '-out', at(`${curve}.no-public.pem`));
    for (const file of [`${curve}.pem`, `${curve}.compressed.pem`, `${curve}.no-public.pem`]) {
      chmodSync(at(file), 0o600);
      await using signer = await FileKey.open(at(file));
      for (const size of [20, 28, 32, 36, 48, 64]) {
        const digest = randomBytes(size);
        const request = parseSignatureRequest(digest.toString('base64'), 'ECDSA', keyKind(signer.publicKey));
        writeFileSync(at('digest'), digest);
        writeFileSync(at('signature'), (await createSignature(signer, request)).bytes);
        const files = ['-inkey', at(`${curve}.pub`), '-in', at('digest'), '-sigfile', at('signature')];
        expect(openssl('pkeyutl', '-verify', '-pubin', ...files).toString()).toContain('Verified Successfully');
      }
    }
  });

  it('but not the one that is zero', async () => {
    await using signer = await FileKey.open(at('p256.pem'));
    const request = parseSignatureRequest(Buffer.alloc(32).toString('base64'), 'ECDSA', keyKind(signer.publicKey));
    await expect(createSignature(signer, request)).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
  });
});

describe('refuses', () => {
  it.each([0o640, 0o604, 0o660, 0o644])('mode %o', async (mode) => {
    writeFileSync(at('open.pem'), readFileSync(at('rsa.pem')));
    chmodSync(at('open.pem'), mode);
    await expect(FileKey.open(at('open.pem'))).rejects.toMatchObject({ code: 'ERR_KEY_PERMISSIONS' });
    await expect(FileKey.open(at('open.pem'), { allowReadableByOthers: true })).resolves.toBeDefined();
  });

  it.each([
    ['nothing.pem', 'ERR_KEY_NOT_FOUND'],
    ['rsa.crt', 'ERR_KEY_FILE'],
    ['pass', 'ERR_KEY_FILE'],
    ['.', 'ERR_KEY_FILE'],
    ['secp224r1.pem', 'ERR_KEY_UNSUPPORTED'],
    ['x25519.pem', 'ERR_KEY_UNSUPPORTED'],
  ])('%s with %s', async (file, code) => {
    await expect(FileKey.open(at(file))).rejects.toMatchObject({ code });
  });

  it('a damaged PKCS#12 file, two keys in one file', async () => {
    writeFileSync(at('damaged.p12'), readFileSync(at('rsa.p12')).subarray(0, 900), { mode: 0o600 });
    await expect(FileKey.open(at('damaged.p12'))).rejects.toMatchObject({ code: 'ERR_KEY_FILE' });
    const two = Buffer.concat([readFileSync(at('rsa.pem')), readFileSync(at('p256.pem'))]);
    writeFileSync(at('two.pem'), two, { mode: 0o600 });
    await expect(FileKey.open(at('two.pem'))).rejects.toMatchObject({ code: 'ERR_KEY_AMBIGUOUS' });
  });
});

it.each([
  ['PKCS#8', ['pkcs8', '-topk8', '-v1', 'PBE-MD5-DES']],
  ['SEC1', ['ec', '-des']],
])('%s by a cipher that OpenSSL does no more: no word of the passphrase, which may be right', async (name, words) => {
  const path = at(`${name}-des.pem`);
  const legacy = ['-provider', 'legacy', '-provider', 'default'];
  openssl(...words, ...legacy, '-in', at('p256.pem'), '-out', path, '-passout', `file:${at('pass')}`);
  chmodSync(path, 0o600);
  for (const passphrase of [PASSPHRASE, 'wrong']) {
    await expect(FileKey.open(path, withPassphrase(passphrase))).rejects.toMatchObject({
      code: 'ERR_KEY_FILE',
      hint: expect.stringContaining('encrypt it anew'),
    });
  }
});
