import { AgentError } from '../errors.ts';
import { INTEGER, readAllBer, readBer, SEQUENCE } from './ber.ts';

function derInteger(unsigned: Uint8Array): Buffer {
  const first = unsigned.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Buffer.from([0]) : Buffer.from(unsigned.subarray(first));
  // a leading bit would make it negative
  const value = (digits[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits;
  return Buffer.concat([Buffer.from([0x02, value.length]), value]);
}

/**
 * A raw ECDSA signature (r‖s, each as long as the curve's order) as DER `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), which
 * is what TLS and OpenVPN want.
 * @throws AgentError ERR_SIGNATURE_INVALID if the halves aren't equal
 */
export function encodeEcdsaDer(raw: Uint8Array): Buffer {
  if (raw.length === 0 || raw.length % 2 !== 0) {
    throw new AgentError('ERR_SIGNATURE_INVALID', `a raw ECDSA signature can't have ${raw.length} bytes`);
  }
  const half = raw.length / 2;
  const body = Buffer.concat([derInteger(raw.subarray(0, half)), derInteger(raw.subarray(half))]);
  const header = body.length < 0x80 ? [0x30, body.length] : [0x30, 0x81, body.length];
  return Buffer.concat([Buffer.from(header), body]);
}

/** What an INTEGER says without a sign, as `length` bytes; undefined if it is longer. */
function unsignedOf(content: Buffer, length: number): Buffer | undefined {
  const digits = content[0] === 0 ? content.subarray(1) : content;
  return digits.length > length ? undefined : Buffer.concat([Buffer.alloc(length - digits.length), digits]);
}

/**
 * The inverse of {@link encodeEcdsaDer}.
 * @param length of r and of s in the raw signature
 * @returns undefined for anything but DER of two numbers that fit
 */
export function decodeEcdsaDer(der: Buffer, length: number): Buffer | undefined {
  const sequence = readBer(der);
  if (sequence?.tag !== SEQUENCE || sequence.length !== der.length) return undefined;
  const numbers = readAllBer(sequence.content);
  const [r, s] = (numbers ?? []).map(({ tag, content }) => (tag === INTEGER ? unsignedOf(content, length) : undefined));
  if (!r || !s || numbers?.length !== 2) return undefined;
  const raw = Buffer.concat([r, s]);
  // every other form: negative and empty numbers, zeros too many, lengths longer than needed
  return encodeEcdsaDer(raw).equals(der) ? raw : undefined;
}
