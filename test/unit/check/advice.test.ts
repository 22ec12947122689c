import { describe, expect, it } from 'vitest';
import { advise, isBefore, parseRelease, withSight } from '../../../src/check/advice.ts';
import type { CanSign } from '../../../src/check/can-sign.ts';
import { CURVE_BYTES, type KeyKind } from '../../../src/signing/public-key.ts';

const RSA: KeyKind = { type: 'RSA', modulusBits: 2048, modulusBytes: 256 };
const EC: KeyKind = { type: 'EC', curve: 'P-256', orderBytes: 32 };
const ED25519: KeyKind = { type: 'ED25519' };
const ED448: KeyKind = { type: 'ED448' };

const all: CanSign = () => true;
const nothing: CanSign = () => false;
const onlyMessages: CanSign = (_, dataKind) => dataKind === 'message';
const onlyPkcs1: CanSign = (scheme, dataKind) => scheme === 'RSA_PKCS1_PADDING' && dataKind === 'digest';
const onlyHashedPkcs1: CanSign = (scheme, dataKind) => scheme === 'RSA_PKCS1_PADDING' && dataKind === 'message';
const noRaw: CanSign = (scheme) => scheme !== 'RSA_NO_PADDING';
const noPkcs1: CanSign = (scheme) => scheme !== 'RSA_PKCS1_PADDING';

/** A row: kind, releases, what the key signs; the line's arguments, `1.2` behind them where TLS must stay below 1.3. */
const rows: [string, KeyKind, string[], CanSign, string | undefined][] = [
  ['RSA', RSA, ['2.6', '2.7', '3.0'], all, 'nopadding pkcs1 pss'],
  ['RSA without raw', RSA, ['2.6', '2.7'], noRaw, 'pkcs1 pss'],
  ['RSA without PKCS #1', RSA, ['2.6'], noPkcs1, 'nopadding pss'],
  ['RSA that hashes itself', RSA, ['2.6', '2.7'], onlyMessages, 'pkcs1 pss digest'],
  ['RSA with PKCS #1 only', RSA, ['2.6', '2.7'], onlyPkcs1, 'pkcs1 1.2'],
  ['RSA with PKCS #1 only, which hashes itself', RSA, ['2.6'], onlyHashedPkcs1, 'pkcs1 digest 1.2'],
  ['RSA', RSA, ['2.5'], all, 'nopadding pkcs1'],
  ['RSA without PKCS #1', RSA, ['2.5'], noPkcs1, 'nopadding'],
  ['RSA without raw', RSA, ['2.5'], noRaw, 'nopadding pkcs1 1.2'],
  ['RSA that hashes itself', RSA, ['2.5', '2.4'], onlyMessages, undefined],
  ['RSA', RSA, ['2.3', '2.4'], all, ''],
  ['RSA without PKCS #1', RSA, ['2.3', '2.4'], noPkcs1, undefined],
  ['EC', EC, ['2.5', '2.6', '2.7'], all, 'nopadding'],
  ['EC that hashes itself', EC, ['2.6'], onlyMessages, 'nopadding digest'],
  ['EC that hashes itself', EC, ['2.5'], onlyMessages, undefined],
  ['EC', EC, ['2.3', '2.4'], all, undefined],
  ['Ed25519', ED25519, ['2.6', '2.7'], all, ''],
  ['Ed448', ED448, ['2.6'], onlyMessages, ''],
  ['Ed25519', ED25519, ['2.4', '2.5'], all, undefined],
  ...[RSA, EC, ED25519, ED448].map((kind): [string, KeyKind, string[], CanSign, undefined] => {
    return [`${kind.type} that signs nothing`, kind, ['2.3', '2.5', '2.6'], nothing, undefined];
  }),
];

/** Titles of builds, as they stand in the daemon's `version`, and what `openvpn --version` says below them. */
const build = (release: string, library: string): string =>
  library.startsWith('mbed')
    ? `OpenVPN ${release} x86_64-pc-linux-gnu [SSL (mbed TLS)] [LZO]\nlibrary versions: ${library}, LZO 2.10`
    : `OpenVPN ${release} x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]\nlibrary versions: ${library}, LZO 2.10`;
const [OLD, MIDDLE, NEW] = ['OpenSSL 1.0.2u  20 Dec 2019', 'OpenSSL 1.1.1w  11 Sep 2023', 'OpenSSL 3.0.19 27 Jan 2026'];
const MBED = 'mbed TLS 2.28.3';
/** As above; and what the note, if there is one, says. */
const builds: [string, KeyKind, string, CanSign, string | undefined, RegExp?][] = [
  ['RSA with mbed TLS', RSA, build('2.6.22', MBED), all, ''],
  ['RSA without PSS with mbed TLS', RSA, build('2.7.6', MBED), onlyPkcs1, ''],
  ['RSA without PKCS #1 with mbed TLS', RSA, build('2.6.22', MBED), noPkcs1, undefined],
  ['EC with mbed TLS', EC, build('2.6.22', MBED), all, undefined],
  ['Ed25519 with mbed TLS', ED25519, build('2.7.6', MBED), all, undefined],
  ['RSA, no PSS in OpenSSL 1.0.2', RSA, build('2.3.18', OLD), onlyPkcs1, ''],
  ['RSA, no PSS in OpenSSL 1.0.2', RSA, build('2.4.12', OLD), onlyPkcs1, ''],
  ['RSA, PSS in OpenSSL 1.1.1', RSA, build('2.4.12', MIDDLE), all, '', /gives up where a server offers RSA-PSS/],
  ['RSA without PSS', RSA, build('2.5.11', MIDDLE), onlyPkcs1, 'nopadding pkcs1 1.2', /RSA-PSS/],
  ['RSA, no PSS in OpenSSL 1.0.2', RSA, build('2.5.11', OLD), onlyPkcs1, 'nopadding pkcs1'],
  ['RSA', RSA, build('2.6.14', MIDDLE), all, 'nopadding pkcs1'],
  ['RSA without raw: PSS comes as a block', RSA, build('2.6.14', MIDDLE), noRaw, 'nopadding pkcs1 1.2', /RSA-PSS/],
  ['RSA without raw', RSA, build('2.6.14', NEW), noRaw, 'pkcs1 pss'],
];

describe('advise, by the library that OpenVPN was built with', () => {
  it.each(builds)('%s', (_, kind, text, canSign, expected, saying) => {
    const release = parseRelease(text) ?? { major: 0, minor: 0 };
    const { keyArguments, tlsVersionMax, impossible, note } = advise(kind, release, canSign);
    if (expected === undefined) {
      expect(impossible).toMatch(/mbed TLS/);
      return;
    }
    expect([...keyArguments, ...(tlsVersionMax === undefined ? [] : [tlsVersionMax])].join(' ')).toBe(expected);
    if (saying) expect(note).toMatch(saying);
    else expect(note).toBeUndefined();
  });

  it('shows a policy nothing with mbed TLS', () => {
    const release = parseRelease(build('2.7.6', MBED)) ?? { major: 0, minor: 0 };
    expect(withSight(advise(RSA, release, all), 'client', RSA, release).impossible).toContain('OpenSSL');
  });
});

describe('advise', () => {
  it.each(
    rows.flatMap(([name, kind, releases, ...rest]) =>
      releases.map((release) => [name, release, kind, ...rest] as const),
    ),
  )('%s, OpenVPN %s', (_, text, kind, canSign, expected) => {
    const release = parseRelease(text) ?? { major: 0, minor: 0 };
    const { keyArguments, tlsVersionMax, impossible } = advise(kind, release, canSign);
    if (expected === undefined) {
      expect(impossible).toMatch(/./);
    } else {
      expect(impossible).toBeUndefined();
      expect([...keyArguments, ...(tlsVersionMax === undefined ? [] : [tlsVersionMax])].join(' ')).toBe(expected);
    }
  });

  it('says what is lost without PSS, and what digest costs', () => {
    const release = { major: 2, minor: 6 };
    expect(advise(RSA, release, all).note).toBeUndefined();
    expect(advise(RSA, release, onlyPkcs1).note).toContain('RSA-PSS');
    expect(advise(RSA, release, onlyMessages).note).toContain('10 KB');
    expect(advise(RSA, { major: 2, minor: 4 }, all).note).toContain('RSA-PSS');
  });
});

describe('for a policy that wants to see', () => {
  const [two5, two6] = [
    { major: 2, minor: 5 },
    { major: 2, minor: 6 },
  ];

  it('the client, keys that OpenVPN hashes for take digest', () => {
    const rsa = withSight(advise(RSA, two6, all), 'client', RSA, two6);
    expect(rsa.keyArguments.join(' ')).toBe('nopadding pkcs1 pss digest');
    expect(rsa.note).toContain('10 KB');
    expect(withSight(advise(EC, two6, onlyMessages), 'client', EC, two6).keyArguments.join(' ')).toBe(
      'nopadding digest',
    );
    expect(withSight(advise(ED25519, two6, all), 'client', ED25519, two6)).toEqual(advise(ED25519, two6, all));
    expect(withSight(advise(RSA, two5, all), 'client', RSA, two5).impossible).toContain('2.6');
  });

  it('the server, TLS 1.3 is none', () => {
    for (const kind of [RSA, EC, ED448]) {
      const { tlsVersionMax, tlsVersionReason, note } = withSight(advise(kind, two6, all), 'server', kind, two6);
      expect(tlsVersionMax).toBe('1.2');
      expect(tlsVersionReason).toContain('TLS 1.3');
      expect(note).toContain('10 KB');
    }
  });

  it('nothing, all stays as it is', () => {
    expect(withSight(advise(RSA, two6, all), 'nothing', RSA, two6)).toEqual(advise(RSA, two6, all));
  });
});

describe('releases', () => {
  it.each([
    ['2.6.14', { major: 2, minor: 6 }],
    ['2.7_alpha1', { major: 2, minor: 7 }],
    ['2.10.0', { major: 2, minor: 10 }],
    ['OpenVPN 2.4.12 x86_64 [SSL (OpenSSL)] [LZO]', { major: 2, minor: 4, library: 'OpenSSL' }],
    [build('2.5.11', MIDDLE), { major: 2, minor: 5, library: 'OpenSSL', openssl: '1.1.1' }],
    [build('2.3.18', OLD), { major: 2, minor: 3, library: 'OpenSSL', openssl: 'before 1.1.1' }],
    [build('2.6.14', NEW), { major: 2, minor: 6, library: 'OpenSSL', openssl: '3' }],
    [build('2.7.6', MBED), { major: 2, minor: 7, library: 'mbed TLS' }],
    ['git:master/1234', undefined],
    [undefined, undefined],
  ])('%s', (text, release) => {
    expect(parseRelease(text)).toEqual(release);
  });

  it('are compared as numbers', () => {
    expect(isBefore({ major: 2, minor: 10 }, 2, 6)).toBe(false);
    expect(isBefore({ major: 2, minor: 5 }, 2, 6)).toBe(true);
    expect(isBefore({ major: 3, minor: 0 }, 2, 6)).toBe(false);
  });
});

it.each(['secp256k1', 'brainpoolP384r1'] as const)('%s is for TLS 1.2', (curve) => {
  const kind: KeyKind = { type: 'EC', curve, orderBytes: CURVE_BYTES[curve] };
  const advice = advise(kind, { major: 2, minor: 6 }, () => true);
  expect(advice).toMatchObject({ keyArguments: ['nopadding'], tlsVersionMax: '1.2' });
  expect(advice.note).toContain(`'tls-groups' with ${curve} in it`);
});
