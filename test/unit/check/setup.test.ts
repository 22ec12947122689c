import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkSetup, type SetupOptions } from '../../../src/check/setup.ts';
import { CERTIFICATE } from '../keys/certificate.ts';
import { reported } from './reported.ts';

const NOW = Date.parse('2027-01-01');
let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-check-'));
  for (const name of ['one.pem', 'other.pem']) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(at(name), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  writeFileSync(at('cert.pem'), CERTIFICATE);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function linesOf(options: Partial<SetupOptions>): Promise<string[]> {
  const { report, lines } = reported();
  const setup: SetupOptions = {
    keys: [at('one.pem')],
    askSecret: () => Promise.reject(new Error('asked')),
    deadline: 60_000,
    login: false,
    management: undefined,
    managementWords: undefined,
    directives: undefined,
    sight: 'nothing',
    configCertificate: undefined,
    installedRelease: () => Promise.resolve(undefined),
    user: 'root',
    answersPasswords: false,
    now: NOW,
    ...options,
  };
  await checkSetup(setup, report);
  return lines;
}

describe('a key in a file', () => {
  test('is opened, tried, and has lines', async () => {
    expect(await linesOf({})).toEqual([
      `ok    key: ${at('one.pem')}: ED25519`,
      'warn  certificate: none lies with the key: <no-certificate>',
      'ok    signature: ED25519 of a message by file',
      'ok    lines: for ED25519 and OpenVPN 2.6 (no OpenVPN told its release)',
      'management /run/openvpn/pksigd.sock unix',
      'management-hold',
      'management-external-key',
      '# and: cert FILE',
    ]);
  });

  test('that is not there keeps nothing else from being checked', async () => {
    const lines = await linesOf({ keys: [at('none.pem')], certificate: at('cert.pem') });
    expect(lines).toEqual([
      expect.stringMatching(/^fail {2}key: can't read/),
      expect.stringMatching(/^skip {2}certificate: .*after login$/),
      expect.stringMatching(/^ok {4}certificate: valid until/),
      expect.stringMatching(/^warn {2}certificate: it has no/),
      'skip  lines: none, as long as it is not known what the key can sign',
    ]);
  });

  test('and a copy that is another key', async () => {
    const lines = await linesOf({ keys: [at('one.pem'), at('other.pem')] });
    expect(lines.filter((line) => line.startsWith('fail'))).toEqual([
      `fail  key: ${at('other.pem')} is another key than ${at('one.pem')}`,
    ]);
  });

  test('a pkcs11 URI that is not one, and one without module hosts', async () => {
    expect((await linesOf({ keys: ['pkcs11:colour=blue'] }))[0]).toMatch(/^fail {2}key: bad pkcs11 URI/);
    expect((await linesOf({ keys: ['pkcs11:token=x'] }))[0]).toMatch(/^fail {2}module: .*nothing to open tokens with/);
  });
});

describe('the certificate', () => {
  test('of the .ovpn and the given one are both looked at, and the .ovpn says which is presented', async () => {
    const configCertificate = vi.fn(() => Promise.resolve([new X509Certificate(CERTIFICATE)]));
    const directives = new Map([['cert', ['client cert.pem']]]);
    const lines = await linesOf({ certificate: at('cert.pem'), configCertificate, directives });
    const mismatches = lines.filter((line) => line.includes('is of another key'));
    expect(mismatches.map((line) => line.split(':')[0])).toEqual(['fail  cert of the .ovpn', 'fail  certificate']);
    expect(lines.at(-1)).toBe('cert "client cert.pem"');
  });

  test('in a file is named in the lines', async () => {
    expect((await linesOf({ certificate: at('cert.pem') })).at(-1)).toBe(`cert ${at('cert.pem')}`);
  });

  test("that can't be read", async () => {
    const lines = await linesOf({ certificate: at('none.pem') });
    expect(lines[0]).toMatch(/^fail {2}certificate: can't read/);
    // it was given
    expect(lines.filter((line) => line.includes('none lies'))).toEqual([]);
  });
});

test('the release of the openvpn that is installed', async () => {
  const lines = await linesOf({ installedRelease: () => Promise.resolve('2.5.1') });
  expect(lines.at(-1)).toMatch(/^fail {2}lines: none for ED25519 and OpenVPN 2\.5 \(the openvpn that is installed\)/);
});
