import {
  generateKeyPairSync,
  sign,
  type KeyObject,
  type KeyPairKeyObjectResult,
  type X509Certificate,
} from 'node:crypto';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import type { Availability, RawSignature, Signer } from '../../../src/signing/signer.ts';

export const PAIR: KeyPairKeyObjectResult = generateKeyPairSync('ed25519');
/** What a `Clock` has for `now`, where timers are faked. */
export const fakedNow = (): number => performance.now();
export const MESSAGE: Buffer = Buffer.from('message');
export const REQUEST: SignatureRequest = parseSignatureRequest(MESSAGE.toString('base64'), 'ED25519,data=message', {
  type: 'ED25519',
});

/** A token that does what the test tells it. */
export class FakeSigner implements Signer {
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[] = [];
  readonly name: string;
  signatures = 0;
  isClosed = false;
  /** What happens instead of a signature. */
  trouble: (() => Promise<RawSignature>) | undefined;
  #listeners: (() => void)[] = [];
  #back: (() => void) | undefined;
  #ready: Promise<void> = Promise.resolve();

  constructor(name: string, publicKey: KeyObject = PAIR.publicKey) {
    this.name = name;
    this.publicKey = publicKey;
  }

  /** Whether it says so. */
  can = true;
  may = false;

  canSign(): boolean {
    return this.can;
  }

  maySign(): boolean {
    return this.may;
  }

  async sign({ tbs }: SignatureRequest): Promise<RawSignature> {
    this.signatures++;
    return this.trouble ? await this.trouble() : { bytes: sign(null, tbs, PAIR.privateKey), mechanism: this.name };
  }

  pull(): void {
    this.#ready = new Promise((resolve) => (this.#back = resolve));
    for (const listener of this.#listeners) listener();
  }

  putBack(): void {
    this.#back?.();
  }

  readonly availability: Availability = {
    ready: () => this.#ready,
    onLost: (listener) => {
      this.#listeners.push(listener);
      return () => undefined;
    },
  };

  [Symbol.asyncDispose](): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}
