import { describe, expect, test } from 'vitest';
import { chainFault } from '../../../../src/signing/tls/server-chain.ts';
import {
  type CertificateOptions,
  derSequence,
  inDays,
  type Issuer,
  makeCertificate,
} from '../../../support/certificates.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const NO_CHAIN = 'no chain leads to a CA that is trusted';

const ca = (name: string, options: CertificateOptions = {}): Issuer =>
  makeCertificate({ subject: [['CN', name]], isCa: true, ...options });
const root = ca('root');
const between = ca('between', { issuer: root });

function faultOf(
  server: Issuer,
  sent: readonly Issuer[] = [],
  authorities: readonly Issuer[] = [root],
  now: number = Date.now(),
): string | undefined {
  return chainFault(
    server.certificate,
    sent.map(({ certificate }) => certificate.raw),
    authorities.map(({ certificate }) => certificate),
    now,
  );
}

describe('a chain leads to a CA', () => {
  test('from the server itself, or by what it sends', () => {
    expect(faultOf(makeCertificate({ issuer: root }))).toBe(undefined);
    const server = makeCertificate({ issuer: between });
    expect(faultOf(server, [between])).toBe(undefined);
    expect(faultOf(server, [between], [ca('another'), root])).toBe(undefined);
    expect(faultOf(server)).toBe(NO_CHAIN);
    expect(faultOf(server, [between], [ca('another')])).toBe(NO_CHAIN);
    expect(faultOf(server, [between], [])).toBe(NO_CHAIN);
  });

  test('in any order, with others among them', () => {
    const lower = ca('lower', { issuer: between });
    const server = makeCertificate({ issuer: lower });
    expect(faultOf(server, [between, ca('stranger'), root, lower])).toBe(undefined);
    expect(faultOf(server, [lower])).toBe(NO_CHAIN);
    expect(faultOf(server, [between])).toBe(NO_CHAIN);
  });

  test('by no bytes in which a certificate stands as PEM', () => {
    const server = makeCertificate({ issuer: between }).certificate;
    const hidden = derSequence(Buffer.from(`\n${between.certificate.toString()}`));
    expect(() => chainFault(server, [hidden], [root.certificate], Date.now())).toThrow('not one certificate in DER');
  });

  test('by ten certificates, and no more', () => {
    const chain = [root];
    for (let depth = 1; depth <= 11; depth++) chain.unshift(ca(`between ${depth}`, { issuer: chain[0] ?? root }));
    const server = (from: number): Issuer => makeCertificate({ issuer: chain[from] ?? root });
    expect(faultOf(server(1), chain.slice(1, -1))).toBe(undefined);
    expect(faultOf(server(0), chain.slice(0, -1))).toBe(NO_CHAIN);
  });

  test('by whichever of two that have one name and one key', () => {
    const stranger = ca('stranger');
    const bare = { isBare: true, key: between.privateKey } as const;
    const wrong = ca('between', { issuer: stranger, ...bare });
    const right = ca('between', { issuer: root, ...bare });
    const server = makeCertificate({ issuer: right, isBare: true });
    expect(faultOf(server, [right, wrong])).toBe(undefined);
    expect(faultOf(server, [wrong, right])).toBe(undefined);
    expect(faultOf(server, [wrong])).toBe(NO_CHAIN);
  });

  test('and not in a circle', () => {
    const one = ca('one');
    const other = ca('other', { issuer: one, isBare: true });
    const again = ca('one', { issuer: other, key: one.privateKey, isBare: true });
    expect(faultOf(makeCertificate({ issuer: other, isBare: true }), [other, again, other, again])).toBe(NO_CHAIN);
  });
});

describe('an issuer', () => {
  const isBare = true;

  test('has signed: a name alone makes nobody one', () => {
    const pretender = ca('root', { isBare });
    expect(faultOf(makeCertificate({ issuer: pretender, isBare }), [pretender])).toBe(NO_CHAIN);
    const server = makeCertificate({ issuer: ca('between', { issuer: pretender, isBare }), isBare });
    expect(faultOf(server, [between])).toBe(NO_CHAIN);
  });

  test('has the name: a key alone makes nobody one', () => {
    const renamed = ca('another name', { key: root.privateKey });
    expect(faultOf(makeCertificate({ issuer: root, isBare }), [], [renamed])).toBe(NO_CHAIN);
  });

  test('is a CA', () => {
    const none = makeCertificate({ subject: [['CN', 'none']], issuer: root });
    expect(faultOf(makeCertificate({ issuer: none }), [none])).toBe(NO_CHAIN);
    expect(faultOf(makeCertificate({ issuer: none }), [], [none])).toBe(NO_CHAIN);
    const own = makeCertificate();
    expect(faultOf(own, [], [own])).toBe(NO_CHAIN);
  });
});

describe('dates', () => {
  const second = 1_000 * Math.floor(Date.now() / 1_000);
  const dates = { from: new Date(second), to: new Date(second + 10_000) };

  test.for([
    [-1, 'it is not valid now'],
    [0, undefined],
    [10_000, undefined],
    [10_001, 'it is not valid now'],
  ] as const)('of the server: %i ms behind their begin', ([passed, fault]) => {
    expect(faultOf(makeCertificate({ issuer: root, ...dates }), [], [root], second + passed)).toBe(fault);
  });

  test.for([-1, 0, 10_000, 10_001])('of CAs: %i ms behind their begin', (passed) => {
    const fault = passed < 0 || passed > 10_000 ? NO_CHAIN : undefined;
    const now = second + passed;
    const brief = ca('brief', { issuer: root, ...dates });
    expect(faultOf(makeCertificate({ issuer: brief }), [brief], [root], now)).toBe(fault);
    const briefRoot = ca('brief root', dates);
    expect(faultOf(makeCertificate({ issuer: briefRoot }), [], [briefRoot], now)).toBe(fault);
  });

  test('are those of now', () => {
    expect(faultOf(makeCertificate({ issuer: root, from: inDays(-3), to: inDays(-2) }))).toBe('it is not valid now');
  });
});

describe('usages', () => {
  test.for([
    [[], undefined],
    [[SERVER_AUTH], undefined],
    [[CLIENT_AUTH, SERVER_AUTH], undefined],
    [[CLIENT_AUTH], 'it is none of a server'],
    [['2.5.29.37.0'], 'it is none of a server'],
  ] as const)('of the server: %j', ([usages, fault]) => {
    expect(faultOf(makeCertificate({ issuer: root, usages }))).toBe(fault);
  });

  test('of CAs between, and not of the one that is trusted', () => {
    for (const usages of [[], [SERVER_AUTH], [CLIENT_AUTH, SERVER_AUTH]]) {
      const allowed = ca('between', { issuer: root, usages });
      expect(faultOf(makeCertificate({ issuer: allowed }), [allowed])).toBe(undefined);
    }
    const forClients = ca('between', { issuer: root, usages: [CLIENT_AUTH] });
    expect(faultOf(makeCertificate({ issuer: forClients }), [forClients])).toBe(NO_CHAIN);
    const trusted = ca('trusted', { usages: [CLIENT_AUTH] });
    expect(faultOf(makeCertificate({ issuer: trusted }), [], [trusted])).toBe(undefined);
  });
});
