import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseWords } from '../../../src/certificates/words.ts';
import type { KeyOptions } from '../../../src/keys/key-options.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import { inDays, makeCertificate } from '../../support/certificates.ts';

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const key = newKey();
const ca = makeCertificate({ subject: [['CN', 'ca']], isCa: true });
const own = (name: string, days: number): X509Certificate =>
  makeCertificate({ subject: [['CN', name]], issuer: ca, key, to: inDays(days) }).certificate;
const older = own('jane', 10);
const newer = own('jane', 100);
const john = own('john', 1000);
const foreign = makeCertificate({ subject: [['CN', 'jane']], key: newKey() }).certificate;

let folder: string;
const at = (name: string): string => join(folder, name);
const pem = (...certificates: readonly X509Certificate[]): string => certificates.join('');
const secret = (): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-certificates-'));
  writeFileSync(at('key.pem'), secret(), { mode: 0o600 });
  writeFileSync(at('all.pem'), secret() + pem(older, john, newer, ca.certificate), { mode: 0o600 });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const options = (name: string, more: Partial<KeyOptions> = {}): KeyOptions => ({
  keys: [at(name)],
  askSecret: () => Promise.reject(new Error('asked')),
  deadline: 60_000,
  ...more,
});
const subjects = (certificates: readonly X509Certificate[]): string[] => certificates.map(({ subject }) => subject);

describe('the certificates of a key', () => {
  test('are those that come with it, in their order, where nothing says which', async () => {
    await using opened = await openKey(options('all.pem'));
    expect(opened.certificates.map(String)).toEqual([older, john, newer, ca.certificate].map(String));
  });

  test('are its newest that the words fit, and those of others', async () => {
    await using opened = await openKey(options('all.pem', { words: parseWords(['SUBJ:jane']) }));
    expect(opened.certificates.map(String)).toEqual([newer, ca.certificate].map(String));
  });

  test('are none where the words fit none, its CA aside', async () => {
    const opening = openKey(options('all.pem', { words: parseWords(['SUBJ:jack']) }));
    await expect(opening).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
    // of the key's own, not of its CA
    const ofCa = openKey(options('all.pem', { words: parseWords(['SUBJ:ca']) }));
    await expect(ofCa).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  });

  test('are those of the file that was given, of which words say the key too', async () => {
    writeFileSync(at('given.pem'), pem(newer, ca.certificate));
    await using opened = await openKey(options('key.pem', { certificate: at('given.pem') }));
    expect(subjects(opened.certificates)).toEqual(['CN=jane', 'CN=ca']);
    const asked = options('key.pem', { certificate: at('given.pem'), words: parseWords(['SUBJ:john']) });
    await expect(openKey(asked)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  });

  test('of another key are told as such, whatever the words', async () => {
    writeFileSync(at('foreign.pem'), pem(foreign));
    const asked = { certificate: at('foreign.pem'), words: parseWords(['SUBJ:jane']) };
    await expect(openKey(options('key.pem', asked))).rejects.toMatchObject({
      code: 'ERR_CERTIFICATE_MISMATCH',
      reason: undefined,
      message: `the certificate ${at('foreign.pem')} is not of the key ${at('key.pem')}`,
    });
  });
});

describe('read anew', () => {
  test('a file that was given has what was renewed', async () => {
    writeFileSync(at('renewed.pem'), pem(older));
    await using opened = await openKey(options('key.pem', { certificate: at('renewed.pem') }));
    writeFileSync(at('renewed.pem'), pem(newer, ca.certificate));
    expect((await opened.readCertificates?.())?.map(String)).toEqual([newer, ca.certificate].map(String));
    expect(opened.certificates.map(String)).toEqual([String(older)]);
  });

  test('one that has become another key says that the key has changed', async () => {
    writeFileSync(at('changed.pem'), pem(older));
    await using opened = await openKey(options('key.pem', { certificate: at('changed.pem') }));
    writeFileSync(at('changed.pem'), pem(foreign));
    await expect(opened.readCertificates?.()).rejects.toMatchObject({
      code: 'ERR_CERTIFICATE_MISMATCH',
      reason: 'key-changed',
    });
  });

  test('those that came with a key in a file are as they were', async () => {
    await using opened = await openKey(options('all.pem', { words: parseWords(['SUBJ:jane']) }));
    expect((await opened.readCertificates?.())?.map(String)).toEqual([newer, ca.certificate].map(String));
  });
});
