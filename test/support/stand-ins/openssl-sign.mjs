// Signs ready digests for the stand-ins, by openssl: node:crypto would hash them again.
import { execFileSync } from 'node:child_process';

export const LENGTHS = { sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 };

/**
 * @param file of the private key, in PEM
 * @param rsa for an RSA key: the hash that the digest is of, and the salt's length where it is PSS
 */
export function signDigest(file, digest, rsa) {
  const options = ['pkeyutl', '-sign', '-inkey', file];
  if (rsa) {
    const { hash, saltLength } = rsa;
    if (digest.length !== LENGTHS[hash]) throw new Error('input must be hashed message');
    const isPss = saltLength !== undefined;
    options.push('-pkeyopt', `rsa_padding_mode:${isPss ? 'pss' : 'pkcs1'}`, '-pkeyopt', `digest:${hash}`);
    if (isPss) options.push('-pkeyopt', `rsa_pss_saltlen:${saltLength}`);
  }
  return execFileSync('openssl', options, { input: digest });
}
