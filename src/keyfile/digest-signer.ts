import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { readBer } from '../signing/ber.ts';
import { CURVES, digestToInteger, inverse, mod, toBytes, toInteger, type Curve } from '../signing/curves.ts';
import type { CurveName } from '../signing/public-key.ts';
import { secretProduct, toDigits, type Digits } from './secret-product.ts';

/** What stands around the private key in an ECPrivateKey without a public key (RFC 5915), which OpenSSL adds. */
const ENVELOPES: Readonly<Record<CurveName, readonly [before: Buffer, after: Buffer]>> = {
  'P-256': [Buffer.from('30310201010420', 'hex'), Buffer.from('a00a06082a8648ce3d030107', 'hex')],
  'P-384': [Buffer.from('303e0201010430', 'hex'), Buffer.from('a00706052b81040022', 'hex')],
  'P-521': [Buffer.from('30500201010442', 'hex'), Buffer.from('a00706052b81040023', 'hex')],
  secp256k1: [Buffer.from('302e0201010420', 'hex'), Buffer.from('a00706052b8104000a', 'hex')],
  brainpoolP256r1: [Buffer.from('30320201010420', 'hex'), Buffer.from('a00b06092b2403030208010107', 'hex')],
  brainpoolP384r1: [Buffer.from('30420201010430', 'hex'), Buffer.from('a00b06092b240303020801010b', 'hex')],
  brainpoolP512r1: [Buffer.from('30520201010440', 'hex'), Buffer.from('a00b06092b240303020801010d', 'hex')],
};

/** The private scalar, as long as the order. */
function scalarOf(privateKey: KeyObject): Digits {
  const encoded = privateKey.export({ format: 'der', type: 'sec1' });
  const fields = readBer(encoded)?.content ?? encoded;
  const version = readBer(fields)?.length ?? 0;
  const digits = toDigits(readBer(fields.subarray(version))?.content ?? Buffer.alloc(0));
  encoded.fill(0);
  return digits;
}

/**
 * Signs ready digests by node:crypto, which hashes whatever it is to sign. So it signs a random message m, of the digest e′,
 * with d′ = d·e′/e, which gives (r, s′) with s′ = (e′ + r·d′)/k. Then s = s′·e/e′ = (e + r·d)/k: (r, s) is a signature of e
 * by d, as if OpenSSL had made it. OpenSSL chooses the nonce k and keeps it to itself. The scalar d is multiplied once, by a
 * factor that nobody knows, in time that depends on neither.
 */
export class DigestSigner {
  readonly #curve: Curve;
  readonly #scalar: Digits;
  readonly #order: Digits;

  constructor(name: CurveName, privateKey: KeyObject) {
    this.#curve = CURVES[name];
    this.#scalar = scalarOf(privateKey);
    this.#order = toDigits(toBytes(this.#curve.n, this.#curve.length));
  }

  /**
   * @returns r‖s
   * @throws AgentError ERR_SCHEME_UNSUPPORTED for a digest that is zero
   */
  sign(digest: Buffer): Buffer {
    const { length, n, hash } = this.#curve;
    const wanted = digestToInteger(this.#curve, digest) % n;
    if (wanted === 0n) {
      throw new AgentError('ERR_SCHEME_UNSUPPORTED', 'a key in a file signs no digest that is zero: anybody could');
    }
    const message = randomBytes(length);
    const made = digestToInteger(this.#curve, createHash(hash.name).update(message).digest()) % n;
    const inverseOfBoth = inverse((wanted * made) % n, n);
    const signature = this.#signMade(message, (made * made * inverseOfBoth) % n);
    const s = toInteger(signature.subarray(length)) * ((wanted * wanted * inverseOfBoth) % n);
    return Buffer.concat([signature.subarray(0, length), toBytes(mod(s, n), length)]);
  }

  /** Signs with the private key times `factor`. */
  #signMade(message: Buffer, factor: bigint): Buffer {
    const { name, length, n, hash } = this.#curve;
    const prepared = toDigits(toBytes((factor << BigInt(8 * length)) % n, length));
    const scalar = secretProduct(this.#scalar, prepared, this.#order);
    const [before, after] = ENVELOPES[name];
    const key = Buffer.concat([before, scalar, after]);
    try {
      return sign(hash.name, message, { key, format: 'der', type: 'sec1', dsaEncoding: 'ieee-p1363' });
    } finally {
      scalar.fill(0);
      key.fill(0);
    }
  }

  destroy(): void {
    this.#scalar.fill(0);
  }
}
