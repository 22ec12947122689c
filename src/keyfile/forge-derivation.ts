import { pbkdf2Sync } from 'node:crypto';
import type forgeModule from 'node-forge';
import type { DerivationBudget } from './derivation-cost.ts';

type Forge = typeof forgeModule;

/** A hash of forge's. */
interface Digest {
  readonly algorithm: string;
  readonly digestLength: number;
}

type Pbkdf2 = (password: string, salt: string, iterations: number, length: number, digest?: Digest | null) => string;
type Pkcs12Kdf = (
  password: string,
  salt: unknown,
  id: number,
  iterations: number,
  length: number,
  digest?: Digest | null,
) => unknown;

/** Where forge itself looks its key derivations up; its types know none of these. */
interface Derivations {
  readonly pkcs5: { pbkdf2: Pbkdf2 };
  readonly pkcs12: { generateKey: Pkcs12Kdf };
  readonly pki: { readonly pbe: { generatePkcs12Key: Pkcs12Kdf } };
}

/** An iteration in JavaScript takes that many times as long as OpenSSL's. */
const JAVASCRIPT = 12;

/**
 * Runs `work`, which must not wait, with forge's key derivations charged to a budget. PBKDF2 is OpenSSL's meanwhile:
 * forge's own takes thirty times as long.
 * @throws AgentError ERR_KEY_FILE if the budget is spent, and what `work` throws
 */
export function withBudget<Result>(forge: Forge, budget: DerivationBudget, work: () => Result): Result {
  const { pkcs5, pkcs12, pki } = forge as unknown as Derivations;
  const [{ pbkdf2 }, { generateKey }, { generatePkcs12Key }] = [pkcs5, pkcs12, pki.pbe];
  const kdf: Pkcs12Kdf = (password, salt, id, iterations, length, digest) => {
    budget.spend(iterations * Math.ceil(length / (digest?.digestLength ?? 20)) * JAVASCRIPT);
    return generatePkcs12Key(password, salt, id, iterations, length, digest);
  };
  pkcs12.generateKey = kdf;
  pki.pbe.generatePkcs12Key = kdf;
  pkcs5.pbkdf2 = (password, salt, iterations, length, digest) => {
    budget.spend(iterations);
    // a byte a character, as forge has it; the passphrase as OpenSSL has it
    const saltBytes = Buffer.from(salt, 'latin1');
    return pbkdf2Sync(password, saltBytes, iterations, length, digest?.algorithm ?? 'sha1').toString('latin1');
  };
  try {
    return work();
  } finally {
    pkcs12.generateKey = generateKey;
    pki.pbe.generatePkcs12Key = generatePkcs12Key;
    pkcs5.pbkdf2 = pbkdf2;
  }
}
