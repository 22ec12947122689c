// Parsers of what lies in files, comes from processes, and is to be signed.
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import forge from 'node-forge';
import { expect } from 'vitest';
import { NO_HEAD } from '../../src/audit/entry.ts';
import { formatLine, parseLine } from '../../src/audit/line.ts';
import { Verifier } from '../../src/audit/verifier.ts';
import { extensionOf } from '../../src/certificates/der.ts';
import { templateOf } from '../../src/certificates/template.ts';
import { errorIn, helloIn, isLoginChecked, type Reply, signatureIn } from '../../src/exec/protocol.ts';
import { checkDerivationCost } from '../../src/keyfile/derivation-cost.ts';
import { parseCertificates, pemBlocks, pemContent } from '../../src/keyfile/pem.ts';
import { isPkcs12, parsePkcs12 } from '../../src/keyfile/pkcs12.ts';
import { encodeFrame, FrameDecoder } from '../../src/pkcs11/host/frames.ts';
import { readAllBer, readBer } from '../../src/signing/ber.ts';
import { certificateFields, requestFields } from '../../src/signing/certificate-fields.ts';
import { decodeEcdsaDer, encodeEcdsaDer } from '../../src/signing/ecdsa-der.ts';
import { decodeEmsaPkcs1, encodeDigestInfo, encodeEmsaPkcs1, parseDigestInfo } from '../../src/signing/emsa-pkcs1.ts';
import { encodeEmsaPss, readEmsaPss, verifyEmsaPss } from '../../src/signing/emsa-pss.ts';
import { HASHES, PLAIN_HASHES } from '../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../src/signing/parse-request.ts';
import type { KeyKind } from '../../src/signing/public-key.ts';
import { pieces, refused, type Target, texts, unlessRefused } from './target.ts';

const MODULUS_BITS = 2048;
const KINDS: readonly KeyKind[] = [
  { type: 'RSA', modulusBits: MODULUS_BITS, modulusBytes: MODULUS_BITS / 8 },
  { type: 'EC', curve: 'P-256', orderBytes: 32 },
  { type: 'ED25519' },
];
const DIGESTS = Object.values(HASHES).map((hash) => ({ hash, digest: Buffer.alloc(hash.length, 0x5a) }));
const CERTIFICATES = readFileSync(join(import.meta.dirname, '../fixtures/handshakes-ca.pem'));
const EC_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const LOG_KEY = generateKeyPairSync('ed25519');

/** A log as agents write it, in two files. */
function auditLog(): string {
  const publicKey = LOG_KEY.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const named = { log: '0'.repeat(32), publicKey, file: 1 };
  let head = NO_HEAD;
  const write = (entry: Parameters<typeof formatLine>[0], isLast: boolean): string => {
    const line = formatLine(entry, head, new Date(0), LOG_KEY.privateKey, isLast);
    head = line.head;
    return line.text;
  };
  return [
    write({ type: 'start', release: '0', pid: 1, user: null, ...named }, true),
    write({ type: 'checkpoint', reason: 'interval' }, false),
    write({ type: 'checkpoint', reason: 'end' }, true),
  ].join('');
}

/** PKCS#12 as other programs write it, with few rounds: derivations are not what is looked for. */
function pkcs12Files(): Buffer[] {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const key = forge.pki.privateKeyFromPem(privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  certificate.sign(key);
  return (['aes256', '3des'] as const).map((algorithm) => {
    const asn1 = forge.pkcs12.toPkcs12Asn1(key, certificate, 'x', { algorithm, count: 1 });
    return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1');
  });
}

export const BYTE_TARGETS: readonly Target[] = [
  {
    name: 'requests to sign',
    places: ['/src/signing/parse-request.ts', '/src/signing/schemes.ts', '/src/signing/algorithm-text.ts'],
    seeds: DIGESTS.flatMap(({ hash, digest }) => {
      const info = encodeDigestInfo(hash, digest).encoded;
      const data = [digest, info, encodeEmsaPkcs1(info, MODULUS_BITS / 8)].map((each) => each.toString('base64'));
      return texts(
        ...data,
        `${data[1] ?? ''},RSA_PKCS1_PADDING`,
        `${data[0] ?? ''},RSA_PKCS1_PSS_PADDING,hashalg=${hash.name},saltlen=digest`,
      );
    }),
    words: ['RSA_PKCS1_PADDING', 'RSA_NO_PADDING', 'ECDSA', ',data=message', ',hashalg=SHA256', '='],
    read: (bytes, pick) => {
      const text = bytes.toString('latin1');
      const comma = text.indexOf(',');
      const [data, algorithm] = comma < 0 ? [text, undefined] : [text.slice(0, comma), text.slice(comma + 1)];
      const kind = KINDS[pick(KINDS.length)];
      return kind !== undefined && unlessRefused(() => parseSignatureRequest(data, algorithm, kind)) !== undefined;
    },
  },
  {
    name: 'DigestInfo, EMSA blocks, ECDSA signatures',
    places: [
      '/src/signing/emsa-pkcs1.ts',
      '/src/signing/emsa-pss.ts',
      '/src/signing/ecdsa-der.ts',
      '/src/signing/ber.ts',
    ],
    seeds: DIGESTS.flatMap(({ hash, digest }) => {
      const info = encodeDigestInfo(hash, digest).encoded;
      const pss = hash.name === 'MD5-SHA1' ? [] : [encodeEmsaPss(hash, digest, hash.length, MODULUS_BITS)];
      return [info, encodeEmsaPkcs1(info, MODULUS_BITS / 8), encodeEcdsaDer(Buffer.concat([digest, digest])), ...pss];
    }),
    read: (bytes) => {
      const info = unlessRefused(() => parseDigestInfo(bytes));
      if (info) expect(encodeDigestInfo(info.hash, info.digest).encoded).toEqual(bytes);
      const inner = decodeEmsaPkcs1(bytes);
      if (inner) expect(encodeEmsaPkcs1(inner.encoded, bytes.length)).toEqual(bytes);
      const raw = decodeEcdsaDer(bytes, 32);
      if (raw) expect(encodeEcdsaDer(raw)).toEqual(bytes);
      const isBlock = bytes.length === MODULUS_BITS / 8;
      const pss = isBlock ? readEmsaPss(bytes, MODULUS_BITS) : undefined;
      if (isBlock && !pss)
        for (const hash of PLAIN_HASHES)
          verifyEmsaPss(hash, Buffer.alloc(hash.length), hash.length, bytes, MODULUS_BITS);
      return [info, inner, raw, pss].some((found) => found !== undefined);
    },
  },
  {
    name: 'BER, certificates and requests',
    places: [
      '/src/signing/ber.ts',
      '/src/signing/certificate-fields.ts',
      '/src/certificates/',
      '/src/keyfile/derivation-cost.ts',
    ],
    seeds: [
      ...parseCertificates(CERTIFICATES, 'x').map(({ raw }) => raw),
      EC_KEY.privateKey.export({ type: 'pkcs8', format: 'der' }),
      EC_KEY.privateKey.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' }),
    ],
    read: (bytes) => {
      const element = readBer(bytes);
      const all = readAllBer(bytes);
      if (all && all.length > 0) expect(element).toBeDefined();
      unlessRefused(() => {
        checkDerivationCost(bytes, 'x');
      });
      requestFields(bytes);
      const fields = certificateFields(bytes);
      let certificate: X509Certificate | undefined;
      try {
        certificate = new X509Certificate(bytes);
      } catch {
        return fields !== undefined;
      }
      templateOf(certificate);
      extensionOf(certificate, Buffer.from('551d0f', 'hex'));
      return true;
    },
  },
  {
    name: 'PEM',
    places: ['/src/keyfile/pem.ts'],
    seeds: [CERTIFICATES, Buffer.from(EC_KEY.privateKey.export({ type: 'sec1', format: 'pem' }))],
    words: ['-----BEGIN ', '-----END ', '-----', 'CERTIFICATE-----\n', 'X509 ', '\r\n'],
    read: (bytes) => {
      const blocks = pemBlocks(bytes.toString('latin1'));
      for (const block of blocks) {
        expect(bytes.toString('latin1')).toContain(block.text);
        pemContent(block);
      }
      return unlessRefused(() => parseCertificates(bytes, 'x')) !== undefined || blocks.length > 0;
    },
  },
  {
    name: 'PKCS#12',
    places: ['/src/keyfile/pkcs12.ts', '/src/keyfile/derivation-cost.ts', '/src/keyfile/forge-derivation.ts'],
    seeds: pkcs12Files(),
    read: async (bytes) => {
      if (!isPkcs12(bytes)) return false;
      try {
        await parsePkcs12(bytes, 'x', 'x.p12');
        return true;
      } catch (error) {
        refused(error);
        return false;
      }
    },
  },
  {
    name: 'frames of a module host',
    places: ['/src/pkcs11/host/frames.ts'],
    seeds: [
      encodeFrame({ id: 1, result: null }),
      encodeFrame({ id: 2 }, Buffer.alloc(300, 7)),
      Buffer.concat([encodeFrame([]), encodeFrame({ x: 1 }, Buffer.from([0]))]),
    ],
    read: (bytes, pick) => {
      const read = (parts: readonly Buffer[]): unknown => {
        const decoder = new FrameDecoder();
        return unlessRefused(() => parts.flatMap((part) => decoder.push(part)));
      };
      const frames = read([bytes]);
      expect(read(pieces(bytes, pick))).toEqual(frames);
      return Array.isArray(frames) && frames.length > 0;
    },
  },
  {
    name: 'replies of a key’s program',
    places: ['/src/exec/protocol.ts', '/src/exec/abilities.ts'],
    seeds: texts(
      '{"id":1,"version":1,"schemes":["ECDSA","RSA_PKCS1_PADDING:SHA256"],"keep":true,"parallel":4,"secret":true}',
      JSON.stringify({
        version: 1,
        schemes: ['ED25519'],
        publicKey: EC_KEY.publicKey.export({ type: 'spki', format: 'pem' }),
        certificates: [CERTIFICATES.toString()],
      }),
      '{"id":2,"signature":"MEQCIA==","encoding":"der","mechanism":"x"}',
      '{"id":3,"error":{"code":"pin-incorrect","message":"no"}}',
      '{"login":"accepted"}',
    ),
    words: ['"version":1', '"schemes":[', '"error":', 'null', '"signature":"', '"encoding":"raw"', '-----BEGIN'],
    read: (bytes) => {
      let reply: unknown;
      try {
        reply = JSON.parse(bytes.toString('utf8'));
      } catch {
        return false;
      }
      if (typeof reply !== 'object' || reply === null) return false;
      const object = reply as Reply;
      const parsers: readonly (() => unknown)[] = [
        () => errorIn(object, 'x', (text) => text),
        () => helloIn(object, 'x'),
        () => signatureIn(object, 'x', 32),
        () => isLoginChecked(object, 'x'),
      ];
      return parsers.map((parse) => unlessRefused(parse)).some((result) => result !== undefined);
    },
  },
  {
    name: 'audit logs',
    places: ['/src/audit/'],
    seeds: texts(auditLog(), auditLog().split('\n').slice(1).join('\n')),
    words: ['\n', '"hash":"', '"seal":"', '"type":"checkpoint"', '"prev":"', '{"v":1,'],
    read: (bytes, pick) => {
      const genuine = createHash('sha256').update(auditLog()).digest();
      const verdict = (parts: readonly Buffer[]): ReturnType<Verifier['finish']> => {
        const verifier = new Verifier({ keys: [LOG_KEY.publicKey] });
        verifier.beginFile('x');
        for (const part of parts) verifier.push(part);
        verifier.endFile();
        return verifier.finish();
      };
      const whole = verdict([bytes]);
      expect(verdict(pieces(bytes, pick))).toEqual(whole);
      for (const line of bytes.toString('latin1').split('\n')) parseLine(Buffer.from(line, 'latin1'));
      // what is neither the log nor its beginning, has a fault
      if (whole.faults.length === 0 && whole.isEnded && whole.first === 1)
        expect(createHash('sha256').update(bytes).digest()).toEqual(genuine);
      return whole.entries > 0;
    },
  },
];
