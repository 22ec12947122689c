import { describe, expect, test } from 'vitest';
import { joinMessages, layoutOf, splitMessages } from '../support/handshake-layout.ts';
import { contextIn, TLS13, TRANSCRIPTS, type Handshake } from '../support/handshakes.ts';

/**
 * What in a transcript nobody can tell from another: it is as good a handshake with other bytes there. All else is bound:
 * kinds and order of messages, each length, versions, and what one end says about what the other end said.
 */
const FREE: ReadonlySet<string> = new Set([
  // chosen at random, or by keys that we don't know
  'ClientHello random',
  'ServerHello random',
  'ServerKeyExchange prime',
  'ServerKeyExchange generator',
  'ServerKeyExchange share',
  'ServerKeyExchange signature',
  'ClientKeyExchange share',
  // what an end offers
  'ClientHello version',
  'ClientHello cipher suites',
  'ClientHello extension',
  'ClientHello extension type',
  'CertificateRequest certificate types',
  'CertificateRequest signature schemes',
  'CertificateRequest CA',
  // one of what the client offers
  'ServerHello version',
  'ServerHello cipher suite',
  'ServerHello extension',
  'ServerHello extension type',
  'ServerKeyExchange signature scheme',
  // within certificates, of which only our key is looked at
  'server certificate',
  'client certificate',
]);

const isTaken = (handshake: Handshake, message: Buffer): boolean =>
  contextIn(handshake, message).kind === 'client-certificate-verify';

/** Every third: both daemons' are alike, and all of them take minutes. */
const SOME = TRANSCRIPTS.filter((_, index) => index % 3 === 0);
/** Fields in which a change was taken. */
const FREED = new Set<string>();

/** As the message with other bytes at one place. */
function withByte(message: Buffer, at: number, byte: number): Buffer {
  const changed = Buffer.from(message);
  changed[at] = byte & 0xff;
  return changed;
}

describe.each(SOME)('$name', (handshake) => {
  const { message } = handshake;
  const layout = layoutOf(message);

  test('with a byte changed it is taken only where another handshake has another byte', () => {
    const taken = new Set<string>();
    for (const { name, start, end } of layout) {
      for (let at = start; at < end; at++) {
        const now = message[at] ?? 0;
        // of numbers all others; of the rest each bit once in eight bytes
        const others = end - start <= 2 ? Array.from({ length: 256 }, (_, byte) => byte) : [now ^ (1 << (at & 7))];
        for (const byte of others) if (byte !== now && isTaken(handshake, withByte(message, at, byte))) taken.add(name);
      }
    }
    expect([...taken].filter((name) => !FREE.has(name))).toEqual([]);
    for (const name of taken) FREED.add(name);
  });

  test('with a length changed it is refused', () => {
    const lengths = layout.filter(({ isLength }) => isLength);
    expect(lengths.length).toBeGreaterThan(20);
    for (const { name, start, end } of lengths) {
      const now = message.readUIntBE(start, end - start);
      const most = 2 ** (8 * (end - start)) - 1;
      for (const length of [now - 2, now - 1, now + 1, now + 2, 0, most]) {
        if (length < 0 || length > most || length === now) continue;
        const changed = Buffer.from(message);
        changed.writeUIntBE(length, start, end - start);
        expect(isTaken(handshake, changed), `${name} at ${start}: ${length} for ${now}`).toBe(false);
      }
    }
  });

  test('cut at one place in eight it is refused, and with a byte put in or taken out', () => {
    for (let at = handshake.name.length % 8; at < message.length; at += 8) {
      expect(isTaken(handshake, message.subarray(0, Math.max(at, 1))), `cut at ${at}`).toBe(false);
      const [before, behind] = [message.subarray(0, at), message.subarray(at)];
      expect(isTaken(handshake, Buffer.concat([before, Buffer.of(0), behind])), `a byte at ${at}`).toBe(false);
      expect(isTaken(handshake, Buffer.concat([before, behind.subarray(1)])), `without ${at}`).toBe(false);
    }
  });

  test('with one message of another handshake it is taken only if both fit', () => {
    const own = splitMessages(message);
    for (const other of SOME) {
      for (const [index, foreign] of splitMessages(other.message).entries()) {
        if (own[index]?.type === foreign.type) continue;
        expect(isTaken(handshake, joinMessages(own.toSpliced(index, 1, foreign)))).toBe(false);
      }
    }
  });
});

describe.each(TLS13)('$name', (handshake) => {
  const { message } = handshake;
  const hashAt = message.indexOf(0) + 1;

  test('with a byte changed it is taken only in the hash', () => {
    for (let at = 0; at < message.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = withByte(message, at, (message[at] ?? 0) ^ (1 << bit));
        expect(isTaken(handshake, changed), `byte ${at}`).toBe(at >= hashAt);
      }
    }
  });

  test('of another length it is taken only where a hash of TLS 1.3 has that length', () => {
    for (let length = 1; length < 300; length++) {
      const changed = Buffer.concat([message, Buffer.alloc(300, 1)]).subarray(0, length);
      expect(isTaken(handshake, changed), `${length} bytes`).toBe(length - hashAt === 32 || length - hashAt === 48);
    }
  });
});

test('each field that is called free is so in some handshake', () => {
  expect([...FREED].toSorted()).toEqual([...FREE].toSorted());
});
