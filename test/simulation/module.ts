// What a PKCS#11 module makes of tokens: as much of pkcs11js as the module host calls (PKCS#11 v3.1).
import { constants, privateEncrypt, sign } from 'node:crypto';
import { CKA, CKF, CKK, CKM, CKO, PSS_HASHES } from '../../src/pkcs11/constants.ts';
import { encodeEmsaPss } from '../../src/signing/emsa-pss.ts';
import { HASHES } from '../../src/signing/hashes.ts';
import { kernel } from './kernel.ts';
import type { SimulatedKey } from './keys.ts';
import { ecdsa } from './node/crypto.ts';
import { last, type Token } from './token.ts';

/** CK_RV by the names that pkcs11js knows. */
const CODES = {
  CKR_GENERAL_ERROR: 0x5,
  CKR_ARGUMENTS_BAD: 0x7,
  CKR_ATTRIBUTE_SENSITIVE: 0x11,
  CKR_ATTRIBUTE_TYPE_INVALID: 0x12,
  CKR_OBJECT_HANDLE_INVALID: 0x82,
  CKR_SESSION_PARALLEL_NOT_SUPPORTED: 0xb4,
  CKR_FUNCTION_FAILED: 0x6,
  CKR_SLOT_ID_INVALID: 0x3,
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_REMOVED: 0x32,
  CKR_KEY_FUNCTION_NOT_PERMITTED: 0x68,
  CKR_MECHANISM_INVALID: 0x70,
  CKR_OPERATION_ACTIVE: 0x90,
  CKR_OPERATION_NOT_INITIALIZED: 0x91,
  CKR_PIN_INCORRECT: 0xa0,
  CKR_PIN_LOCKED: 0xa4,
  CKR_SESSION_CLOSED: 0xb0,
  CKR_SESSION_HANDLE_INVALID: 0xb3,
  CKR_TOKEN_NOT_PRESENT: 0xe0,
  CKR_USER_ALREADY_LOGGED_IN: 0x100,
  CKR_USER_NOT_LOGGED_IN: 0x101,
  CKR_CRYPTOKI_NOT_INITIALIZED: 0x190,
  CKR_CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;

export type Ckr = keyof typeof CODES;

function failure(ckr: Ckr, method: string): Error {
  // pkcs11js wraps that function once more
  if (method === 'C_FindObjects') return new Error(`${ckr}:${CODES[ckr]}`);
  const error = new Error(ckr);
  error.name = 'Pkcs11Error';
  return Object.assign(error, { code: CODES[ckr], method });
}

/** A module's file, and what is in its slots. */
export class ModuleFile {
  readonly slots: (Token | undefined)[];
  /** The next of these calls fail so, by the function's name. */
  readonly failing: Map<string, Ckr[]> = new Map<string, Ckr[]>();
  /** So many signatures are wrong. */
  wrongSignatures = 0;

  constructor(slots: (Token | undefined)[]) {
    this.slots = slots;
  }
}

export const modules: Map<string, ModuleFile> = new Map<string, ModuleFile>();

interface Session {
  readonly token: Token;
  readonly slot: number;
  readonly insertion: number;
  readonly isWritable: boolean;
  found: Buffer[] | undefined;
  operation: { readonly mechanism: PkcsMechanism; readonly isConfirmed: boolean } | undefined;
}

interface PkcsMechanism {
  readonly mechanism: number;
  readonly parameter?: { readonly hashAlg: number; readonly saltLen: number };
}

interface Attribute {
  readonly type: number;
  readonly value?: unknown;
}

const MECHANISMS: Readonly<Record<SimulatedKey['type'], readonly number[]>> = {
  RSA: [CKM.RSA_PKCS, CKM.RSA_PKCS_PSS],
  EC: [CKM.ECDSA],
  ED25519: [CKM.EDDSA],
};
/** Bytes that PKCS #1 padding leaves of 2048 bits. */
const PADDED = 245;
const CKF_RW_SESSION = 2;
const CKF_SERIAL_SESSION = 4;
const PRIVATE = 1;
const PUBLIC = 2;
const OBJECTS = 2;

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value);
  return bytes;
}

const numberOf = (handle: Buffer): number => handle.readUInt32LE(0);
const big = (text = ''): Buffer => Buffer.from(text, 'base64url');

/** A module as one process has loaded it. */
export class PKCS11 {
  #file: ModuleFile | undefined;
  #isInitialized = false;
  readonly #sessions = new Map<number, Session>();
  readonly #loggedIn = new Map<Token, number>();
  readonly #shown = new Map<number, number>();
  #handles = 0;
  /** The private key's handle: another with each login. */
  #privateHandle = PRIVATE;

  load(path: string): void {
    this.#file = modules.get(path);
    if (!this.#file) throw new Error(`${path}: cannot open shared object file`);
  }

  get #module(): ModuleFile {
    if (!this.#file) throw new Error('no module');
    return this.#file;
  }

  #begin(method: string, mustBeInitialized = true): void {
    if (mustBeInitialized && !this.#isInitialized) throw failure('CKR_CRYPTOKI_NOT_INITIALIZED', method);
    const ckr = this.#module.failing.get(method)?.shift();
    if (ckr === undefined) return;
    kernel().say('module', `${method} returns ${ckr}`);
    throw failure(ckr, method);
  }

  C_Initialize(): void {
    this.#begin('C_Initialize', false);
    if (this.#isInitialized) throw failure('CKR_CRYPTOKI_ALREADY_INITIALIZED', 'C_Initialize');
    this.#isInitialized = true;
  }

  C_Finalize(): void {
    this.#begin('C_Finalize');
    this.#isInitialized = false;
    this.#sessions.clear();
    this.#loggedIn.clear();
    // as SoftHSM: what had a handle of before may find another session by it
    this.#handles = 0;
  }

  C_GetInfo(): object {
    this.#begin('C_GetInfo');
    const libraryVersion = { major: 1, minor: 0 };
    return { libraryDescription: 'Simulation', manufacturerID: 'Simulation', libraryVersion };
  }

  C_GetSlotList(isPresent: boolean): Buffer[] {
    this.#begin('C_GetSlotList');
    return this.#module.slots.flatMap((token, index) => (token || !isPresent ? [ulong(index)] : []));
  }

  #tokenIn(slot: Buffer, method: string): Token {
    const number = numberOf(slot);
    if (number >= this.#module.slots.length) throw failure('CKR_SLOT_ID_INVALID', method);
    const token = this.#module.slots[number];
    if (!token) throw failure('CKR_TOKEN_NOT_PRESENT', method);
    return token;
  }

  C_GetSlotInfo(slot: Buffer): object {
    this.#begin('C_GetSlotInfo');
    const number = numberOf(slot);
    if (number >= this.#module.slots.length) throw failure('CKR_SLOT_ID_INVALID', 'C_GetSlotInfo');
    const token = this.#module.slots[number];
    const flags = token?.isRemovable === false ? 0 : CKF.REMOVABLE_DEVICE;
    return { slotDescription: 'A slot', manufacturerID: 'Simulation', flags };
  }

  C_GetTokenInfo(slot: Buffer): object {
    this.#begin('C_GetTokenInfo');
    const { about, flags } = this.#tokenIn(slot, 'C_GetTokenInfo');
    this.#shown.set(numberOf(slot), flags);
    const { label, manufacturer: manufacturerID, model, serial: serialNumber } = about;
    return { label, manufacturerID, model, serialNumber, flags, minPinLen: 4, maxPinLen: 16, maxSessionCount: 0 };
  }

  C_GetMechanismList(slot: Buffer): number[] {
    this.#begin('C_GetMechanismList');
    const { type } = this.#tokenIn(slot, 'C_GetMechanismList').key;
    return [...MECHANISMS[type]];
  }

  C_OpenSession(slot: Buffer, flags: number): Buffer {
    this.#begin('C_OpenSession');
    const token = this.#tokenIn(slot, 'C_OpenSession');
    if ((flags & CKF_SERIAL_SESSION) === 0) throw failure('CKR_SESSION_PARALLEL_NOT_SUPPORTED', 'C_OpenSession');
    last.opened = token;
    this.#handles += 1;
    const isWritable = (flags & CKF_RW_SESSION) !== 0;
    const about = { token, slot: numberOf(slot), insertion: token.insertions, isWritable };
    this.#sessions.set(this.#handles, { ...about, found: undefined, operation: undefined });
    return ulong(this.#handles);
  }

  #session(handle: Buffer, method: string): Session {
    this.#begin(method);
    const session = this.#sessions.get(numberOf(handle));
    if (!session) throw failure('CKR_SESSION_HANDLE_INVALID', method);
    const { token, slot, insertion } = session;
    if (this.#module.slots[slot] === token && token.insertions === insertion) return session;
    this.#sessions.delete(numberOf(handle));
    throw failure('CKR_DEVICE_REMOVED', method);
  }

  #isLoggedIn({ token, insertion }: Session): boolean {
    return this.#loggedIn.get(token) === insertion;
  }

  C_CloseSession(handle: Buffer): void {
    const { token } = this.#session(handle, 'C_CloseSession');
    this.#sessions.delete(numberOf(handle));
    if (![...this.#sessions.values()].some((other) => other.token === token)) this.#loggedIn.delete(token);
  }

  C_GetSessionInfo(handle: Buffer): object {
    const session = this.#session(handle, 'C_GetSessionInfo');
    // CKS_RO_PUBLIC_SESSION, CKS_RO_USER_FUNCTIONS, and the same two of sessions that may write
    return { state: (session.isWritable ? 2 : 0) + (this.#isLoggedIn(session) ? 1 : 0) };
  }

  C_Login(handle: Buffer, user: number, pin: string): void {
    const session = this.#session(handle, 'C_Login');
    const { token, slot, operation } = session;
    const isForOperation = user === 2;
    if (isForOperation && operation?.isConfirmed !== false) throw failure('CKR_OPERATION_NOT_INITIALIZED', 'C_Login');
    if (!isForOperation && this.#isLoggedIn(session)) throw failure('CKR_USER_ALREADY_LOGGED_IN', 'C_Login');
    if (!isForOperation) token.checkWritten();
    const refusal = token.login(pin, this.#shown.get(slot) ?? 0);
    if (refusal !== undefined) throw failure(refusal, 'C_Login');
    if (isForOperation && operation) session.operation = { ...operation, isConfirmed: true };
    else {
      this.#loggedIn.set(token, token.insertions);
      this.#privateHandle += OBJECTS;
    }
  }

  C_Logout(handle: Buffer): void {
    const session = this.#session(handle, 'C_Logout');
    if (!this.#isLoggedIn(session)) throw failure('CKR_USER_NOT_LOGGED_IN', 'C_Logout');
    this.#loggedIn.delete(session.token);
  }

  C_FindObjectsInit(handle: Buffer, template: readonly Attribute[]): void {
    const session = this.#session(handle, 'C_FindObjectsInit');
    if (session.found) throw failure('CKR_OPERATION_ACTIVE', 'C_FindObjectsInit');
    const objects = this.#isLoggedIn(session) ? [PRIVATE, PUBLIC] : [PUBLIC];
    session.found = objects
      .filter((object) =>
        template.every(({ type, value }) => {
          const own = attributeOf(session.token, object, type);
          const wanted = typeof value === 'number' ? ulong(value) : (value as Buffer);
          return own?.equals(wanted) === true;
        }),
      )
      .map((object) => ulong(object === PRIVATE ? this.#privateHandle : object));
  }

  C_FindObjects(handle: Buffer, most: number): Buffer[] {
    const session = this.#session(handle, 'C_FindObjects');
    if (!session.found) throw failure('CKR_OPERATION_NOT_INITIALIZED', 'C_FindObjects');
    return session.found.splice(0, most);
  }

  C_FindObjectsFinal(handle: Buffer): void {
    const session = this.#session(handle, 'C_FindObjectsFinal');
    if (!session.found) throw failure('CKR_OPERATION_NOT_INITIALIZED', 'C_FindObjectsFinal');
    session.found = undefined;
  }

  C_GetAttributeValue(handle: Buffer, object: Buffer, template: readonly Attribute[]): Attribute[] {
    const session = this.#session(handle, 'C_GetAttributeValue');
    const { token } = session;
    const number = this.#object(session, object, 'C_GetAttributeValue');
    return template.map(({ type }) => {
      const value = attributeOf(token, number, type);
      // one that is not there makes all of them fail
      if (!value) {
        const isSecret = type === CKA.VALUE && number === PRIVATE && token.key.type !== 'RSA';
        throw failure(isSecret ? 'CKR_ATTRIBUTE_SENSITIVE' : 'CKR_ATTRIBUTE_TYPE_INVALID', 'C_GetAttributeValue');
      }
      return { type, value };
    });
  }

  #object(session: Session, handle: Buffer, method: string): number {
    const number = numberOf(handle);
    if (number === PUBLIC) return PUBLIC;
    if (number === this.#privateHandle && this.#isLoggedIn(session)) return PRIVATE;
    throw failure('CKR_OBJECT_HANDLE_INVALID', method);
  }

  C_SignInit(handle: Buffer, mechanism: PkcsMechanism, key: Buffer): void {
    const session = this.#session(handle, 'C_SignInit');
    if (session.operation) throw failure('CKR_OPERATION_ACTIVE', 'C_SignInit');
    if (this.#object(session, key, 'C_SignInit') === PUBLIC)
      throw failure('CKR_KEY_FUNCTION_NOT_PERMITTED', 'C_SignInit');
    if (!Object.values(MECHANISMS).flat().includes(mechanism.mechanism))
      throw failure('CKR_MECHANISM_INVALID', 'C_SignInit');
    session.operation = { mechanism, isConfirmed: !session.token.alwaysAuthenticates };
  }

  C_Sign(handle: Buffer, data: Buffer, room: Buffer): Buffer {
    const session = this.#session(handle, 'C_Sign');
    const { operation, token } = session;
    // that does not even end the operation
    if (data.length === 0) throw failure('CKR_ARGUMENTS_BAD', 'C_Sign');
    session.operation = undefined;
    if (!operation) throw failure('CKR_OPERATION_NOT_INITIALIZED', 'C_Sign');
    if (!operation.isConfirmed) throw failure('CKR_USER_NOT_LOGGED_IN', 'C_Sign');
    // as SoftHSM: whether a mechanism is for that type of key shows now
    if (!MECHANISMS[token.key.type].includes(operation.mechanism.mechanism))
      throw failure('CKR_GENERAL_ERROR', 'C_Sign');
    const signature = signBy(token.key, operation.mechanism, data);
    if (this.#module.wrongSignatures > 0) {
      this.#module.wrongSignatures -= 1;
      signature[9] = (signature[9] ?? 0) ^ 0x40;
    }
    signature.copy(room);
    return room.subarray(0, signature.length);
  }
}

function signBy({ privateKey }: SimulatedKey, { mechanism, parameter }: PkcsMechanism, data: Buffer): Buffer {
  const { RSA_PKCS1_PADDING, RSA_NO_PADDING } = constants;
  switch (mechanism) {
    case CKM.RSA_PKCS:
      if (data.length > PADDED) throw failure('CKR_GENERAL_ERROR', 'C_Sign');
      return privateEncrypt({ key: privateKey, padding: RSA_PKCS1_PADDING }, data);
    case CKM.RSA_PKCS_PSS: {
      const [name] = Object.entries(PSS_HASHES).find(([, { hashAlg }]) => hashAlg === parameter?.hashAlg) ?? [];
      const hash = Object.values(HASHES).find((each) => each.name === name);
      if (!hash) throw failure('CKR_MECHANISM_INVALID', 'C_Sign');
      if (data.length !== hash.length) throw failure('CKR_GENERAL_ERROR', 'C_Sign');
      const block = encodeEmsaPss(hash, data, parameter?.saltLen ?? hash.length, 2048);
      return privateEncrypt({ key: privateKey, padding: RSA_NO_PADDING }, block);
    }
    case CKM.ECDSA:
      return ecdsa(privateKey, data, 'compact');
    case CKM.EDDSA:
      return sign(null, data, privateKey);
    default:
      throw failure('CKR_MECHANISM_INVALID', 'C_Sign');
  }
}

/** OIDs of the curves, as CKA_EC_PARAMS has them. */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex');
const ED25519 = Buffer.from('06032b6570', 'hex');

function attributeOf({ key, label, alwaysAuthenticates }: Token, object: number, type: number): Buffer | undefined {
  const jwk = key.publicKey.export({ format: 'jwk' });
  switch (type) {
    case CKA.CLASS:
      return ulong(object === PRIVATE ? CKO.PRIVATE_KEY : CKO.PUBLIC_KEY);
    case CKA.KEY_TYPE:
      return ulong(key.type === 'RSA' ? CKK.RSA : key.type === 'EC' ? CKK.EC : CKK.EC_EDWARDS);
    case CKA.ID:
      return Buffer.from([1]);
    case CKA.LABEL:
      return Buffer.from(`key of ${label}`);
    case CKA.ALWAYS_AUTHENTICATE:
      return object === PRIVATE ? Buffer.from([alwaysAuthenticates ? 1 : 0]) : undefined;
    case CKA.MODULUS:
      return key.type === 'RSA' ? big(jwk.n) : undefined;
    case CKA.PUBLIC_EXPONENT:
      return key.type === 'RSA' ? big(jwk.e) : undefined;
    case CKA.EC_PARAMS:
      return key.type === 'RSA' ? undefined : key.type === 'EC' ? P256 : ED25519;
    case CKA.EC_POINT: {
      if (key.type === 'RSA' || object === PRIVATE) return undefined;
      const point = key.type === 'EC' ? Buffer.concat([Buffer.from([4]), big(jwk.x), big(jwk.y)]) : big(jwk.x);
      // SoftHSM leaves out the OCTET STRING around it
      return key.type === 'EC' ? Buffer.concat([Buffer.from([4, point.length]), point]) : point;
    }
    default:
      return undefined;
  }
}
