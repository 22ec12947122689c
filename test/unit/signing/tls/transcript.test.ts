import { describe, expect, test } from 'vitest';
import { looksLikeTranscript, readTranscript } from '../../../../src/signing/tls/transcript.ts';
import { splitMessages } from '../../../support/handshake-layout.ts';
import {
  EMPTY_SEQUENCE,
  type Extension,
  GROUPS,
  isRight,
  isTranscript,
  madeTranscript,
  SCHEMES,
} from '../../../support/made-transcripts.ts';

const [TLS10, TLS11, TLS12, TLS13] = [0x0301, 0x0302, 0x0303, 0x0304] as const;

test('one that a test has made is right', () => {
  expect(isRight()).toBe(true);
});

test('a message begins as one by a ClientHello of less than 64 KiB', () => {
  expect(looksLikeTranscript(madeTranscript())).toBe(true);
  expect(looksLikeTranscript(Buffer.of(1, 0))).toBe(true);
  for (const bytes of [[], [1], [1, 1, 0], [2, 0, 0], [0, 0, 0], [0x49, 0x20]])
    expect(looksLikeTranscript(Buffer.from(bytes)), String(bytes)).toBe(false);
});

test('cut, it is none, and it is told where', () => {
  const whole = madeTranscript();
  const names = 'ClientHello ServerHello Certificate ServerKeyExchange CertificateRequest ServerHelloDone Certificate';
  const all = splitMessages(whole);
  let start = 0;
  for (const [index, name] of [...names.split(' '), 'ClientKeyExchange'].entries()) {
    const end = start + 4 + (all[index]?.body.length ?? 0);
    for (let at = start; at < end; at++) {
      const where = at < start + 4 ? `it ends where ${name} is due` : `it ends within ${name}`;
      expect(() => readTranscript(whole.subarray(0, at)), `at ${at}`).toThrow(where);
      expect(isTranscript(whole.subarray(0, at)), `at ${at}`).toBe(false);
    }
    start = end;
  }
  expect(start).toBe(whole.length);
});

describe('the server chooses of what the client offers:', () => {
  test.for([
    // the client's, what it lists, the server's
    [TLS12, undefined, TLS12, true],
    [TLS12, undefined, TLS11, true],
    [TLS12, undefined, TLS10, true],
    [TLS11, undefined, TLS11, true],
    [TLS11, undefined, TLS12, false],
    [TLS10, undefined, TLS11, false],
    [TLS12, '0403040303', TLS12, true],
    [TLS12, '0403040303', TLS11, false],
    [TLS12, '020304', TLS12, false],
    [TLS12, '0403030302', TLS11, true],
    [TLS11, '020303', TLS12, false],
    // what TLS 1.3 says is in the extension alone (RFC 8446 section 4.1.2)
    [TLS13, undefined, TLS12, false],
    [TLS13, '0403040303', TLS12, false],
    [0x0300, undefined, 0x0300, false],
  ] as const)('version %i, %s: %i', ([clientVersion, versions, version, isTaken]) => {
    const listed: readonly Extension[] = versions === undefined ? [] : [[43, versions]];
    expect(isRight({ clientVersion, clientExtensions: [GROUPS, SCHEMES, ...listed], version })).toBe(isTaken);
  });

  test('a cipher suite', () => {
    for (const suite of [0xc02f, 0xc030]) {
      expect(isRight({ suites: [0xc02f, 0xc030], suite })).toBe(true);
      expect(isRight({ suites: [0xc02b, 0xc02c], suite })).toBe(false);
    }
  });

  test('a group', () => {
    expect(isRight({ group: 23, serverShare: 65 })).toBe(true);
    expect(isRight({ group: 24, serverShare: 97, clientShare: 97 })).toBe(true);
    expect(isRight({ group: 29, serverShare: 32, clientShare: 32 })).toBe(false);
    // a client without the extension takes any
    expect(isRight({ clientExtensions: [SCHEMES], group: 29, serverShare: 32, clientShare: 32 })).toBe(true);
  });

  test('a signature scheme', () => {
    for (const scheme of [0x0401, 0x0403]) expect(isRight({ scheme })).toBe(true);
    expect(isRight({ scheme: 0x0804 })).toBe(false);
    expect(isRight({ clientExtensions: [GROUPS], scheme: 0x0804 })).toBe(true);
  });

  test('extensions', () => {
    expect(isRight({ clientExtensions: [[23, '']], serverExtensions: [[23, '']] })).toBe(true);
    expect(isRight({ clientExtensions: [[22, '']], serverExtensions: [[23, '']] })).toBe(false);
  });

  test('safe renegotiation, which a cipher suite may stand for (RFC 5746 section 3.3)', () => {
    const renegotiation: Extension = [0xff01, '00'];
    const [suite, signal] = [0xc02f, 0x00ff];
    expect(isRight({ suites: [suite, signal], serverExtensions: [renegotiation] })).toBe(true);
    expect(isRight({ suites: [suite], serverExtensions: [renegotiation] })).toBe(false);
    expect(isRight({ clientExtensions: [renegotiation], serverExtensions: [renegotiation] })).toBe(true);
    expect(isRight({ suites: [suite, signal], serverExtensions: [[23, '']] })).toBe(false);
  });
});

test('both shares are as long as points of the group', () => {
  expect(isRight({ serverShare: 65, clientShare: 65 })).toBe(true);
  for (const length of [1, 32, 64, 66, 97]) {
    expect(isRight({ serverShare: length })).toBe(false);
    expect(isRight({ clientShare: length })).toBe(false);
  }
});

describe('a CertificateStatus (RFC 6066 section 8)', () => {
  const ASK: Extension = [5, '0100000000'];
  const [asked, unasked] = [{ clientExtensions: [GROUPS, SCHEMES, ASK] }, { clientExtensions: [GROUPS, SCHEMES] }];
  const agreed = { ...asked, serverExtensions: [[5, '']] as const };
  const status = Buffer.of(1, 0, 0, 2, ...EMPTY_SEQUENCE);

  test('may come where the server has agreed', () => {
    expect(isRight({ ...agreed, status })).toBe(true);
    expect(isRight(agreed)).toBe(true);
  });

  test('comes nowhere else', () => {
    expect(isRight({ ...asked, status })).toBe(false);
    expect(isRight({ ...unasked, status })).toBe(false);
  });

  test.for([
    ['of another type', Buffer.of(2, 0, 0, 2, ...EMPTY_SEQUENCE)],
    ['of type 0', Buffer.of(0, 0, 0, 2, ...EMPTY_SEQUENCE)],
    ['with nothing in it', Buffer.of(1, 0, 0, 0)],
    ['without DER in it', Buffer.of(1, 0, 0, 2, 0x31, 0)],
    ['with a byte too many', Buffer.of(...status, 0)],
    ['with a byte too few', status.subarray(0, -1)],
    ['empty', Buffer.of()],
  ] as const)('is none %s', ([, wrong]) => {
    expect(isRight({ ...agreed, status: wrong })).toBe(false);
  });
});

test("CAs' names are in DER, as many as there are", () => {
  for (const count of [0, 1, 2])
    expect(isRight({ names: Array.from({ length: count }, () => EMPTY_SEQUENCE) })).toBe(true);
  for (const name of [Buffer.of(), Buffer.of(0x31, 0), Buffer.from('a document')]) {
    expect(isRight({ names: [name] })).toBe(false);
    expect(isRight({ names: [EMPTY_SEQUENCE, name] })).toBe(false);
  }
});
