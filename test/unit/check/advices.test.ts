import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { advicesFor, isOpen } from '../../../src/check/advices.ts';
import { abilitiesOf, commonAbilities, type Abilities } from '../../../src/check/can-sign.ts';
import { checkKeyDirectives, type Directives } from '../../../src/check/directives.ts';
import { checkStart } from '../../../src/check/start.ts';
import { FailoverKey } from '../../../src/keys/failover-key.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import type { Signer } from '../../../src/signing/signer.ts';
import { FakeKey } from '../keys/fake-key.ts';
import { reported } from './reported.ts';

const PAIR = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KIND = keyKind(PAIR.publicKey);
const RELEASE = { major: 2, minor: 6 };
const isPkcs1 = ({ scheme, dataKind }: SignatureRequest): boolean =>
  scheme === 'RSA_PKCS1_PADDING' && dataKind === 'digest';
const anything = (): boolean => true;

/** As aws-kms-pkcs11: what it lists is PKCS #1 alone. */
const UNLISTED: Abilities = abilitiesOf(KIND, isPkcs1, anything);
const TRIED: Abilities = abilitiesOf(KIND, isPkcs1);
const NOTHING: Abilities = abilitiesOf(KIND, () => false, anything);

const withKey = (...words: string[]): Directives => new Map([['management-external-key', words]]);

function said(directives: Directives, abilities: Abilities): string[] {
  const { report, lines } = reported();
  checkKeyDirectives(directives, advicesFor(abilities, KIND, RELEASE, 'nothing'), RELEASE, report);
  return lines;
}

describe('an .ovpn for a key that may do more than its token lists', () => {
  test('what the list speaks against may work', () => {
    expect(said(withKey('pkcs1', 'pss'), UNLISTED)).toEqual([
      'ok    config: management-external-key pkcs1 pss',
      expect.stringMatching(
        /^warn {2}config: TLS 1.3 .*: that is by what its token lists, .*'pksigd check' with a login tries it; if it does not, add 'tls-version-max 1.2'$/,
      ),
    ]);
  });

  test('and what was tried does not', () => {
    expect(said(withKey('pkcs1', 'pss'), TRIED)).toEqual([
      expect.stringMatching(/^warn {2}config: .* is not what this key would best have/),
      expect.stringMatching(/^fail {2}config: TLS 1.3 asks for what the key cannot sign: add/),
    ]);
    expect(isOpen(advicesFor(TRIED, KIND, RELEASE, 'nothing'))).toBe(false);
  });

  test('a fault is one, whatever the key may do', () => {
    expect(said(withKey('odd'), UNLISTED)[0]).toMatch(/^fail .* refuses 'management-external-key odd'/);
    expect(
      said(
        withKey('pss', 'digest'),
        abilitiesOf(KIND, () => false),
      ),
    ).toEqual([]);
  });

  test('all copies must be able to', () => {
    const { canSign, maySign } = commonAbilities([UNLISTED, TRIED]);
    expect([canSign('RSA_PKCS1_PADDING', 'digest'), maySign('RSA_PKCS1_PADDING', 'digest')]).toEqual([true, true]);
    expect(maySign('RSA_PKCS1_PSS_PADDING', 'digest')).toBe(false);
  });
});

describe('run says of such a key', () => {
  const signer = (can: (request: SignatureRequest) => boolean, may?: Signer['maySign']): Signer => {
    const { name, publicKey, certificates } = new FakeKey(PAIR, () => Buffer.alloc(0));
    return {
      ...{ name, publicKey, certificates, canSign: can },
      ...(may && { maySign: may }),
      sign: () => Promise.reject(new Error('asked to sign')),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  };
  const atStart = async (key: Signer): Promise<string[]> => {
    const { report, lines } = reported();
    const opened: OpenedKey = { signer: key, certificates: [], [Symbol.asyncDispose]: () => Promise.resolve() };
    const options = {
      directives: new Map([...withKey('nopadding', 'pkcs1', 'pss'), ['management', []], ['management-hold', []]]),
      sight: 'nothing',
      configCertificate: undefined,
      key: Promise.resolve(opened),
      installedRelease: () => Promise.resolve(undefined),
      user: 'root',
      answersPasswords: false,
      now: Date.now(),
    } as const;
    await checkStart(options, report);
    return lines.filter((line) => /TLS 1.3|none for/.test(line));
  };

  test('may, where its token does not list it', async () => {
    expect(await atStart(signer(isPkcs1, anything))).toEqual([
      expect.stringMatching(/^warn {2}config: TLS 1.3 .* may do/),
    ]);
    expect(await atStart(signer(() => false, anything))).toEqual([
      expect.stringMatching(/^warn|^skip {2}lines: none .* may do more/),
    ]);
    expect(await atStart(signer(anything))).toEqual([]);
  });

  test('cannot, where nothing is left to try', async () => {
    expect(await atStart(signer(isPkcs1))).toEqual([expect.stringMatching(/^fail {2}config: TLS 1.3/)]);
    expect(await atStart(signer(() => false))).toContainEqual(expect.stringMatching(/^fail {2}lines: none for/));
  });

  test('the same of copies', async () => {
    const copies = (...keys: Signer[]) =>
      FailoverKey.open(
        keys.map((key, index) => ({ key: `copy ${index}`, open: () => Promise.resolve(key) })),
        { patience: 1_000, onEvent: undefined },
      );
    await using open = await copies(signer(isPkcs1, anything), signer(anything));
    expect(await atStart(open)).toEqual([expect.stringMatching(/^warn {2}config: TLS 1.3 .* may do/)]);
    await using closed = await copies(signer(isPkcs1), signer(anything));
    await expect.poll(() => atStart(closed)).toEqual([expect.stringMatching(/^fail {2}config: TLS 1.3/)]);
  });
});

test('abilities that are not told may be had', () => {
  const { canSign, maySign } = NOTHING;
  expect([canSign('RSA_NO_PADDING', 'digest'), maySign('RSA_NO_PADDING', 'digest')]).toEqual([false, true]);
});
