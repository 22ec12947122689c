import { unfit } from './reader.ts';

const PADDING = Buffer.alloc(64, ' ');
/** All that stands before the hash of the transcript (RFC 8446 section 4.4.3). */
const PREFIX = Buffer.concat([PADDING, Buffer.from('TLS 1.3, client CertificateVerify\0', 'latin1')]);
/**
 * Lengths of the transcript's hash. It is the hash of the cipher suite, not of the signature's scheme: SHA-256 or SHA-384 in all
 * suites of TLS 1.3 (RFC 8446 appendix B.4).
 */
const HASH_LENGTHS = [32, 48];

/** Does it begin as what is signed in TLS 1.3, by whichever side? */
export function looksLikeTls13(message: Buffer): boolean {
  return PADDING.equals(message.subarray(0, PADDING.length));
}

/** Checks that a message is what a client signs in TLS 1.3, to the last byte. @throws Unfit */
export function checkTls13(message: Buffer): void {
  if (!PREFIX.equals(message.subarray(0, PREFIX.length)))
    unfit("its context is not 'TLS 1.3, client CertificateVerify'");
  const length = message.length - PREFIX.length;
  if (!HASH_LENGTHS.includes(length)) unfit(`a transcript's hash of ${length} bytes is none of TLS 1.3`);
}
