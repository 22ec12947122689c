// Calls of a PKCS#11 module through pkcs11js, each made of a real module and of the simulated one (test/simulation/module.ts), and
// written down so that both can be compared.
import type { KeyObject } from 'node:crypto';
import type * as Pkcs11js from 'pkcs11js';
import { CKA, CKF, CKO } from '../../../src/pkcs11/constants.ts';

export const PIN = '471108';
export const LABEL = 'key of token0';
const SERIAL_SESSION = 4;
const USER = 1;
export const CONTEXT_SPECIFIC = 2;
const ROOM = 512;

export type Module = Pkcs11js.PKCS11;

/** What a script's calls are made of. */
export interface Bed {
  readonly module: Module;
  readonly publicKey: KeyObject;
}

const FLAGS = Object.entries(CKF).filter(([name]) => name.startsWith('USER_PIN') || name.startsWith('LOGIN'));

/** Makes calls and writes down what comes of them. */
export class Calls {
  readonly transcript: string[] = [];
  readonly module: Module;
  readonly publicKey: KeyObject;

  constructor({ module, publicKey }: Bed) {
    this.module = module;
    this.publicKey = publicKey;
  }

  /** @returns undefined if it fails. @param show what is compared of its result */
  call<Result>(
    what: string,
    make: (module: Module) => Result,
    show: (result: Result) => unknown = (): string => 'ok',
  ): Result {
    try {
      const result = make(this.module);
      this.transcript.push(`${what}: ${JSON.stringify(show(result))}`);
      return result;
    } catch (error) {
      const { name, message, code } = error as Error & { code?: number };
      this.transcript.push(`${what}: ${name === 'Pkcs11Error' ? `${message} ${code}` : `threw ${String(error)}`}`);
      return undefined as Result;
    }
  }

  initialize(): void {
    this.call('C_Initialize', (module) => {
      module.C_Initialize({ flags: 2 });
    });
  }

  /** The slot of the only token: SoftHSM has one more, for the next token. */
  slot(): Buffer {
    const slot = this.module
      .C_GetSlotList(true)
      .find((each) => (this.module.C_GetTokenInfo(each).flags & CKF.TOKEN_INITIALIZED) !== 0);
    if (!slot) throw new Error('no token');
    return slot;
  }

  tokenFlags(): void {
    this.call(
      'C_GetTokenInfo',
      (module) => module.C_GetTokenInfo(this.slot()),
      ({ flags }) => FLAGS.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name),
    );
  }

  open(): Buffer {
    return this.call('C_OpenSession', (module) => module.C_OpenSession(this.slot(), SERIAL_SESSION));
  }

  login(session: Buffer, pin: string, user: number = USER): void {
    const who = user === USER ? '' : ' for an operation';
    this.call(`C_Login${who} with ${pin === PIN ? 'the right' : 'a wrong'} PIN`, (module) => {
      module.C_Login(session, user, pin);
    });
  }

  logout(session: Buffer): void {
    this.call('C_Logout', (module) => {
      module.C_Logout(session);
    });
  }

  close(session: Buffer): void {
    this.call('C_CloseSession', (module) => {
      module.C_CloseSession(session);
    });
  }

  finalize(): void {
    this.call('C_Finalize', (module) => {
      module.C_Finalize();
    });
  }

  /** A session that is logged in. */
  ready(): Buffer {
    this.initialize();
    const session = this.open();
    this.login(session, PIN);
    return session;
  }

  find(session: Buffer, template: Pkcs11js.Template, what: string): Buffer[] {
    this.call(`C_FindObjectsInit for ${what}`, (module) => {
      module.C_FindObjectsInit(session, template);
    });
    const found = this.call(
      'C_FindObjects',
      (module) => module.C_FindObjects(session, 10),
      (objects) => objects.length,
    );
    this.call('C_FindObjectsFinal', (module) => {
      module.C_FindObjectsFinal(session);
    });
    return found;
  }

  privateKey(session: Buffer): Buffer {
    return this.find(session, [{ type: CKA.CLASS, value: CKO.PRIVATE_KEY }], 'the private key')[0] ?? Buffer.alloc(8);
  }

  signInit(session: Buffer, mechanism: Pkcs11js.Mechanism, key: Buffer): void {
    this.call(`C_SignInit with mechanism ${mechanism.mechanism}`, (module) => {
      module.C_SignInit(session, mechanism, key);
    });
  }

  sign(session: Buffer, data: Buffer, verifies: (signature: Buffer) => boolean = () => true): void {
    this.call(
      `C_Sign of ${data.length} bytes`,
      (module) => module.C_Sign(session, data, Buffer.alloc(ROOM)),
      (signature) => `${signature.length} bytes, which ${verifies(signature) ? 'verify' : 'do not verify'}`,
    );
  }
}
