import { describe, expect, test } from 'vitest';
import type { X509Certificate } from 'node:crypto';
import { chainOf } from '../../../src/certificates/chain.ts';
import { chosen, daysLeft, newestFirst } from '../../../src/certificates/choose.ts';
import { parseWords } from '../../../src/certificates/words.ts';
import { makeCertificate, withoutEnd, type Issuer } from '../../support/certificates.ts';

/** Within a second: a certificate's times have none of its parts. */
const NOW = 1_000 * Math.floor(Date.now() / 1_000) + 500;
const DAY = 86_400_000;
/** From one moment for all: making keys takes its time. */
const inDays = (days: number): Date => new Date(NOW + days * DAY);
const named = (name: string, from: number, to: number): X509Certificate =>
  makeCertificate({ subject: [['CN', name]], from: inDays(from), to: inDays(to) }).certificate;

const OLD = named('jane', -100, -1);
const CURRENT = named('jane', -50, 50);
const RENEWED = named('jane', -1, 300);
const NEXT = named('jane', 10, 400);
const OTHER = named('joe', -1, 500);

describe('of several certificates', () => {
  test('those that are valid come first, and of them the one that ends last', () => {
    expect(newestFirst([OLD, NEXT, CURRENT, RENEWED], NOW)).toEqual([RENEWED, CURRENT, NEXT, OLD]);
  });

  test('the newest valid one is chosen that the words fit', () => {
    const words = parseWords(['SUBJ:jane']);
    expect(chosen([OTHER, OLD, CURRENT, RENEWED, NEXT], words, NOW)[0]).toBe(RENEWED);
    expect(chosen([OLD, CURRENT, NEXT], words, NOW)).toEqual([CURRENT]);
  });

  test('none: it is said what is there', () => {
    const words = parseWords(['SUBJ:jill']);
    expect(() => chosen([OLD, OTHER], words, NOW)).toThrow(
      expect.objectContaining({
        code: 'ERR_CERTIFICATE_NOT_FOUND',
        line: expect.stringMatching(
          /^no certificate that 'SUBJ:jill' fits: there is CN=joe \(issued by CN=joe, until \d{4}-\d\d-\d\d\); CN=jane/,
        ),
      }),
    );
    expect(() => chosen([], words, NOW)).toThrow(
      expect.objectContaining({ line: expect.stringContaining('none at all') }),
    );
  });

  test('none that is valid: it is said when they are', () => {
    expect(() => chosen([OLD, NEXT, OTHER], parseWords(['SUBJ:jane']), NOW)).toThrow(
      expect.objectContaining({
        code: 'ERR_CERTIFICATE_DATES',
        line: expect.stringMatching(
          /^no certificate that 'SUBJ:jane' fits is valid now: there is .* from .*; .* until /,
        ),
      }),
    );
  });

  test('one whose end is no date is never valid, and is told with the others', () => {
    const broken = withoutEnd(CURRENT);
    expect(broken.validTo).toBe('Bad time value');
    const words = parseWords(['SUBJ:jane']);
    expect(chosen([broken, CURRENT, OLD], words, NOW)).toEqual([CURRENT]);
    expect(() => chosen([broken], words, NOW)).toThrow(
      expect.objectContaining({
        code: 'ERR_CERTIFICATE_DATES',
        line: expect.stringContaining("there is CN=jane (issued by CN=jane, until a date that can't be read)"),
      }),
    );
    expect(() => chosen([broken], parseWords(['SUBJ:jill']), NOW)).toThrow(
      expect.objectContaining({ code: 'ERR_CERTIFICATE_NOT_FOUND' }),
    );
  });

  test('days are counted whole', () => {
    expect([OLD, CURRENT].map((each) => daysLeft(each, NOW))).toEqual([-2, 49]);
  });
});

describe('a chain', () => {
  const root = makeCertificate({ subject: [['CN', 'root']], isCa: true });
  const sub = makeCertificate({ subject: [['CN', 'sub']], issuer: root, isCa: true });
  const low = makeCertificate({ subject: [['CN', 'low']], issuer: sub, isCa: true });
  const leaf = makeCertificate({ subject: [['CN', 'leaf']], issuer: low }).certificate;
  const names = async (of: X509Certificate, pool: readonly Issuer[]): Promise<string[]> => {
    const issuers = pool.map(({ certificate }) => certificate);
    return (await chainOf(of, () => Promise.resolve(issuers), NOW)).map(({ subject }) => subject);
  };

  test('leads to the root, and leaves it out', async () => {
    expect(await names(leaf, [root, sub, low])).toEqual(['CN=leaf', 'CN=low', 'CN=sub']);
    expect(await names(leaf, [low])).toEqual(['CN=leaf', 'CN=low']);
    expect(await names(leaf, [root, sub])).toEqual(['CN=leaf']);
    expect(await names(root.certificate, [root, sub])).toEqual(['CN=root']);
  });

  test('goes by key identifiers where names are the same', async () => {
    const twin = makeCertificate({ subject: [['CN', 'low']], issuer: sub, isCa: true, to: inDays(900) });
    const chain = await chainOf(leaf, () => Promise.resolve([twin.certificate, low.certificate]), NOW);
    expect(chain[1]?.raw.equals(low.certificate.raw)).toBe(true);
  });

  test('goes by the signature where nothing else tells', async () => {
    const bare = { subject: [['CN', 'ca']], isBare: true, isCa: true } as const;
    const [mine, other] = [makeCertificate({ ...bare, issuer: root }), makeCertificate({ ...bare, issuer: root })];
    const own = makeCertificate({ subject: [['CN', 'own']], issuer: mine, isBare: true }).certificate;
    const chain = await chainOf(own, () => Promise.resolve([other.certificate, mine.certificate]), NOW);
    expect(chain[1]?.raw.equals(mine.certificate.raw)).toBe(true);
  });

  test('of a renewed issuer has the one that is valid', async () => {
    const again = { subject: low.subject, key: low.privateKey, issuer: sub, isCa: true, isBare: true } as const;
    const before = makeCertificate({ ...again, from: inDays(-90), to: inDays(-1) });
    const after = makeCertificate(again);
    const own = makeCertificate({ subject: [['CN', 'own']], issuer: after, isBare: true }).certificate;
    const chain = await chainOf(own, () => Promise.resolve([before.certificate, after.certificate]), NOW);
    expect(chain[1]?.raw.equals(after.certificate.raw)).toBe(true);
  });

  test('that is a circle ends', async () => {
    const a = makeCertificate({ subject: [['CN', 'a']], isCa: true, isBare: true });
    const b = makeCertificate({ subject: [['CN', 'b']], issuer: a, isCa: true, isBare: true });
    const crossed = makeCertificate({ subject: [['CN', 'a']], key: a.privateKey, issuer: b, isCa: true, isBare: true });
    expect(await names(b.certificate, [crossed, b])).toEqual(['CN=b', 'CN=a']);
  });
});
