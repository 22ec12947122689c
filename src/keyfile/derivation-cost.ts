import { AgentError } from '../errors.ts';
import { INTEGER, OBJECT_IDENTIFIER, readAllBer, readBer, SEQUENCE, type BerElement } from '../signing/ber.ts';

/**
 * What turning a passphrase into a key may cost, in iterations of PBKDF2 with HMAC-SHA-256, of which a machine of 2020
 * does some three million a second. Nothing else is done meanwhile, not even a signal heard.
 */
const MAX_COST = 4_000_000;

/** 1.3.6.1.4.1.11591.4.11, scrypt (RFC 7914 section 7). */
const SCRYPT = Buffer.from('2b06010401da47040b', 'hex');

/** Adds up what a file asks for, and refuses once that is too much. */
export class DerivationBudget {
  readonly #path: string;
  #left = MAX_COST;

  /** A passphrase was turned into a key. */
  get isUsed(): boolean {
    return this.#left < MAX_COST;
  }

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws AgentError ERR_KEY_FILE */
  spend(cost: number): void {
    this.#left -= cost;
    if (this.#left >= 0) return;
    throw new AgentError('ERR_KEY_FILE', `${this.#path} wants its passphrase hashed too many times`, {
      hint: 'encrypt it again with fewer iterations, such as 100000',
    });
  }
}

/**
 * Refuses an EncryptedPrivateKeyInfo (RFC 5958 section 3) whose key derivation would take seconds and more, before
 * OpenSSL starts with it. Plain keys and whatever else pass.
 * @throws AgentError ERR_KEY_FILE
 */
export function checkDerivationCost(der: Buffer, path: string): void {
  const outer = readBer(der);
  const algorithm = outer?.tag === SEQUENCE ? readBer(outer.content) : undefined;
  if (algorithm?.tag !== SEQUENCE) return;
  const elements = flatten(algorithm.content);
  if (!elements) throw new AgentError('ERR_KEY_FILE', `the encryption of ${path} can't be read`);
  const numbers = elements.filter(({ tag }) => tag === INTEGER).map(({ content }) => toNumber(content));
  const isScrypt = elements.some(({ tag, content }) => tag === OBJECT_IDENTIFIER && content.equals(SCRYPT));
  // cost, block size and parallelization of scrypt; of the others the iterations are the largest number, and the only
  // one that may be large
  const [cost = 1, blockSize = 1, parallelization = 1] = numbers;
  new DerivationBudget(path).spend(isScrypt ? cost * blockSize * parallelization : Math.max(0, ...numbers));
}

/** All elements at any depth; undefined if they can't be read. */
function flatten(bytes: Buffer, depth = 0): BerElement[] | undefined {
  const elements = depth > 8 ? undefined : readAllBer(bytes);
  if (!elements) return undefined;
  const all: BerElement[] = [];
  for (const element of elements) {
    all.push(element);
    if (element.tag !== SEQUENCE) continue;
    const inner = flatten(element.content, depth + 1);
    if (!inner) return undefined;
    for (const each of inner) all.push(each);
  }
  return all;
}

function toNumber(content: Buffer): number {
  return content.reduce((sum, byte) => sum * 256 + byte, 0);
}
