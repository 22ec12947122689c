import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseSignatureRequest } from '../../../../src/signing/parse-request.ts';
import { keyKind } from '../../../../src/signing/public-key.ts';
import { contextOf } from '../../../../src/signing/tls/context.ts';
import { withProtocols } from '../../../support/forged-handshakes.ts';
import { insertAt, layoutOf, u16 } from '../../../support/handshake-layout.ts';
import { contextIn, type Handshake, HANDSHAKES, requestOf, TLS13, TRANSCRIPTS } from '../../../support/handshakes.ts';

describe("what real daemons want signed is seen to be a TLS client's", () => {
  test.for(HANDSHAKES)('$name', (handshake) => {
    expect(contextIn(handshake)).toMatchObject({ kind: 'client-certificate-verify', tls: handshake.tls });
  });
});

test('the recordings hold each version of TLS and each type of key', () => {
  expect(new Set(HANDSHAKES.map(({ tls }) => tls))).toEqual(new Set(['1.0', '1.1', '1.2', '1.3']));
  for (const some of [TLS13, TRANSCRIPTS]) {
    const types = new Set(some.map(({ publicKey }) => publicKey.asymmetricKeyType));
    expect(types).toEqual(new Set(['rsa', 'ec', 'ed25519', 'ed448']));
  }
});

test('a transcript tells the certificates of both ends', () => {
  for (const handshake of TRANSCRIPTS) {
    const context = contextIn(handshake);
    if (!('transcript' in context)) throw new Error(handshake.name);
    const [server, client] = [context.transcript.serverCertificates, context.transcript.clientCertificates].map(
      ([first]) => new X509Certificate(first ?? Buffer.alloc(0)),
    );
    expect(server?.subject).toMatch(/CN=server /);
    expect(client?.publicKey.equals(handshake.publicKey)).toBe(true);
  }
});

test('a server chooses one protocol, and says no more', () => {
  for (const handshake of TRANSCRIPTS) {
    expect(contextIn(handshake, withProtocols(handshake, 'openvpn')).kind).toBe('client-certificate-verify');
    for (const chosen of [[], ['openvpn', 'other'], ['openvpn', '']])
      expect(contextIn(handshake, withProtocols(handshake, ...chosen)).kind).toBe('other-message');
  }
});

test('of a hash nothing is seen', () => {
  for (const handshake of HANDSHAKES) {
    if (handshake.publicKey.asymmetricKeyType !== 'ec') continue;
    const request = parseSignatureRequest(
      Buffer.alloc(32, 1).toString('base64'),
      'ECDSA',
      keyKind(handshake.publicKey),
    );
    expect(contextOf(request, handshake.publicKey)).toEqual({ kind: 'bare-digest' });
  }
});

test('another key of the same kind is not the one in the certificate', () => {
  for (const handshake of TRANSCRIPTS) {
    const other = TRANSCRIPTS.find(
      ({ publicKey }) =>
        !publicKey.equals(handshake.publicKey) && publicKey.asymmetricKeyType === handshake.publicKey.asymmetricKeyType,
    );
    if (!other) continue;
    expect(contextIn({ ...handshake, publicKey: other.publicKey })).toMatchObject({ kind: 'other-message' });
  }
});

/** The handshake with so many bytes more in the ClientHello: of cipher suites, and of an extension. */
function stretched({ message }: Handshake, bytes: number): Buffer {
  const fieldAt = (name: string): number => layoutOf(message).find((field) => field.name === name)?.start ?? 0;
  const content = Buffer.alloc(bytes / 2 - 4);
  const extension = Buffer.concat([u16(0x7777), u16(content.length), content]);
  const longer = insertAt(message, fieldAt('ClientHello extension type'), extension);
  return insertAt(longer, fieldAt('ClientHello cipher suites'), Buffer.alloc(bytes / 2, 0x0a));
}

test('no client says hello with 64 KiB', () => {
  for (const handshake of TRANSCRIPTS) {
    expect(contextIn(handshake, stretched(handshake, 60_000)).kind).toBe('client-certificate-verify');
    expect(contextIn(handshake, stretched(handshake, 80_000)).kind).toBe('other-message');
  }
});

test('what is wrong with the key is not laid to the message', () => {
  const { publicKey } = generateKeyPairSync('x25519');
  for (const handshake of TLS13) {
    const request = requestOf(handshake, handshake.message);
    expect(() => contextOf(request, publicKey)).toThrow(expect.objectContaining({ code: 'ERR_KEY_UNSUPPORTED' }));
  }
});
