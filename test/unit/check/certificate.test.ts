import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { checkCertificate, reportNoCertificate } from '../../../src/check/certificate.ts';
import { withoutEnd } from '../../support/certificates.ts';
import { CERTIFICATE } from '../keys/certificate.ts';
import { reported } from './reported.ts';

const OWN = new X509Certificate(CERTIFICATE);
const DAY = 86_400_000;
const [FROM, TO] = [Date.parse(OWN.validFrom), Date.parse(OWN.validTo)];

function linesAt(now: number, publicKey = OWN.publicKey as typeof OWN.publicKey | undefined): string[] {
  const { report, lines } = reported();
  checkCertificate('certificate', OWN, publicKey, now, report);
  return lines;
}

describe('a certificate', () => {
  test("is the key's, another key's, or that can't be told", () => {
    const strange = generateKeyPairSync('ed25519').publicKey;
    expect(linesAt(FROM)[0]).toBe("ok    certificate: CN=test is the key's");
    expect(linesAt(FROM, strange)[0]).toMatch(/^fail {2}certificate: CN=test is of another key: give/);
    const { report, lines } = reported();
    checkCertificate('certificate', OWN, undefined, FROM, report);
    expect(lines[0]).toMatch(/^skip {2}certificate: CN=test: .* after login$/);
  });

  test.each([
    ['not yet valid', FROM - 1, /^fail .*not valid before 2026-11-24: is this machine's clock right/],
    ['from its first moment on', FROM, /^ok .*valid until 2126-10-31/],
    ['with 30 days left', TO - 30 * DAY, /^ok .*30 days from now/],
    ['with less', TO - 30 * DAY + 1, /^warn .*29 days from now: have it renewed/],
    ['expired', TO + 1, /^fail .*expired on 2126-10-31: have it renewed/],
  ])('by its dates: %s', (_, now, line) => {
    expect(linesAt(now)[1]).toMatch(line);
  });

  test('whose dates can not be read is valid at no time', () => {
    const { report, lines } = reported();
    checkCertificate('certificate', withoutEnd(OWN), OWN.publicKey, FROM, report);
    expect(lines[1]).toMatch(/^fail .*its dates can't be read: have it issued anew/);
  });

  test('that is not for a client: servers may refuse it', () => {
    expect(linesAt(FROM)[2]).toMatch(/^warn .*no extended key usage clientAuth and no key usage digitalSignature/);
  });
});

describe('no certificate', () => {
  const asked = new Map([['management-external-cert', ['x']]]);

  test.each([
    ['nothing asks for it', { hasSigner: true, login: true, directives: undefined }, 'warn', 'no-certificate'],
    ['the daemon will ask', { hasSigner: true, login: true, directives: asked }, 'fail', 'no-certificate'],
    ['a login may show it', { hasSigner: false, login: false, directives: asked }, 'skip', 'no-login-nor-certificate'],
    ['a login failed', { hasSigner: false, login: true, directives: asked }, 'skip', 'no-certificate'],
  ])('%s', (_, found, outcome, reason) => {
    const { report, lines } = reported();
    reportNoCertificate(found, report);
    expect(lines).toEqual([expect.stringMatching(new RegExp(`^${outcome} .*: <${reason}>$`))]);
  });
});
