import type { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hasName, serverIn, subjectOf, toldSubject } from '../../../../src/signing/tls/server-name.ts';
import { type CertificateOptions, derSequence, makeCertificate } from '../../../support/certificates.ts';
import { withServer } from '../../../support/forged-handshakes.ts';
import { contextIn, TLS13, TRANSCRIPTS } from '../../../support/handshakes.ts';

type Name = NonNullable<CertificateOptions['subject']>;
const called = (...subject: Name): X509Certificate => makeCertificate({ subject }).certificate;
const dnsName = (name: string): Buffer => Buffer.concat([Buffer.of(0x82, name.length), Buffer.from(name)]);
const withNames = (...names: readonly string[]): X509Certificate =>
  makeCertificate({
    subject: [['CN', 'server']],
    extensions: [{ id: '2.5.29.17', value: derSequence(...names.map(dnsName)) }],
  }).certificate;

describe('a common name', () => {
  test('is taken whole, as it is', () => {
    const certificate = called(['O', 'Corp'], ['CN', 'vpn server']);
    expect(hasName(certificate, 'vpn server')).toBe(true);
    for (const name of ['vpn', 'server', 'vpn server ', 'VPN server', 'Corp', ''])
      expect(hasName(certificate, name), name).toBe(false);
  });

  test('is the last one', () => {
    const certificate = called(['CN', 'first'], ['O', 'Corp'], ['CN', 'last']);
    expect([hasName(certificate, 'last'), hasName(certificate, 'first')]).toEqual([true, false]);
  });

  test.for(['a + b', 'a, b', 'a "b"', 'a\\b', '#a', 'a;b', '<a>', 'ä'])(
    'may have in it what has a meaning: %s',
    (name) => {
      expect(hasName(called(['O', 'Corp'], ['CN', name]), name)).toBe(true);
    },
  );

  test.for(['Corp + CN=server', 'Corp\nCN=server', 'Corp, CN=server', 'Corp\\ + CN=server'])(
    'is none that stands in another part: %j',
    (organization) => {
      expect(hasName(called(['CN', 'stranger'], ['O', organization]), 'server')).toBe(false);
      expect(hasName(called(['CN', 'stranger'], ['O', organization]), 'stranger')).toBe(true);
    },
  );

  test('need not be there', () => {
    expect(hasName(called(['O', 'CN=server']), 'server')).toBe(false);
  });
});

describe('a DNS name', () => {
  test('is taken in any case, and no part of it', () => {
    const certificate = withNames('vpn.example.net', 'other.example.net');
    for (const name of ['vpn.example.net', 'VPN.example.net', 'other.example.net'])
      expect(hasName(certificate, name), name).toBe(true);
    for (const name of ['example.net', 'vpn', 'a.vpn.example.net', '.example.net', '.net', '*.example.net'])
      expect(hasName(certificate, name), name).toBe(false);
  });

  test('stands for none but itself', () => {
    const certificate = withNames('*.example.net');
    expect(hasName(certificate, 'vpn.example.net')).toBe(false);
  });

  test('does not hide the common name', () => {
    expect(hasName(withNames('vpn.example.net'), 'server')).toBe(true);
  });
});

test('a name with = is a whole subject', () => {
  const certificate = called(['C', 'KG'], ['O', 'Corp, Ltd'], ['CN', 'server']);
  expect(subjectOf(certificate)).toBe('C=KG, O=Corp, Ltd, CN=server');
  expect(hasName(certificate, 'C=KG, O=Corp, Ltd, CN=server')).toBe(true);
  for (const name of ['CN=server', 'C=KG', 'O=Corp, Ltd, CN=server', 'CN=server, O=Corp, Ltd, C=KG'])
    expect(hasName(certificate, name), name).toBe(false);
});

test.for<readonly [string, Name]>([
  ['O=Corp, CN=server', [['O', 'Corp, CN=server']]],
  ['CN=server, OU=VPN', [['CN', 'server, OU=VPN']]],
  [
    'O=Corp, CN=a + OU=b',
    [
      ['O', 'Corp'],
      ['CN', 'a + OU=b'],
    ],
  ],
])('a whole subject %s is none whose parts another one has in a value', ([name, subject]) => {
  expect(subjectOf(called(...subject))).toBe(name);
  expect(hasName(called(...subject), name)).toBe(false);
});

test('is told without what acts on a terminal, and not for ever', () => {
  expect(toldSubject(called(['CN', 'a\u{202e}b\u{9b}c']))).toBe('CN=a?b?c');
  expect(toldSubject(called(['CN', 'a'.repeat(997)]))).toBe(`CN=${'a'.repeat(997)}`);
  expect(toldSubject(called(['CN', 'a'.repeat(998)]))).toBe(`CN=${'a'.repeat(997)}…`);
});

describe('the server of a handshake', () => {
  test('is seen in a transcript, and not in TLS 1.3 or of a hash', () => {
    for (const handshake of TRANSCRIPTS) expect(serverIn(contextIn(handshake))).toMatch(/, CN=server /);
    for (const handshake of TLS13) expect(serverIn(contextIn(handshake))).toBe(undefined);
    expect(serverIn({ kind: 'bare-digest' })).toBe(undefined);
  });

  test('is nobody where its certificate can not be read', () => {
    for (const handshake of TRANSCRIPTS) {
      const context = contextIn(handshake, withServer(handshake, derSequence()));
      expect(context.kind).toBe('client-certificate-verify');
      expect(serverIn(context)).toBe(undefined);
    }
  });
});
