import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { backendOf, FILE_BACKEND, TOKEN_BACKEND } from '../../../src/keys/backends.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import { Tokens } from '../../../src/pkcs11/index.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import { sampleRequests } from '../../../src/signing/sample-requests.ts';
import { createSignature } from '../../../src/signing/signer.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { ProgramBench } from '../exec/program-bench.ts';

const KEY = 'exec:/opt/sign%20it --slot 1';

describe('the backend of an exec: KEY', () => {
  const backend = backendOf(KEY);

  test('is its own, names no file that OpenVPN could read, and may ask for one secret', () => {
    expect([FILE_BACKEND, TOKEN_BACKEND]).not.toContain(backend);
    expect(backend.publicName('exec:/opt/sign%20it  --slot 1')).toBe(KEY);
    expect(backend.secretOf(KEY)).toEqual({ source: undefined });
    expect(backend.certificatePath(KEY)).toBe(undefined);
  });

  test('counts the path of its program from a folder', () => {
    expect(backend.from('exec:./sign --slot 1', '/etc/pksigd')).toBe('exec:/etc/pksigd/sign --slot 1');
    expect(backend.from(KEY, '/etc/pksigd')).toBe(KEY);
  });

  test('refuses what names no program', () => {
    expect(() => {
      backend.validate('exec:sign');
    }).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    backend.validate(KEY);
  });
});

test('a person is told what is waited for, and nothing of a file', () => {
  expect(backendOf(KEY).notice).toMatch(/program/);
  expect(TOKEN_BACKEND.notice).toMatch(/token/);
  expect(FILE_BACKEND.notice).toBe('');
});

test('a pkcs11: URI has no path that is counted from a folder', () => {
  expect(TOKEN_BACKEND.from('pkcs11:token=t', '/etc')).toBe('pkcs11:token=t');
});

describe('a program', () => {
  let bench: ProgramBench;
  beforeAll(() => {
    bench = new ProgramBench();
  });
  afterAll(() => {
    bench[Symbol.dispose]();
  });
  const none = () => Promise.reject(new Error('none'));
  const options = (key: string, certificate?: string) => ({
    keys: [key],
    certificate,
    programs: bench.programs(),
    deadline: 60_000,
    pkcs11: { tokens: new Tokens({ hosts: { get: none, another: none } }) },
    askSecret: () => Promise.reject(new Error('asked')),
  });
  const own = (): string => {
    const key = createPrivateKey(readFileSync(bench.keyFile('p256')));
    return makeCertificate({ subject: [['CN', 'jane']], key }).certificate.toString();
  };

  test('has certificates, which are read without its secret', async () => {
    const certificate = bench.key('p256', { hello: { certificates: [own()] }, pin: 'open sesame' });
    await using opened = await openKey(options(bench.keyFile('p256'), certificate));
    expect(opened.certificates.map(({ subject }) => subject)).toEqual(['CN=jane']);
  });

  test('has certificates of its key, which are read anew', async () => {
    await using opened = await openKey(options(bench.key('p256', { hello: { certificates: [own()] } })));
    expect(opened.certificates.map(({ subject }) => subject)).toEqual(['CN=jane']);
    const anew = await opened.readCertificates?.();
    expect(anew?.map(({ raw }) => raw)).toEqual(opened.certificates.map(({ raw }) => raw));
  });

  test('that has none: told', async () => {
    const opening = openKey(options(bench.keyFile('p256'), bench.key('p256')));
    await expect(opening).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  });

  test('that nobody can run: told', async () => {
    const { programs: _, ...rest } = options(bench.key('p256'));
    await expect(openKey(rest)).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test.for([
    [200, 100],
    [20_000, 5_000],
  ] as const)('that does not sign has its part of %i ms, then the next copy is asked', async ([deadline, patience]) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const silent = bench.key('p256', { misdeed: 'silence', at: 'sign' });
    const failed: unknown[] = [];
    await using opened = await openKey({
      ...options(silent),
      keys: [silent, bench.keyFile('p256')],
      deadline,
      onEvent: (event) => {
        failed.push('error' in event ? event.error : event);
      },
    });
    const [sample] = sampleRequests(keyKind(opened.signer.publicKey));
    if (!sample) throw new Error('nothing to sign');
    const signing = createSignature(opened.signer, sample.request);
    await vi.advanceTimersByTimeAsync(deadline);
    await signing;
    expect(failed).toEqual([`a copy of the key took longer than ${patience} ms`]);
  });
});
