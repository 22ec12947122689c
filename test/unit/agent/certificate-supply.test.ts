import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  CertificateSupply,
  type CertificateMemory,
  type CertificateSupplyOptions,
} from '../../../src/agent/certificate-supply.ts';
import type { TunnelEvent } from '../../../src/agent/events.ts';
import type { Choice } from '../../../src/agent/service-options.ts';
import { AgentError } from '../../../src/errors.ts';
import { certificatePem } from '../../../src/keyfile/pem.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { FakeKey } from '../keys/fake-key.ts';

const PAIR = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const certificate = (name: string) => makeCertificate({ subject: [['CN', name]], key: PAIR.privateKey }).certificate;
const [OLD, NEW, ISSUER] = [certificate('old'), certificate('new'), certificate('issuer')];

const opened = (...certificates: Choice['certificates']): OpenedKey => ({
  signer: new FakeKey(PAIR, () => Buffer.alloc(0)),
  certificates,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

/** What was done to the daemon: certificates that it was given, signals that it was sent. */
let done: string[];
let events: TunnelEvent[];
let memory: CertificateMemory;
/** What each choice comes to: by the hint and the manner. */
let choose: NonNullable<CertificateSupplyOptions['choose']>;
let choices: string[];
let isGone: boolean;
let relayAsks: boolean | undefined;
let current: OpenedKey;

beforeEach(() => {
  [done, events, choices] = [[], [], []];
  memory = { hint: undefined };
  [isGone, relayAsks] = [false, undefined];
  current = opened(OLD, ISSUER);
  choose = (hint, manner) => {
    choices.push(manner === undefined ? hint : `${hint}, ${manner}`);
    return Promise.resolve({ opened: current, certificates: current.certificates });
  };
});

const NAMES = new Map([
  [certificatePem(OLD), 'old'],
  [certificatePem(NEW), 'new'],
  [certificatePem(OLD) + certificatePem(ISSUER), 'old, issuer'],
  ['', 'nothing'],
]);

function supply(more: Partial<CertificateSupplyOptions> = {}): CertificateSupply {
  const client = {
    certificate: (pem: string) => {
      done.push(`gave ${NAMES.get(pem) ?? pem}`);
      return Promise.resolve();
    },
  } as unknown as CertificateSupplyOptions['client'];
  const relay =
    relayAsks === undefined
      ? undefined
      : ({ askForCertificate: () => relayAsks } as unknown as CertificateSupplyOptions['relay']);
  const options = {
    client,
    key: () => Promise.resolve(current),
    choose: (...given: Parameters<typeof choose>) => choose(...given),
    relay,
    emit: (event: TunnelEvent) => events.push(event),
    signal: (name: string) => {
      done.push(name);
      return Promise.resolve();
    },
    isGone: () => isGone,
    ...more,
  };
  return new CertificateSupply(options, memory);
}

const signal = new AbortController().signal;

/** It asks, and gets what there is. */
async function served(of: CertificateSupply, hint = 'SUBJ:jane'): Promise<void> {
  of.ask(hint);
  await of.give(await of.offer(current), signal);
}

describe('a daemon that asks for a certificate', () => {
  test('gets that of its hint with its chain, and signs with the key of it from then on', async () => {
    const of = supply();
    await served(of);
    expect(done).toEqual(['gave old, issuer']);
    expect(choices).toEqual(['SUBJ:jane']);
    const before = current;
    current = opened(NEW);
    expect(await of.key()).toBe(before);
    await served(of);
    expect(await of.key()).toBe(current);
  });

  test('gets the key’s own where nothing chooses', async () => {
    const of = supply({ choose: undefined });
    const offer = await of.offer(current);
    expect(offer.choice).toEqual({ opened: current, certificates: [OLD, ISSUER] });
    expect(of.complaintOf(offer)).toBeUndefined();
  });

  test('before it has asked, signs with the key of its .ovpn’s hint, or the key as it is', async () => {
    const of = supply();
    expect(await of.key()).toBe(current);
    expect(choices).toEqual([]);
    memory.hint = 'SUBJ:jane';
    expect(await of.key()).toBe(current);
    expect(choices).toEqual(['SUBJ:jane, as it is']);
    expect(await supply({ choose: undefined }).key()).toBe(current);
  });

  test('of a connection before is known to the next: the daemon keeps what it has', async () => {
    await served(supply());
    const before = current;
    current = opened(NEW);
    expect(await supply().key()).toBe(before);
  });

  test('is not given anything where nothing was chosen', async () => {
    const of = supply();
    of.ask('SUBJ:jill');
    await of.give({ refusal: new Error('none') }, signal);
    expect(done).toEqual([]);
  });
});

describe('what is said where there is none', () => {
  const none = new AgentError('ERR_CERTIFICATE_NOT_FOUND', 'no certificate');
  const refuse = () => {
    choose = () => Promise.reject(none);
  };

  test('why nothing was chosen', async () => {
    refuse();
    const of = supply();
    expect(of.complaintOf(await of.offer(current))).toMatchObject({
      trouble: 'certificate-not-chosen',
      level: 'error',
      details: { code: 'ERR_CERTIFICATE_NOT_FOUND', error: 'no certificate' },
    });
  });

  test('that the key has none', async () => {
    const of = supply();
    current = opened();
    expect(of.complaintOf(await of.offer(current))).toMatchObject({ trouble: 'no-certificate', level: 'error' });
  });

  test('that the clients of the relay are asked, patiently; nothing more where they can not be', async () => {
    refuse();
    relayAsks = true;
    const asking = supply();
    expect(asking.complaintOf(await asking.offer(current))).toMatchObject({
      trouble: 'certificate-unanswered',
      level: 'warn',
    });
    relayAsks = false;
    const alone = supply();
    expect(alone.complaintOf(await alone.offer(current))).toMatchObject({ trouble: 'certificate-not-chosen' });
  });
});

describe('a certificate that was renewed', () => {
  const take = () => {
    done.push('take');
  };

  test('goes to a daemon that waits for one, whatever is set', async () => {
    const of = supply();
    of.ask('');
    await of.renew(false, take);
    expect(done).toEqual(['take']);
    of.over();
    await of.renew(false, take);
    expect(done).toEqual(['take']);
  });

  test('has a daemon that has another one ask anew, once, if that is set', async () => {
    const of = supply();
    await served(of);
    current = opened(NEW);
    await of.renew(false, take);
    expect(done).toEqual(['gave old, issuer']);
    await of.renew(true, take);
    await of.renew(true, take);
    expect(done.slice(1)).toEqual(['SIGUSR1']);
    expect(events).toEqual([{ type: 'daemon-outdated', signal: 'SIGUSR1' }]);
    await served(of);
    await of.renew(true, take);
    expect(done.slice(2)).toEqual(['gave new']);
  });

  test('leaves a daemon alone that has the same, was given none, or can not be given another', async () => {
    const of = supply();
    await of.renew(true, take);
    await served(of);
    await of.renew(true, take);
    choose = () => Promise.reject(new Error('none'));
    await of.renew(true, take);
    choose = () => Promise.resolve({ opened: current, certificates: [] });
    await of.renew(true, take);
    expect(done).toEqual(['gave old, issuer']);
  });

  test('is not signalled to a daemon that has gone, nor to one that was given another meanwhile', async () => {
    const of = supply();
    await served(of);
    current = opened(NEW);
    isGone = true;
    await of.renew(true, take);
    isGone = false;
    const chosen = { opened: current, certificates: current.certificates };
    choose = async () => {
      memory.given = { opened: current, certificate: NEW };
      return await Promise.resolve(chosen);
    };
    await of.renew(true, take);
    expect(done).toEqual(['gave old, issuer']);
  });

  test('takes SIGHUP where SIGUSR1 was in vain: the daemon restarted, and signs on with what it had', async () => {
    const of = supply();
    await served(of);
    current = opened(NEW);
    await of.renew(true, take);
    // before it has restarted that says nothing
    of.signedOn();
    expect(done.at(-1)).toBe('SIGUSR1');
    of.restarted();
    of.signedOn();
    expect(done.at(-1)).toBe('SIGHUP');
    of.restarted();
    of.signedOn();
    expect(done.filter((each) => each === 'SIGHUP')).toHaveLength(1);
  });
});

test('in whatever order things happen: never a signal without need, nor two for one renewal', async () => {
  const steps = ['ask', 'give', 'renew', 'renewed', 'restarted', 'signedOn', 'over', 'reconnect'] as const;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...steps), { maxLength: 30 }), async (order) => {
      done = [];
      memory = { hint: undefined };
      current = opened(OLD);
      let of = supply();
      let signals = 0;
      let renewals = 0;
      for (const step of order) {
        const before = done.length;
        if (step === 'ask') of.ask('x');
        else if (step === 'give') await of.give(await of.offer(current), signal);
        else if (step === 'renew') await of.renew(true, () => undefined);
        else if (step === 'renewed') {
          current = opened(current.certificates[0] === OLD ? NEW : OLD);
          renewals++;
        } else if (step === 'restarted') of.restarted();
        else if (step === 'signedOn') of.signedOn();
        else if (step === 'over') of.over();
        else of = supply();
        const sent = done.slice(before).filter((each) => each.startsWith('SIG'));
        signals += sent.length;
        expect(sent.length).toBeLessThanOrEqual(1);
        if (sent.length > 0) expect(memory.given, 'it has a certificate from us').toBeDefined();
        if (memory.given) expect(await of.key()).toBe(memory.given.opened);
      }
      const given = done.filter((each) => each.startsWith('gave')).length;
      // SIGUSR1, and SIGHUP where that was in vain: for each certificate that it has, at most
      expect(signals).toBeLessThanOrEqual(2 * Math.min(given, renewals));
    }),
  );
});
