import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { joinMessages, splitMessages, u16 } from '../../../support/handshake-layout.ts';
import { contextIn, TLS13, TRANSCRIPTS } from '../../../support/handshakes.ts';

/** Algorithm texts by types of keys, and the codes that TLS 1.2 has for them (RFC 5246 section 7.4.1.4.1, RFC 8446 section 4.2.3). */
const CODES: Readonly<Record<string, readonly (readonly [text: string, code: number | undefined])[]>> = {
  rsa: [
    ['RSA_PKCS1_PADDING,hashalg=SHA1', 0x0201],
    ['RSA_PKCS1_PADDING,hashalg=SHA224', 0x0301],
    ['RSA_PKCS1_PADDING,hashalg=SHA256', 0x0401],
    ['RSA_PKCS1_PADDING,hashalg=SHA384', 0x0501],
    ['RSA_PKCS1_PADDING,hashalg=SHA512', 0x0601],
    ['RSA_PKCS1_PADDING,hashalg=MD5-SHA1', undefined],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', 0x0804],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA384,saltlen=digest', 0x0805],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=digest', 0x0806],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=max', undefined],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA1,saltlen=digest', undefined],
  ],
  ec: [
    ['ECDSA,hashalg=SHA1', 0x0203],
    ['ECDSA,hashalg=SHA224', 0x0303],
    ['ECDSA,hashalg=SHA256', 0x0403],
    ['ECDSA,hashalg=SHA384', 0x0503],
    ['ECDSA,hashalg=SHA512', 0x0603],
  ],
  ed25519: [['ED25519', 0x0807]],
  ed448: [['ED448', 0x0808]],
};

/** A transcript of TLS 1.2 in which the server takes these schemes. */
function taking(transcript: Buffer, ...codes: readonly number[]): Buffer {
  const messages = splitMessages(transcript).map(({ type, body }) => {
    if (type !== 13) return { type, body };
    const types = 1 + (body[0] ?? 0);
    const names = types + 2 + body.readUInt16BE(types);
    const list = Buffer.concat([u16(2 * codes.length), ...codes.map(u16)]);
    return { type, body: Buffer.concat([body.subarray(0, types), list, body.subarray(names)]) };
  });
  return joinMessages(messages);
}

describe('in TLS 1.2 a scheme is one that the server takes', () => {
  const known = Object.values(CODES).flatMap((texts) => texts.flatMap(([, code]) => code ?? []));
  // with those of RSA and ECDSA without a hash
  const all = [...new Set([...known, 0x0001, 0x0003])];

  test.for(Object.keys(CODES))('%s', (type) => {
    const [handshake] = TRANSCRIPTS.filter(
      ({ tls, publicKey }) => tls === '1.2' && publicKey.asymmetricKeyType === type,
    );
    if (!handshake) throw new Error('no such handshake');
    for (const [text, code] of CODES[type] ?? []) {
      const kindOf = (...codes: readonly number[]): string =>
        contextIn({ ...handshake, algorithm: `${text},data=message` }, taking(handshake.message, ...codes)).kind;
      const seen = all.filter((each) => kindOf(each) === 'client-certificate-verify');
      expect(seen, text).toEqual(code === undefined ? [] : [code]);
      expect(kindOf(...all), text).toBe(code === undefined ? 'other-message' : 'client-certificate-verify');
      expect(kindOf(...all.filter((each) => each !== code)), text).toBe('other-message');
    }
  });
});

// RFC 4346 section 7.4.8, RFC 8422 section 5.8
test.for([
  ['1.0', 'rsa', 'RSA_PKCS1_PADDING,hashalg=MD5-SHA1'],
  ['1.1', 'rsa', 'RSA_PKCS1_PADDING,hashalg=MD5-SHA1'],
  ['1.0', 'ec', 'ECDSA,hashalg=SHA1'],
  ['1.1', 'ec', 'ECDSA,hashalg=SHA1'],
] as const)('in TLS %s a key has one scheme: %s', ([tls, type, scheme]) => {
  const handshake = TRANSCRIPTS.find((each) => each.tls === tls && each.publicKey.asymmetricKeyType === type);
  if (!handshake) throw new Error('no such handshake');
  const texts = CODES[type]?.map(([text]) => text) ?? [];
  const kindOf = (text: string): string => contextIn({ ...handshake, algorithm: `${text},data=message` }).kind;
  expect(texts.filter((text) => kindOf(text) === 'client-certificate-verify')).toEqual([scheme]);
});

describe('in TLS 1.3 a curve has its hash', () => {
  const [handshake] = TLS13;
  if (!handshake) throw new Error('no handshake');
  const hashesOf = (publicKey: KeyObject): string[] =>
    ['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512'].filter((hash) => {
      const algorithm = `ECDSA,hashalg=${hash},data=message`;
      return contextIn({ ...handshake, publicKey, algorithm }).kind === 'client-certificate-verify';
    });

  // RFC 8446 section 4.2.3, RFC 8734
  test.for([
    ['P-256', ['SHA256']],
    ['P-384', ['SHA384']],
    ['P-521', ['SHA512']],
    ['brainpoolP256r1', ['SHA256']],
    ['brainpoolP384r1', ['SHA384']],
    ['brainpoolP512r1', ['SHA512']],
    ['secp256k1', []],
  ] as const)('%s: %j', ([namedCurve, hashes]) => {
    expect(hashesOf(generateKeyPairSync('ec', { namedCurve }).publicKey)).toEqual(hashes);
  });
});
