import type { KeyObject } from 'node:crypto';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import type { RawSignature, Signer } from '../../../src/signing/signer.ts';

/** A key that signs as the test says. */
export class FakeKey implements Signer {
  readonly name = 'fake';
  readonly publicKey: KeyObject;
  readonly certificates: readonly [] = [];
  readonly #sign: (request: SignatureRequest) => Buffer;

  constructor({ publicKey }: { readonly publicKey: KeyObject }, sign: (request: SignatureRequest) => Buffer) {
    this.publicKey = publicKey;
    this.#sign = sign;
  }

  canSign(): boolean {
    return true;
  }

  async sign(request: SignatureRequest): Promise<RawSignature> {
    return await Promise.resolve({ bytes: this.#sign(request), mechanism: 'fake' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
