import { createPublicKey, type X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { parseWords } from '../../../../src/certificates/words.ts';
import { AgentError } from '../../../../src/errors.ts';
import { CKA } from '../../../../src/pkcs11/constants.ts';
import { inSession, type Session } from '../../../../src/pkcs11/host/session.ts';
import { findChosenCertificate, findChosenHalf, findChosenKey, narrowed } from '../../../../src/pkcs11/key/chosen.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { inDays, makeCertificate, type CertificateOptions, type Issuer } from '../../../support/certificates.ts';
import { ckr, FakeModules, fakeToken, PATH } from '../fake-modules.ts';
import { attributesOfEc, putCertificate, putPrivateKey, putPublicKey } from './fake-objects.ts';

const CARD = fakeToken('card');

let modules: FakeModules;

beforeEach(() => {
  modules = new FakeModules(CARD);
});

const made = (name: string, options: CertificateOptions = {}): Issuer =>
  makeCertificate({ subject: [['CN', name]], ...options });

/** Puts a key pair on the token. @returns the private key's handle */
function put({ certificate, privateKey }: Issuer, label: string, id: string): string {
  const attributes = attributesOfEc(createPublicKey(privateKey));
  putCertificate(modules, label, { of: certificate, id });
  putPublicKey(modules, label, attributes, { id });
  return putPrivateKey(modules, label, attributes, { id, isPublic: true });
}

async function at<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
  const host = await modules.get(PATH);
  return await inSession({ host, info: CARD, epoch: host.epoch }, work);
}

const JANE = made('jane');
const OLD = made('jane', { from: inDays(-90), to: inDays(-1) });
const OLDER = made('jane', { from: inDays(-20), to: inDays(20) });
const JOE = made('joe', { to: inDays(300) });
/** Objects of certificates compare badly: they fill as they are asked. */
const printsOf = (certificates: readonly X509Certificate[]): string[] =>
  certificates.map(({ fingerprint256 }) => fingerprint256);
const words = (text: string): ReturnType<typeof parseWords> => parseWords([text]);

describe('a key that words choose', () => {
  test('of several that they fit: the newest valid one, with its certificate alone', async () => {
    for (const [index, each] of [OLD, OLDER, JOE].entries()) put(each, `key ${index}`, `0${index}`);
    const handle = put(JANE, 'jane', '0a');
    const found = await at((session) => findChosenKey(session, {}, words('SUBJ:jane')));
    expect(found).toMatchObject({ handle, label: 'jane' });
    expect(printsOf(found.certificates)).toEqual(printsOf([JANE.certificate]));
    expect(found.publicKey?.equals(JANE.certificate.publicKey)).toBe(true);
  });

  test('the next best, if the best one is of a key that is not there', async () => {
    putCertificate(modules, 'elsewhere', { of: JANE.certificate, id: '0a' });
    const handle = put(OLDER, 'here', '0b');
    expect(await at((session) => findChosenKey(session, {}, words('SUBJ:jane')))).toMatchObject({ handle });
  });

  test('of two keys of one CKA_ID: the one whose certificate it is', async () => {
    put(JOE, 'one', '01');
    const handle = put(JANE, 'two', '01');
    expect(await at((session) => findChosenKey(session, {}, words('SUBJ:jane')))).toMatchObject({ handle });
  });

  test('of those that the URI names: by its id, by its label, or by the label of its certificate', async () => {
    put(JANE, 'new', '0a');
    const handle = put(OLDER, 'old', '0b');
    const find = (uri: object) => at((session) => findChosenKey(session, uri, words('SUBJ:jane')));
    expect(await find({ id: Buffer.from([0x0b]) })).toMatchObject({ handle });
    expect(await find({ object: 'old' })).toMatchObject({ handle });
    const attributes = attributesOfEc(createPublicKey(JOE.privateKey));
    const nameless = putPrivateKey(modules, '', attributes, { id: '0c', isPublic: true });
    putCertificate(modules, 'badge', { of: JOE.certificate, id: '0c' });
    const byBadge = await at((session) => findChosenKey(session, { object: 'badge' }, words('SUBJ:joe')));
    expect(byBadge).toMatchObject({ handle: nameless });
  });

  test('a key that tells no public half is taken for its certificate’s', async () => {
    putCertificate(modules, 'jane', { of: JANE.certificate });
    putPrivateKey(modules, 'jane', { [CKA.KEY_TYPE]: '03' }, { isPublic: true });
    const { publicKey } = await at((session) => findChosenKey(session, {}, words('SUBJ:jane')));
    expect(publicKey?.equals(JANE.certificate.publicKey)).toBe(true);
  });

  test('none: it is said which keys there are; or that no certificate fits, or none now', async () => {
    putCertificate(modules, 'jane', { of: JANE.certificate, id: '0a' });
    put(JOE, 'joe', '0b');
    const find = (text: string) => at((session) => findChosenKey(session, {}, words(text)));
    await expect(find('SUBJ:jane')).rejects.toMatchObject({
      code: 'ERR_KEY_NOT_FOUND',
      line: "no private key of a certificate that 'SUBJ:jane' fits: the token has object=joe;id=%0B",
    });
    await expect(find('SUBJ:jill')).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
    put(OLD, 'old', '0c');
    modules.objects.delete([...modules.objects.keys()][0] ?? '');
    await expect(find('SUBJ:jane')).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_DATES' });
  });

  test('without words, by the label of what belongs to keys that have none: only where that is one key', async () => {
    const nameless = (each: Issuer, id: string): string =>
      putPrivateKey(modules, '', attributesOfEc(createPublicKey(each.privateKey)), { id, isPublic: true });
    const find = () => at((session) => findChosenKey(session, { object: 'vpn' }, undefined));
    // an authority's, whose key is elsewhere
    putCertificate(modules, 'vpn', { of: JOE.certificate, id: '09' });
    putCertificate(modules, 'vpn', { of: OLDER.certificate, id: '0a' });
    const handle = nameless(OLDER, '0a');
    expect(await find()).toMatchObject({ handle });
    putCertificate(modules, 'vpn', { of: JANE.certificate, id: '0b' });
    nameless(JANE, '0b');
    await expect(find()).rejects.toMatchObject({ code: 'ERR_KEY_AMBIGUOUS' });
  });

  test('without words the URI says it', async () => {
    put(JANE, 'jane', '0a');
    const handle = put(JOE, 'joe', '0b');
    expect(await at((session) => findChosenKey(session, { object: 'joe' }, undefined))).toMatchObject({ handle });
    await expect(at((session) => findChosenKey(session, {}, undefined))).rejects.toMatchObject({
      code: 'ERR_KEY_AMBIGUOUS',
    });
  });

  test('each certificate is read by one call, however many there are', async () => {
    for (const [index, each] of [OLD, OLDER, JOE, JANE].entries()) put(each, `key ${index}`, `0${index}`);
    await at((session) => findChosenKey(session, {}, words('SUBJ:jane')));
    // the four; the private key's, and those of its public half
    expect(modules.count('attributes')).toBe(4 + 2);
  });
});

describe('what is public of it', () => {
  test('is the best certificate that the URI and the words fit, and its key', async () => {
    put(OLDER, 'jane', '01');
    put(JANE, 'jane', '02');
    put(JOE, 'jane', '03');
    const uri = { object: 'jane' };
    const best = await at((session) => findChosenCertificate(session, uri, words('SUBJ:jane')));
    const half = await at((session) => findChosenHalf(session, uri, words('SUBJ:jane')));
    expect(half.publicKey?.equals(JANE.certificate.publicKey)).toBe(true);
    for (const found of [[best], half.certificates]) expect(printsOf(found)).toEqual(printsOf([JANE.certificate]));
    const byId = { ...uri, id: Buffer.from([3]) };
    const named = await at((session) => findChosenCertificate(session, byId, undefined));
    const { certificates } = await at((session) => findChosenHalf(session, byId, undefined));
    for (const found of [[named], certificates]) expect(printsOf(found)).toEqual(printsOf([JOE.certificate]));
  });
});

describe('a URI that fits several tokens', () => {
  const OTHER = fakeToken('other');

  test('is narrowed to the one that has the certificate, by what names that token', async () => {
    const plug = new FakeModules(CARD, OTHER);
    const tokens = new Tokens({ hosts: plug });
    putCertificate(plug, 'jane', { of: OLDER.certificate });
    const here = await narrowed({}, PATH, tokens, words('SUBJ:jane'));
    // both show all that there is
    expect(here).toMatchObject({ token: 'card', serial: 'serial of card' });
    await expect(narrowed({}, PATH, tokens, words('SUBJ:jill'))).rejects.toMatchObject({
      code: 'ERR_CERTIFICATE_NOT_FOUND',
    });
    expect(plug.openSessions).toBe(0);
  });

  test('is narrowed by what each shows itself, though they change their slots meanwhile', async () => {
    const plug = new FakeModules(CARD, OTHER);
    putCertificate(plug, 'jane', { of: JANE.certificate });
    plug.changeSlotsAfter('tokens');
    await narrowed({}, PATH, new Tokens({ hosts: plug }), words('SUBJ:jane'));
    expect(plug.opened).toEqual(['card', 'other']);
  });

  test('one of them can’t be read: another is chosen; none has the certificate: that is why', async () => {
    const plug = new FakeModules(OTHER, CARD);
    const tokens = new Tokens({ hosts: plug });
    putCertificate(plug, 'jane', { of: JANE.certificate });
    plug.fail('openSession', ckr('CKR_SESSION_COUNT', 'C_OpenSession'), 1);
    expect(await narrowed({}, PATH, tokens, words('SUBJ:jane'))).toMatchObject({ token: 'card' });
    plug.fail('openSession', ckr('CKR_TOKEN_NOT_PRESENT', 'C_OpenSession'), 1);
    await expect(narrowed({}, PATH, tokens, words('SUBJ:jill'))).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
    const died = new AgentError('ERR_MODULE_DIED', 'died');
    plug.fail('openSession', died, 1);
    await expect(narrowed({}, PATH, tokens, words('SUBJ:jane'))).rejects.toBe(died);
  });

  test('is left as it is without words, and where it fits one token', async () => {
    const plug = new FakeModules(CARD, OTHER);
    const tokens = new Tokens({ hosts: plug });
    const uri = { token: 'other' };
    expect(await narrowed(uri, PATH, tokens, undefined)).toBe(uri);
    expect(await narrowed(uri, PATH, tokens, words('SUBJ:jane'))).toBe(uri);
    expect(plug.count('openSession')).toBe(0);
  });
});
