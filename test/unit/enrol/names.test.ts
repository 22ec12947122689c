import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { parseAlternativeName } from '../../../src/enrol/alternative-names.ts';
import { namesFor } from '../../../src/enrol/make-request.ts';
import { signedRequest } from '../../../src/enrol/request.ts';
import { parseSubject } from '../../../src/enrol/subject.ts';
import { FileKey } from '../../../src/keyfile/key-file.ts';
import { pemOf } from '../../../src/keyfile/new-key-file.ts';
import { requestFields } from '../../../src/signing/certificate-fields.ts';
import type { Signer } from '../../../src/signing/signer.ts';

let folder = '';
let signer: Signer;
const at = (name: string): string => join(folder, name);
const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

function keyFile(name: string, { privateKey }: KeyPairKeyObjectResult): string {
  writeFileSync(at(name), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return at(name);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-names-'));
  signer = await FileKey.open(keyFile('p256.pem', generateKeyPairSync('ec', { namedCurve: 'prime256v1' })));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The DER of the subject that openssl makes of its own form. */
function byOpenSsl(subject: string): string {
  const args = ['req', '-new', '-key', at('p256.pem'), '-utf8', '-subj', subject, '-outform', 'DER'];
  return requestFields(openssl(...args))?.subject.toString('hex') ?? '';
}

async function bySelf(subject: string): Promise<string> {
  const der = await signedRequest(signer, { subject: parseSubject(subject), alternativeNames: [] });
  return requestFields(der)?.subject.toString('hex') ?? '';
}

describe('a subject', () => {
  test.for([
    '/CN=alice',
    '/C=DE/ST=Bayern/L=München/O=Beispiel GmbH/OU=VPN/CN=alice',
    '/DC=org/DC=example/UID=alice/CN=Alice A.',
    '/O=a\\/b/CN=x+serialNumber=17',
    '/CN=alice/emailAddress=alice@example.org',
    '/GN=Alice/SN=Example/title=Dr./CN=日本',
    '/2.5.4.10=Example/CN=a\\+b',
  ])('%s is what openssl makes of it', async (subject) => {
    expect(await bySelf(subject)).toBe(byOpenSsl(subject));
  });

  test.for([
    ['alice', '/CN=alice'],
    ['CN=alice,O=Example\\, Inc.,C=DE', '/C=DE/O=Example, Inc./CN=alice'],
    [' cn = alice , o = Example ', '/O=Example/CN=alice'],
    ['CN=M\\C3\\BCller\\2C x+UID=m', '/CN=Müller, x+UID=m'],
    ['CN=\\ a\\ ', '/CN=\\ a\\ '],
  ] as const)('%s is %s', async ([text, same]) => {
    expect(await bySelf(text)).toBe(byOpenSsl(same));
  });

  test('keeps a byte order mark that is written as bytes', () => {
    expect(parseSubject('CN=\\EF\\BB\\BFx')).toMatchObject([[{ value: '\u{feff}x' }]]);
  });

  test.for([
    '',
    '/',
    'CN=',
    'CN=a,,O=b',
    'XX=a',
    'C=Germany',
    'C=de',
    'CN=a\\',
    'CN=\\FF',
    'CN="a"',
    'CN=#0c0161',
    `CN=${'a'.repeat(65)}`,
    'emailAddress=ä@example.org',
    'CN=a\0b',
  ])('%j is refused', (text) => {
    expect(() => parseSubject(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
  });

  test('whatever characters a common name has come out again', async () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((text) => !/[\0\ufffd]/.test(text));
    await fc.assert(
      fc.asyncProperty(name, async (value) => {
        const escaped = Array.from(value, (character) => `\\${character}`).join('');
        const der = await signedRequest(signer, { subject: parseSubject(`/CN=${escaped}`), alternativeNames: [] });
        expect(requestFields(der)?.subject.includes(Buffer.from(value, 'utf8'))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('alternative names', () => {
  test('are what openssl reads, and are taken from a request or certificate byte for byte', async () => {
    const texts = [
      'vpn.example.org',
      'alice@example.org',
      '10.1.2.3',
      '2001:db8::7',
      'spiffe://x/y',
      'UPN:alice@ad',
      'dns:bücher.example',
    ];
    const names = await namesFor({ subject: 'alice', alternativeNames: texts, template: undefined }, undefined);
    const der = await signedRequest(signer, names);
    writeFileSync(at('request.pem'), pemOf('CERTIFICATE REQUEST', der));
    const text = openssl('req', '-in', at('request.pem'), '-noout', '-text').toString();
    expect(text).toContain(
      'DNS:vpn.example.org, email:alice@example.org, IP Address:10.1.2.3, IP Address:2001:DB8:0:0:0:0:0:7',
    );
    expect(text).toContain('URI:spiffe://x/y, othername: UPN::alice@ad, DNS:xn--bcher-kva.example');

    openssl(
      'x509',
      '-req',
      '-in',
      at('request.pem'),
      '-key',
      at('p256.pem'),
      '-copy_extensions',
      'copy',
      '-out',
      at('own.crt'),
    );
    for (const template of ['request.pem', 'own.crt']) {
      const again = await signedRequest(
        signer,
        await namesFor({ subject: undefined, alternativeNames: undefined, template: at(template) }, undefined),
      );
      expect(requestFields(again), template).toEqual(requestFields(der));
    }
    const other = await namesFor({ subject: 'bob', alternativeNames: undefined, template: at('own.crt') }, undefined);
    expect(other.alternativeNames).toEqual(requestFields(der)?.alternativeNames);
  });

  test('IPv6 in all its forms', () => {
    for (const [text, hex] of [
      ['::', '0'.repeat(32)],
      ['::1', `${'0'.repeat(31)}1`],
      ['fe80::1:2', 'fe80000000000000000000000001' + '0002'],
      ['::ffff:1.2.3.4', '00000000000000000000ffff01020304'],
      ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ] as const) {
      expect(parseAlternativeName(`IP:${text}`), text).toEqual({ kind: 'IP', content: Buffer.from(hex, 'hex') });
    }
  });

  test.for(['', 'IP:x', 'IP:fe80::1%eth0', 'email:alice', 'URI:x', 'UPN:', 'DNS:a b', 'DNSS:vpn', 'DNS:a:443', 'a/b'])(
    '%j is refused',
    (text) => {
      expect(() => parseAlternativeName(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    },
  );
});

describe('a request', () => {
  test.for([
    ['ec', 'prime256v1'],
    ['ec', 'secp384r1'],
    ['ec', 'secp521r1'],
    ['rsa', ''],
    ['ed25519', ''],
    ['ed448', ''],
  ] as const)('of %s %s is signed so that openssl verifies it', async ([type, namedCurve]) => {
    const generate = generateKeyPairSync as (type: string, options: object) => KeyPairKeyObjectResult;
    await using key = await FileKey.open(keyFile('any.pem', generate(type, { namedCurve, modulusLength: 2048 })));
    const names = { subject: parseSubject('alice'), alternativeNames: [] };
    writeFileSync(at('any.csr'), await signedRequest(key, names));
    expect(
      openssl('req', '-in', at('any.csr'), '-inform', 'DER', '-noout', '-verify', '-subject').toString(),
    ).toContain('CN = alice');
    if (type !== 'rsa') return;
    // a key that does PSS alone
    const pssOnly: Signer = {
      name: key.name,
      publicKey: key.publicKey,
      certificates: [],
      sign: (request) => key.sign(request),
      canSign: ({ scheme }) => scheme === 'RSA_PKCS1_PSS_PADDING',
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    writeFileSync(at('pss.csr'), await signedRequest(pssOnly, names));
    const text = openssl('req', '-in', at('pss.csr'), '-inform', 'DER', '-noout', '-verify', '-text').toString();
    expect(text).toContain('rsassaPss');
  });
});
