import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Bench, KeyName } from './bench.ts';

const run = promisify(execFile);

/** The openssl command, for what must not be checked by our own code. */
export async function openssl(args: readonly string[]): Promise<Buffer> {
  const { stdout } = await run('openssl', args, { encoding: 'buffer' });
  return stdout;
}

/** How `openssl pkeyutl -verify` checks a signature that OpenVPN asked for, read from OpenVPN's algorithm text alone. */
function verifyOptions(algorithm: string): string[] {
  const [name = '', ...words] = algorithm.split(',');
  const field = new Map(words.map((word) => word.split('=') as [string, string]));
  const message = field.get('data') === 'message';
  const hash = field.get('hashalg')?.toLowerCase();
  const option = (text: string): string[] => ['-pkeyopt', text];
  const hashed = hash === undefined ? [] : message ? ['-rawin', '-digest', hash] : option(`digest:${hash}`);
  switch (name) {
    case 'RSA_PKCS1_PADDING':
      return [...option('rsa_padding_mode:pkcs1'), ...hashed];
    case 'RSA_PKCS1_PSS_PADDING':
      return [...option('rsa_padding_mode:pss'), ...hashed, ...option(`rsa_pss_saltlen:${field.get('saltlen') ?? ''}`)];
    case 'ECDSA':
      return hashed;
    case 'ED25519':
    case 'ED448':
      return ['-rawin'];
    default:
      throw new Error(`no way to verify ${algorithm}`);
  }
}

/** Whether the openssl command takes `signature` for what `algorithm` asks for over `data`. */
export async function opensslVerifies(
  bench: Bench,
  key: KeyName,
  algorithm: string,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  // pkeyutl -verify takes no more than a hash: what is longer is recovered from the signature
  const recovered = { RSA_NO_PADDING: 'none', RSA_PKCS1_PADDING: 'pkcs1' }[algorithm];
  if (recovered !== undefined) return (await recover(bench, key, signature, recovered)).equals(data);
  const name = randomBytes(6).toString('hex');
  const [input, block] = await Promise.all([bench.write(`${name}.tbs`, data), bench.write(`${name}.sig`, signature)]);
  const files = ['-pubin', '-inkey', bench.recipe(`${key}.pub.pem`), '-in', input, '-sigfile', block];
  try {
    const said = await openssl(['pkeyutl', '-verify', ...verifyOptions(algorithm), ...files]);
    return said.toString().includes('Signature Verified Successfully');
  } catch (error) {
    // a wrong signature; anything else is a fault of the test
    if (String((error as { stdout?: Buffer }).stdout).includes('Signature Verification Failure')) return false;
    throw error;
  }
}

/** An EMSA-PSS block over `digest` (SHA-256, salt as long), as a daemon that pads by itself sends it: openssl pads it. */
export async function emsaPss(bench: Bench, key: KeyName, digest: Uint8Array): Promise<Buffer> {
  const pss = ['-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'digest:sha256', '-pkeyopt', 'rsa_pss_saltlen:digest'];
  const input = await bench.write(`${randomBytes(6).toString('hex')}.digest`, digest);
  const signature = await openssl(['pkeyutl', '-sign', ...pss, '-inkey', bench.recipe(`${key}.pem`), '-in', input]);
  return recover(bench, key, signature, 'none');
}

/** What an RSA signature was made over: with padding `none` the whole padded block. */
async function recover(bench: Bench, key: KeyName, signature: Uint8Array, padding: string): Promise<Buffer> {
  const file = await bench.write(`${randomBytes(6).toString('hex')}.sig`, signature);
  const options = ['-pubin', '-inkey', bench.recipe(`${key}.pub.pem`), '-pkeyopt', `rsa_padding_mode:${padding}`];
  return openssl(['pkeyutl', '-verifyrecover', ...options, '-in', file]);
}

/** The ASN.1 DigestInfo of `data`, with the prefix that RFC 8017 section 9.2 note 1 prints. */
export function digestInfo(hash: 'SHA1' | 'SHA224' | 'SHA256' | 'SHA384' | 'SHA512', data: string): Buffer {
  const prefix = {
    SHA1: '3021300906052b0e03021a05000414',
    SHA224: '302d300d06096086480165030402040500041c',
    SHA256: '3031300d060960864801650304020105000420',
    SHA384: '3041300d060960864801650304020205000430',
    SHA512: '3051300d060960864801650304020305000440',
  }[hash];
  return Buffer.concat([Buffer.from(prefix, 'hex'), createHash(hash).update(data).digest()]);
}
