import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { backendOf } from '../../../src/keys/backends.ts';
import type { KeyOptions } from '../../../src/keys/key-options.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import { Secret } from '../../../src/secret.ts';
import { CERTIFICATE } from './certificate.ts';

const URI = 'pkcs11:token=t;object=k?pin-source=file:/pin&module-path=/m.so';
let folder: string;
let privateKey: KeyObject;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-keys-'));
  ({ privateKey } = generateKeyPairSync('ed25519'));
  const form = { type: 'pkcs8', format: 'pem' } as const;
  for (const name of ['one.pem', 'copy.pem']) writeFileSync(at(name), privateKey.export(form), { mode: 0o600 });
  const encrypted = privateKey.export({ ...form, cipher: 'aes-256-cbc', passphrase: 'secret' });
  writeFileSync(at('encrypted.pem'), encrypted, { mode: 0o600 });
  writeFileSync(at('cert.pem'), CERTIFICATE);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function optionsWith(keys: readonly string[], more: Partial<KeyOptions> = {}): KeyOptions {
  return { keys, askSecret: () => Promise.reject(new Error('asked')), deadline: 60_000, ...more };
}

describe('the backend of a KEY', () => {
  test('a pkcs11 URI: logged without its query, asks for the PIN of its own source', () => {
    const backend = backendOf(URI);
    expect(backend.publicName(URI)).toBe('pkcs11:token=t;object=k');
    expect(backend.secretOf(URI)).toEqual({ source: 'file:/pin' });
    expect(backend.secretOf('PKCS11:token=t')).toEqual({ source: undefined });
    expect(backend.certificatePath(URI)).toBeUndefined();
    expect(() => {
      backend.validate('pkcs11:colour=blue');
    }).toThrow(expect.objectContaining({ code: 'ERR_URI' }));
  });

  test('all else is a path; a mistyped URI shows no PIN', () => {
    const backend = backendOf('/key.pem');
    expect(backend).toBe(backendOf(' pkcs11:token=t'));
    expect(backend.publicName('pkcs1:token=t?pin-value=1234')).toBe('pkcs1:token=t?pin-value=<redacted>');
    expect(backend.secretOf('/key.pem')).toEqual({ source: undefined });
    expect(backend.certificatePath('/cert.pem')).toBe('/cert.pem');
    backend.validate('/no/such/file');
  });

  test.each([
    [
      'pkc11:token=t?pin-value=1234',
      "no key begins with 'pkc11:', and no file is called so",
      "did you mean 'pkcs11:'?",
    ],
    ['exce:/bin/true', "no key begins with 'exce:', and no file is called so", "did you mean 'exec:'?"],
  ])('a scheme that is mistyped is told of, and nothing else of it: %s', (text, message, hint) => {
    const refused = expect.objectContaining({ code: 'ERR_USAGE', message, hint }) as Error;
    expect(() => {
      backendOf(text).validate(text);
    }).toThrow(refused);
    expect(() => backendOf(text).from(text, '/etc')).toThrow(refused);
  });

  test('a file may be called so', () => {
    writeFileSync(at('exe:k.pem'), '');
    expect(backendOf('exe:k.pem').from('exe:k.pem', folder)).toBe(at('exe:k.pem'));
    backendOf('c:key.pem').validate('c:key.pem');
  });
});

describe('openKey', () => {
  test('a file, its passphrase asked for by name', async () => {
    const askSecret = vi.fn(() => Promise.resolve(new Secret('secret')));
    await using opened = await openKey(optionsWith([at('encrypted.pem')], { askSecret }));
    expect(opened.signer.name).toBe(at('encrypted.pem'));
    expect(askSecret).toHaveBeenCalledWith(`passphrase of ${at('encrypted.pem')}`, undefined, 'ask');
    expect(opened.certificates).toEqual([]);
  });

  test('a wrong passphrase is asked for again, as such', async () => {
    const manners: string[] = [];
    const askSecret: KeyOptions['askSecret'] = (_what, _source, manner) => {
      manners.push(manner);
      return Promise.resolve(new Secret(manner === 'ask' ? 'wrong' : 'secret'));
    };
    await using opened = await openKey(optionsWith([at('encrypted.pem')], { askSecret, mayAskAgain: () => true }));
    expect(opened.signer.name).toBe(at('encrypted.pem'));
    expect(manners).toEqual(['ask', 'ask again']);
  });

  test('a file that others can read is taken only where that is allowed', async () => {
    writeFileSync(at('readable.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    chmodSync(at('readable.pem'), 0o644);
    await expect(openKey(optionsWith([at('readable.pem')]))).rejects.toThrow();
    await using opened = await openKey(optionsWith([at('readable.pem')], { allowReadableKey: true }));
    expect(opened.signer.name).toBe(at('readable.pem'));
  });

  test('copies: the first one names the key, one that is away is told of', async () => {
    const onEvent = vi.fn();
    const keys = [at('one.pem'), at('none.pem')];
    await using opened = await openKey(optionsWith(keys, { onEvent }));
    expect(opened.signer.name).toBe(at('one.pem'));
    expect(onEvent).toHaveBeenCalledWith(expect.objectContaining({ type: 'copy-failed', key: at('none.pem') }));
  });

  test('a URI that can not be read is a mistake, not a copy that is away', async () => {
    const opening = openKey(optionsWith([at('one.pem'), 'pkcs11:colour=blue']));
    await expect(opening).rejects.toMatchObject({ code: 'ERR_URI' });
  });

  test('a URI needs module hosts', async () => {
    await expect(openKey(optionsWith([URI]))).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await expect(openKey(optionsWith([at('one.pem')], { certificate: URI }))).rejects.toMatchObject({
      code: 'ERR_USAGE',
    });
  });

  test('a certificate of another key, and no key', async () => {
    const opening = openKey(optionsWith([at('one.pem'), at('copy.pem')], { certificate: at('cert.pem') }));
    await expect(opening).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_MISMATCH' });
    await expect(openKey(optionsWith([]))).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });
});
