import { AgentError } from '../errors.ts';

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
