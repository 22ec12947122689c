import { describe, expect, it } from 'vitest';
import type { Advice, Release } from '../../../src/check/advice.ts';
import { checkDirectives, disturbance, type Directives } from '../../../src/check/directives.ts';
import type { Verdict } from '../../../src/check/verdict.ts';
import { readOpenVpnConfig } from '../../../src/config/openvpn-config.ts';

const PSS: Advice = { keyArguments: ['nopadding', 'pkcs1', 'pss'] };
const GOOD = 'management 127.0.0.1 7505\nmanagement-hold\ncert client.crt\n';

async function directivesOf(text: string): Promise<Directives> {
  return (await readOpenVpnConfig('x.ovpn', () => Promise.resolve(Buffer.from(text)))).directives;
}

async function check(
  text: string,
  advice: Advice | undefined = PSS,
  build: number | Partial<Release> = 6,
  answersPasswords = false,
): Promise<string[]> {
  const verdicts: Verdict[] = [];
  const directives = await directivesOf(text);
  const around = { user: 'vpn', answersPasswords };
  const release = { major: 2, minor: 6, ...(typeof build === 'number' ? { minor: build } : build) };
  const advices = { byList: advice, atBest: advice };
  checkDirectives(directives, advices, release, around, (verdict) => verdicts.push(verdict));
  return verdicts.map(({ outcome, detail, code }) =>
    [outcome, detail, ...(code === undefined ? [] : [code])].join(' '),
  );
}

describe('checkDirectives', () => {
  it.each([
    ['what is advised', 'management-external-key nopadding pkcs1 pss', PSS, 6, /^ok /],
    ['the same in another order', 'management-external-key pss pkcs1 nopadding', PSS, 6, /^ok /],
    ['no pss', 'management-external-key nopadding pkcs1', PSS, 6, /^fail .*lacks pss.* ERR_CONFIG$/],
    ['no arguments', 'management-external-key', PSS, 7, /^fail .*lacks nopadding pkcs1 pss/],
    ['pss alone', 'management-external-key pss', PSS, 6, /^warn /],
    ['pss that the key lacks', 'management-external-key pkcs1 pss', { keyArguments: ['pkcs1'] }, 6, /^warn /],
    ['digest, by which policies see', 'management-external-key nopadding pkcs1 pss digest', PSS, 6, /^ok .*digest/],
    [
      'no digest where it is needed',
      'management-external-key pss',
      { keyArguments: ['pss', 'digest'] },
      6,
      /^fail .*lacks digest/,
    ],
    [
      'pss for 2.5',
      'management-external-key nopadding pss',
      { keyArguments: ['nopadding'] },
      5,
      /^fail OpenVPN 2.5 refuses .*pss/,
    ],
    [
      'no nopadding for 2.5',
      'management-external-key pkcs1',
      { keyArguments: ['nopadding', 'pkcs1'] },
      5,
      /^fail .*lacks nopadding/,
    ],
    ['arguments for 2.4', 'management-external-key pkcs1', { keyArguments: [] }, 4, /^fail OpenVPN 2.4 refuses/],
    ['arguments that an Ed25519 key does not need', 'management-external-key pss', { keyArguments: [] }, 6, /^ok /],
    ['words for 2.3, which looks at none', 'management-external-key nopadding', { keyArguments: [] }, 3, /^ok /],
    [
      'words for mbed TLS, which needs none',
      'management-external-key nopadding pkcs1 pss',
      { keyArguments: [] },
      { library: 'mbed TLS' },
      /^ok /,
    ],
    ['EC without nopadding', 'management-external-key', { keyArguments: ['nopadding'] }, 6, /^ok /],
    [
      'EC without nopadding, OpenSSL 3',
      'management-external-key',
      { keyArguments: ['nopadding'] },
      { openssl: '3' },
      /^ok /,
    ],
    [
      'EC without nopadding, OpenSSL 1.1.1',
      'management-external-key',
      { keyArguments: ['nopadding'] },
      { openssl: '1.1.1' },
      /^fail .*lacks nopadding/,
    ],
    [
      "the README's line for an EC key",
      'management-external-key nopadding pkcs1 pss',
      { keyArguments: ['nopadding'] },
      6,
      /^ok /,
    ],
    [
      "the README's line for an RSA key without raw RSA",
      'management-external-key nopadding pkcs1 pss',
      { keyArguments: ['pkcs1', 'pss'] },
      6,
      /^ok /,
    ],
    [
      "the README's line, OpenSSL 1.1.1",
      'management-external-key nopadding pkcs1 pss',
      { keyArguments: ['nopadding', 'pkcs1'] },
      { openssl: '1.1.1' },
      /^ok /,
    ],
    ['a word that is none', 'management-external-key psss', PSS, 6, /^fail .*refuses .*psss/],
    ['none', '', PSS, 6, /^fail no management-external-key/],
  ] as const)('%s', async (_, line, advice, build, expected) => {
    expect(await check(GOOD + line, advice, build)).toEqual([expect.stringMatching(expected)]);
  });

  const KEY = 'management-external-key nopadding pkcs1 pss\n';
  it.each([
    ['cert x\nmanagement 1 1', 'no management-hold', 'warn'],
    ['cert x\nmanagement-hold', 'no management directive', 'fail'],
    ['management 1 1\nmanagement-hold', 'no certificate', 'fail'],
    [`${GOOD}management-external-cert x`, 'cert contradicts', 'fail'],
    ...['key x', 'pkcs12 x', "pkcs11-id 'x'", 'pkcs11-providers x', '<key>\nx\n</key>'].map(
      (line) => [GOOD + line, 'contradicts management-external-key', 'fail'] as const,
    ),
    [`${GOOD}management-client-user root`, 'only user root', 'warn'],
    [`${GOOD}management-client-group vpn`, 'only group vpn', 'ok'],
    [`${GOOD}management-query-passwords`, 'no passwords', 'warn'],
  ] as const)('%j', async (text, detail, outcome) => {
    const [first, ...more] = (await check(`${KEY}${text}`)).filter((line) => line !== `ok ${KEY.trim()}`);
    expect(first).toContain(detail);
    expect(first?.startsWith(outcome)).toBe(true);
    expect(more).toEqual([]);
  });

  it('wants the daemon to ask for passwords that there are', async () => {
    const asks = `${KEY}${GOOD}management-query-passwords`;
    expect(await check(asks, PSS, 6, true)).toHaveLength(1);
    expect(await check(`${KEY}${GOOD}`, PSS, 6, true)).toContainEqual('warn no management-query-passwords');
  });

  it('has 2.3 take its certificate from a file', async () => {
    const text = 'management 1 1\nmanagement-hold\nmanagement-external-key\nmanagement-external-cert x';
    expect(await check(text, { keyArguments: [] }, 3)).toContainEqual(
      'fail OpenVPN 2.3 has no management-external-cert ERR_CONFIG',
    );
    expect(await check(text, { keyArguments: [] }, 4)).toHaveLength(1);
  });

  it('takes the user that it is', async () => {
    expect(await check(`${KEY}${GOOD}management-client-user vpn`)).toHaveLength(1);
  });

  it('wants tls-version-max where TLS 1.3 can not work', async () => {
    const advice: Advice = { keyArguments: ['pkcs1'], tlsVersionMax: '1.2' };
    const text = `${GOOD}management-external-key pkcs1\n`;
    expect(await check(text, advice)).toContainEqual(expect.stringContaining('TLS 1.3 asks'));
    expect(await check(`${text}tls-version-max 1.2`, advice)).toHaveLength(1);
  });

  it('without a key looks at the rest', async () => {
    expect(await check('management-external-key pss\n', { keyArguments: [], impossible: 'x' })).toHaveLength(3);
  });
});

it.each([
  ['management-signal', true],
  ['management-forget-disconnect', true],
  ['management-hold', false],
])('connecting with %s would disturb: %s', async (line, expected) => {
  expect(disturbance(await directivesOf(line)) !== undefined).toBe(expected);
});
