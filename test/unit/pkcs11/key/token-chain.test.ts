import type { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { CKA } from '../../../../src/pkcs11/constants.ts';
import { inSession } from '../../../../src/pkcs11/host/session.ts';
import { tokenChain } from '../../../../src/pkcs11/key/token-chain.ts';
import { certificateFields } from '../../../../src/signing/certificate-fields.ts';
import { inDays, makeCertificate, type CertificateOptions, type Issuer } from '../../../support/certificates.ts';
import { FakeModules, fakeToken, PATH } from '../fake-modules.ts';
import { putCertificate } from './fake-objects.ts';

const CARD = fakeToken('card');

let modules: FakeModules;

beforeEach(() => {
  modules = new FakeModules(CARD);
});

const issue = (name: string, issuer?: Issuer, options: CertificateOptions = {}): Issuer =>
  makeCertificate({ subject: [['CN', name]], isCa: name !== 'leaf', ...(issuer && { issuer }), ...options });

const ROOT = issue('root');
const UPPER = issue('upper', ROOT);
const LOWER = issue('lower', UPPER);
const LEAF = issue('leaf', LOWER);
const ALL = [ROOT, UPPER, LOWER, LEAF];

/** Puts certificates on the token; with their subjects, as PKCS#11 has it. */
function put(issuers: readonly Issuer[], hasSubjects = true): void {
  for (const { certificate } of issuers) {
    const subject = certificateFields(certificate.raw)?.subject.toString('hex') ?? '';
    putCertificate(modules, 'any', { of: certificate, attributes: hasSubjects ? { [CKA.SUBJECT]: subject } : {} });
  }
}

async function chain(leaf = LEAF): Promise<string[]> {
  const host = await modules.get(PATH);
  const found: X509Certificate[] = await inSession({ host, info: CARD, epoch: host.epoch }, (at) =>
    tokenChain(at, leaf.certificate),
  );
  return found.map(({ raw }) => ALL.find(({ certificate }) => certificate.raw.equals(raw))?.certificate.subject ?? '?');
}

const FULL = ['CN=leaf', 'CN=lower', 'CN=upper'];

describe("a certificate's chain", () => {
  test('whatever else is on the token, in whatever order: each one is issued by the next, without the root', async () => {
    const others = [issue('lower', UPPER), issue('upper', ROOT), issue('other', ROOT)];
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...ALL, ...others], { minLength: 7 }), fc.boolean(), async (put_, has) => {
        modules.objects.clear();
        put(put_, has);
        expect(await chain()).toEqual(FULL);
      }),
      { numRuns: 30 },
    );
  });

  test('ends where one is missing', async () => {
    put([LEAF, UPPER, ROOT]);
    expect(await chain()).toEqual(['CN=leaf']);
    put([LOWER]);
    modules.objects.delete([...modules.objects.keys()][1] ?? '');
    expect(await chain()).toEqual(['CN=leaf', 'CN=lower']);
  });

  test('of a root is that alone, and of a certificate that is not on the token what is there', async () => {
    put([ROOT]);
    expect(await chain(ROOT)).toEqual(['CN=root']);
    modules.objects.clear();
    put([UPPER, LOWER, ROOT]);
    expect(await chain()).toEqual(FULL);
  });

  test('takes an issuer that is valid before one that is not', async () => {
    const expired = issue('lower', UPPER, { key: LOWER.privateKey, isBare: true, from: inDays(-9), to: inDays(-1) });
    const leaf = issue('leaf', LOWER, { isBare: true });
    put([expired, LOWER, UPPER]);
    expect(await chain(leaf)).toEqual(['?', 'CN=lower', 'CN=upper']);
  });

  test('is no longer than ten, and no circle', async () => {
    const many: Issuer[] = [ROOT];
    for (let index = 0; index < 12; index++) many.push(issue(`ca ${index}`, many.at(-1)));
    put(many);
    expect(await chain(issue('leaf', many.at(-1)))).toHaveLength(10);
    // each issued by the other
    const one = issue('one');
    const two = issue('two', one);
    const again = issue('one', two, { key: one.privateKey, isBare: true });
    modules.objects.clear();
    put([again, two]);
    expect(await chain(issue('leaf', two))).toHaveLength(3);
  });
});

describe('reading it', () => {
  const reads = (): { find: number; attributes: number } => ({
    find: modules.count('find'),
    attributes: modules.count('attributes'),
  });

  test('by subjects: no more than the chain, however many there are', async () => {
    put([...ALL, ...Array.from({ length: 20 }, (_, index) => issue(`other ${index}`))]);
    await chain();
    // the root is read, and left out
    expect(reads()).toEqual({ find: 3, attributes: 3 });
  });

  test('nothing, where the token finds the leaf by its subject and not its issuer', async () => {
    put([LEAF, UPPER]);
    await chain();
    expect(reads()).toEqual({ find: 2, attributes: 0 });
  });

  test('all of them once, where subjects are not told: if they are few', async () => {
    put(ALL, false);
    expect(await chain()).toEqual(FULL);
    expect(modules.count('attributes')).toBe(4);
    put(
      Array.from({ length: 13 }, (_, index) => issue(`other ${index}`)),
      false,
    );
    expect(await chain()).toEqual(['CN=leaf']);
    expect(modules.count('attributes')).toBe(4);
  });

  test('a damaged certificate, and one that a module gives no value of, are passed over', async () => {
    put(ALL);
    const subject = certificateFields(LOWER.certificate.raw)?.subject.toString('hex') ?? '';
    putCertificate(modules, 'bad', { attributes: { [CKA.SUBJECT]: subject, [CKA.VALUE]: '3003' } });
    putCertificate(modules, 'none', { attributes: { [CKA.SUBJECT]: subject, [CKA.VALUE]: '' } });
    expect(await chain()).toEqual(FULL);
  });
});
