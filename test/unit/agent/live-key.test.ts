import { generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { KeyEvent } from '../../../src/agent/events.ts';
import { LiveKey } from '../../../src/agent/live-key.ts';
import { AgentError } from '../../../src/errors.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { Listeners } from '../../../src/listeners.ts';
import { inDays, makeCertificate } from '../../support/certificates.ts';
import { FakeClock } from './fake-clock.ts';
import { settle } from '../pkcs11/fake-modules.ts';

const DAY = 86_400;

/** A key whose certificates a test renews, and whose token it pulls. */
class FakeOpened implements OpenedKey {
  readonly signer: OpenedKey['signer'];
  certificates: readonly X509Certificate[];
  /** What reading them anew fails with. */
  failure: AgentError | undefined;
  readonly lost: Listeners = new Listeners();
  readonly found: Listeners = new Listeners();
  reads = 0;
  isClosed = false;

  constructor(privateKey: KeyObject, ...certificates: readonly X509Certificate[]) {
    this.certificates = certificates;
    this.signer = {
      name: 'the key',
      publicKey: makeCertificate({ key: privateKey }).certificate.publicKey,
      certificates,
      availability: { ready: () => this.found.next(), onLost: (listener) => this.lost.add(listener) },
      sign: () => Promise.reject(new Error('not wanted')),
      canSign: () => true,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  readonly readCertificates = (): Promise<readonly X509Certificate[]> => {
    this.reads++;
    return this.failure ? Promise.reject(this.failure) : Promise.resolve(this.certificates);
  };

  [Symbol.asyncDispose](): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const KEY = newKey();
const certificateOf = (name: string, days: number, key = KEY): X509Certificate =>
  makeCertificate({ subject: [['CN', name]], to: inDays(days), key }).certificate;
const CHANGED = new AgentError('ERR_KEY_NOT_FOUND', 'another key', { reason: 'key-changed' });

let clock: FakeClock;
let events: KeyEvent[];
let changes: number;
let next: () => Promise<OpenedKey>;
let opened: FakeOpened;

function live(): LiveKey {
  return new LiveKey(opened, {
    name: 'k',
    open: () => next(),
    emit: (event) => events.push(event),
    clock,
    onChange: () => {
      changes++;
    },
  });
}

const told = (): string[] => events.map(({ type }) => type);
async function pass(days: number): Promise<void> {
  for (let day = 0; day < days; day++) {
    clock.pass(DAY);
    await settle();
  }
}

beforeEach(() => {
  clock = new FakeClock();
  events = [];
  changes = 0;
  next = () => Promise.reject(new AgentError('ERR_KEY_NOT_FOUND', 'no key'));
  opened = new FakeOpened(KEY, certificateOf('first', 100));
});

describe('a certificate', () => {
  test('that is the same is not told of; another is, once', async () => {
    await using key = live();
    await key.refresh();
    expect(events).toEqual([]);
    const second = certificateOf('second', 200);
    opened.certificates = [second, certificateOf('ca', 200, newKey())];
    await Promise.all([key.refresh(), key.refresh()]);
    await key.refresh();
    expect(events).toEqual([
      expect.objectContaining({ type: 'certificate-changed', name: 'k', certificate: 'CN=second', daysLeft: 199 }),
    ]);
    expect(key.certificates).toHaveLength(2);
    expect(changes).toBe(1);
  });

  test('that only has more beside it is no other', async () => {
    await using key = live();
    opened.certificates = [...opened.certificates, certificateOf('ca', 200, newKey())];
    await key.refresh();
    expect(key.certificates).toHaveLength(2);
    expect([told(), changes]).toEqual([[], 0]);
  });

  test("that can't be read stays, which is told once for each reason", async () => {
    await using key = live();
    const [first] = opened.certificates;
    opened.failure = new AgentError('ERR_CERTIFICATE_NOT_FOUND', 'gone');
    await key.refresh();
    await key.refresh();
    opened.failure = undefined;
    opened.certificates = [];
    await key.refresh();
    expect(key.certificates).toEqual([first]);
    expect(events.map((event) => ('error' in event ? event.error : event.type))).toEqual([
      'gone',
      'the key has no certificate now',
    ]);
  });

  test('is read when the token is back, and each day', async () => {
    await using key = live();
    opened.lost.tell();
    await settle();
    expect(opened.reads).toBe(0);
    opened.found.tell();
    await settle();
    expect(opened.reads).toBe(1);
    await pass(3);
    expect(opened.reads).toBe(4);
    await key[Symbol.asyncDispose]();
    await pass(1);
    expect([opened.reads, opened.isClosed]).toEqual([4, true]);
  });

  test.each([
    [31, []],
    [29, [28, 28]],
    [-2, [-3, -3]],
  ])('that ends in %i days is told of each day: %j', async (days, left) => {
    opened = new FakeOpened(KEY, certificateOf('first', days));
    await using key = live();
    await pass(2);
    expect(key.certificates).toHaveLength(1);
    expect(events.map((event) => event.type === 'certificate-ending' && event.daysLeft)).toEqual(left);
  });
});

describe('another key in its place', () => {
  test('is taken over: daemons that have the certificate of the old one keep that', async () => {
    await using key = live();
    opened.failure = CHANGED;
    const other = newKey();
    const second = new FakeOpened(other, certificateOf('other', 50, other));
    next = () => Promise.resolve(second);
    await key.refresh();
    expect(told()).toEqual(['key-changed', 'certificate-changed']);
    expect([key.opened, key.certificates, changes]).toEqual([second, second.certificates, 1]);
    expect(opened.isClosed).toBe(false);
    // it is the new one's token that is watched now
    second.lost.tell();
    second.found.tell();
    await settle();
    expect(second.reads).toBeGreaterThan(1);
    await key[Symbol.asyncDispose]();
    expect([opened.isClosed, second.isClosed]).toEqual([true, true]);
  });

  test('without a certificate is one, too', async () => {
    await using key = live();
    opened.failure = CHANGED;
    next = () => Promise.resolve(new FakeOpened(newKey()));
    await key.refresh();
    expect([told(), changes, key.certificates]).toEqual([['key-changed'], 1, []]);
  });

  test('that can not be told stays out, and the one from before stays', async () => {
    await using key = live();
    opened.failure = CHANGED;
    next = () => Promise.reject(new AgentError('ERR_KEY_AMBIGUOUS', 'two keys'));
    await key.refresh();
    expect([key.opened, changes]).toEqual([opened, 0]);
    expect(events).toEqual([expect.objectContaining({ type: 'certificate-kept', code: 'ERR_KEY_AMBIGUOUS' })]);
  });

  test('which is the same key in another file is no other key', async () => {
    await using key = live();
    opened.failure = CHANGED;
    next = () => Promise.resolve(new FakeOpened(KEY, certificateOf('again', 60)));
    await key.refresh();
    expect([told(), changes]).toEqual([['certificate-changed'], 1]);
  });

  test('that comes again and again leaves few behind', async () => {
    await using key = live();
    const all = [opened];
    for (let round = 0; round < 10; round++) {
      const current = all.at(-1);
      if (current) current.failure = CHANGED;
      const fresh = new FakeOpened(newKey());
      all.push(fresh);
      next = () => Promise.resolve(fresh);
      await key.refresh();
    }
    expect(all.filter(({ isClosed }) => !isClosed)).toHaveLength(5);
  });

  test('that comes while the key is closed is closed', async () => {
    const key = live();
    opened.failure = CHANGED;
    const fresh = new FakeOpened(newKey());
    next = async () => {
      await key[Symbol.asyncDispose]();
      return fresh;
    };
    await key.refresh();
    expect([fresh.isClosed, events]).toEqual([true, []]);
  });
});
