// The only file that loads pkcs11js, and so the only one next to vendor code. Everything is synchronous: its async calls
// read freed memory and are slower; parallel signatures come from several hosts.
import type * as Pkcs11js from 'pkcs11js';
import { CKA, CKF } from '../../constants.ts';
import type { Attributes, HostCall, HostCalls, HostFailure, Mechanism, Template, TokenInfo } from '../protocol.ts';
import { withoutPadding } from '../../padding.ts';
import { HostError } from './host-error.ts';
import { SessionNames } from './session-names.ts';
import { SignAhead } from './sign-ahead.ts';

type Handlers = {
  [Call in HostCall]: (
    params: HostCalls[Call]['params'],
    payload: Buffer,
    onLogin: () => void,
  ) => HostCalls[Call]['result'] | Buffer;
};

const CKF_SERIAL_SESSION = 0x4;
const CKF_RW_SESSION = 0x2;
const CKF_OS_LOCKING_OK = 0x2;
const CKU_USER = 1;
/** CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION. */
const PUBLIC_STATES: ReadonlySet<number> = new Set([0, 2]);
const CKU_CONTEXT_SPECIFIC = 2;
/** Objects asked for at once, and in all: an HSM may have far more; a key among those must be named. */
const OBJECTS_AT_ONCE = 100;
const MAX_OBJECTS = 10_000;
/** Slots, and mechanisms of a token: real ones have some hundred. */
const MAX_LIST = 10_000;
/** Bytes of an attribute: certificates of post-quantum keys have some 20 KB. */
const MAX_ATTRIBUTE = 1024 * 1024;
/** RSA of 16,384 bits. */
const MAX_SIGNATURE = 2048;

/** What is said of a session or its token, where an attribute was asked for: of others it would be said as well. */
const OF_THE_SESSION = /^CKR_(?:SESSION_|OBJECT_HANDLE_|CRYPTOKI_|TOKEN_|DEVICE_REMOVED)/;

/** The functions whose name is lost on the way. */
const UNNAMED: Partial<Record<HostCall, string>> = {
  sign: 'C_Sign',
  find: 'C_FindObjects',
  generateKeyPair: 'C_GenerateKeyPair',
  createObject: 'C_CreateObject',
  destroyObject: 'C_DestroyObject',
};

const limit = (text: string): HostError => new HostError({ kind: 'limit', text });

function bounded<Item>(what: string, items: Item[]): Item[] {
  if (items.length > MAX_LIST) throw limit(`lists ${items.length} ${what}`);
  return items;
}

const fromHex = (handle: string): Buffer => Buffer.from(handle, 'hex');
const toHex = (bytes: Buffer): string => bytes.toString('hex');

function templateOf(template: Template): Pkcs11js.Template {
  return Object.entries(template).map(([type, value]) => ({
    type: Number(type),
    value: typeof value === 'string' ? fromHex(value) : value,
  }));
}

async function loadAddon(): Promise<typeof Pkcs11js> {
  try {
    const { default: addon } = await import('pkcs11js');
    return addon;
  } catch (error) {
    throw new HostError({ kind: 'pkcs11js', text: error instanceof Error ? error.message : String(error) });
  }
}

/** What a module returned, by the error that pkcs11js made of it; some it leaves as they are (C_CreateObject). */
function returned(error: unknown): { message: string; code: number; method: string } | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === 'Pkcs11Error') return error as Error & { code: number; method: string };
  const [, message, code] = /^(CKR_\w+):(\d+)$/.exec(error.message) ?? [];
  return message === undefined ? undefined : { message, code: Number(code), method: '' };
}

/** @param functionName for functions that pkcs11js wraps once more, and so loses the name of */
function describeFailure(error: unknown, functionName = ''): HostFailure {
  if (error instanceof HostError) return error.failure;
  const value = returned(error);
  if (value) {
    const { message, code, method } = value;
    // codes that pkcs11js has no name for read CKR_VENDOR_DEFINED
    const ckr = message === 'CKR_VENDOR_DEFINED' && code < 0x80000000 ? `CKR_0x${code.toString(16)}` : message;
    return { kind: 'ckr', ckr, code, function: method || functionName };
  }
  return { kind: 'internal', text: error instanceof Error ? error.message : String(error) };
}

/** Calls behind which no session of our own may stay open: PKCS#11 takes the user for logged in as long as there is one. */
const ENDS_SESSIONS: ReadonlySet<HostCall> = new Set<HostCall>([
  'finalize',
  'reinitialize',
  'closeSession',
  'login',
  'logout',
]);

export type HostAnswer = { readonly result: unknown } | { readonly failure: HostFailure };

/** One loaded module. */
export class Cryptoki {
  #addon: typeof Pkcs11js | undefined;
  #module: Pkcs11js.PKCS11 | undefined;
  #initArgs: string | undefined;
  /** Where each signature lies until it is sent: room for one is dear, and only one is made at a time. */
  readonly #signature = Buffer.alloc(MAX_SIGNATURE);
  /** Attributes that objects lacked, by the list that they were asked for with. */
  readonly #oddAttributes = new Map<string, Set<number>>();
  #ahead: SignAhead<Pkcs11js.Mechanism> | undefined;
  readonly #sessions = new SessionNames();

  /** Carries out one call; never throws. @param onLogin called when C_Login succeeded and C_Sign is yet to come */
  call(call: Exclude<HostCall, 'load'>, params: unknown, payload: Buffer, onLogin: () => void): HostAnswer {
    try {
      if (ENDS_SESSIONS.has(call)) this.#ahead?.end();
      const handler = this.#handlers[call] as (params: unknown, payload: Buffer, onLogin: () => void) => unknown;
      return { result: handler(params, payload, onLogin) };
    } catch (error) {
      return { failure: describeFailure(error, UNNAMED[call]) };
    }
  }

  /** Carries out `load`; never throws. */
  async load(params: HostCalls['load']['params']): Promise<HostAnswer> {
    try {
      await this.#load(params);
      return { result: null };
    } catch (error) {
      return { failure: describeFailure(error) };
    }
  }

  async #load({ path, initArgs }: HostCalls['load']['params']): Promise<void> {
    this.#addon = await loadAddon();
    const module = new this.#addon.PKCS11();
    try {
      module.load(path);
    } catch (error) {
      throw new HostError({ kind: 'load', text: error instanceof Error ? error.message : String(error) });
    }
    this.#initArgs = initArgs;
    this.#initialize(module);
    this.#module = module;
  }

  #initialize(module: Pkcs11js.PKCS11): void {
    module.C_Initialize({
      flags: CKF_OS_LOCKING_OK,
      // pkcs11js loses the last character
      ...(this.#initArgs !== undefined && { libraryParameters: `${this.#initArgs} ` }),
    });
  }

  #finalize(): void {
    this.#sessions.clear();
    try {
      this.#loaded.C_Finalize();
    } catch (error) {
      if (describeCkr(error) !== 'CKR_CRYPTOKI_NOT_INITIALIZED') throw error;
    }
  }

  get #loaded(): Pkcs11js.PKCS11 {
    if (!this.#module) throw new HostError({ kind: 'internal', text: 'no module loaded' });
    return this.#module;
  }

  readonly #handlers: Omit<Handlers, 'load'> = {
    finalize: () => {
      this.#finalize();
      return null;
    },
    reinitialize: () => {
      this.#finalize();
      this.#initialize(this.#loaded);
      return null;
    },
    tokens: ({ slot: only }) => ({
      // the list in any case: some modules notice by it that a token has gone
      tokens: bounded('slots', this.#loaded.C_GetSlotList(true))
        .filter((slot) => only === undefined || toHex(slot) === only)
        .flatMap((slot) => this.#tokenInfo(slot) ?? []),
      rss: process.memoryUsage.rss(),
    }),
    slot: ({ slot }) => {
      const { slotDescription, manufacturerID, flags } = this.#loaded.C_GetSlotInfo(fromHex(slot));
      return {
        description: withoutPadding(slotDescription),
        manufacturer: withoutPadding(manufacturerID),
        removable: (flags & CKF.REMOVABLE_DEVICE) !== 0,
      };
    },
    library: () => {
      const { libraryDescription, manufacturerID, libraryVersion } = this.#loaded.C_GetInfo();
      return {
        description: withoutPadding(libraryDescription),
        manufacturer: withoutPadding(manufacturerID),
        major: libraryVersion.major,
        minor: libraryVersion.minor,
      };
    },
    mechanisms: ({ slot }) => bounded('mechanisms', this.#loaded.C_GetMechanismList(fromHex(slot))),
    openSession: ({ slot, writable }) => {
      const flags = CKF_SERIAL_SESSION | (writable === true ? CKF_RW_SESSION : 0);
      return this.#sessions.add(this.#loaded.C_OpenSession(fromHex(slot), flags));
    },
    closeSession: ({ session }) => {
      const handle = this.#sessions.handleOf(session);
      this.#sessions.remove(session);
      this.#loaded.C_CloseSession(handle);
      return null;
    },
    login: ({ session }, pin) => {
      try {
        return this.#logIn(this.#sessions.handleOf(session), pin);
      } finally {
        pin.fill(0);
      }
    },
    logout: ({ session }) => {
      this.#loaded.C_Logout(this.#sessions.handleOf(session));
      return null;
    },
    sessionInfo: ({ session }) => {
      this.#loaded.C_GetSessionInfo(this.#sessions.handleOf(session));
      return null;
    },
    find: ({ session, class: objectClass, attributes, atMost }) =>
      this.#find(this.#sessions.handleOf(session), objectClass, attributes, atMost),
    attributes: ({ session, object, types }) =>
      this.#attributes(this.#sessions.handleOf(session), fromHex(object), types),
    sign: ({ session, key, mechanism, pinLength, slot }, payload, onLogin) => {
      if (pinLength === undefined && slot !== undefined) return this.#signAhead(slot, session, key, mechanism, payload);
      const pin = payload.subarray(0, pinLength ?? 0);
      const handle = this.#beginSigning(session, key, mechanism, pinLength === undefined ? undefined : pin);
      if (pinLength !== undefined) onLogin();
      return this.#loaded.C_Sign(handle, payload.subarray(pin.length), this.#signature);
    },
    generateKeyPair: ({ session, mechanism, publicKey, privateKey }) => {
      const pair = this.#loaded.C_GenerateKeyPair(
        this.#sessions.handleOf(session),
        { mechanism },
        templateOf(publicKey),
        templateOf(privateKey),
      );
      return { publicKey: toHex(pair.publicKey), privateKey: toHex(pair.privateKey) };
    },
    createObject: ({ session, template }) =>
      toHex(this.#loaded.C_CreateObject(this.#sessions.handleOf(session), templateOf(template))),
    destroyObject: ({ session, object }) => {
      this.#loaded.C_DestroyObject(this.#sessions.handleOf(session), fromHex(object));
      return null;
    },
  };

  #signAhead(slot: string, session: string, key: string, mechanism: Mechanism, data: Buffer): Buffer {
    const id = JSON.stringify([slot, key, mechanism]);
    const ahead = (this.#ahead ??= new SignAhead(this.#loaded));
    const next = { slot: fromHex(slot), key: fromHex(key), mechanism: this.#mechanism(mechanism), id };
    const early = ahead.sign(id, data, this.#signature);
    if (early) {
      ahead.expect(next);
      return early;
    }
    const handle = this.#sessions.handleOf(session);
    this.#loaded.C_SignInit(handle, next.mechanism, next.key);
    const signature = this.#loaded.C_Sign(handle, data, this.#signature);
    ahead.expect(next);
    return signature;
  }

  /** For when nobody waits for an answer. Never throws. */
  whileIdle(): void {
    this.#ahead?.prepare();
  }

  /** @param pin for C_Login between C_SignInit and C_Sign (PKCS#11 section 5.6.8) */
  #beginSigning(session: string, key: string, mechanism: Mechanism, pin: Buffer | undefined): Buffer {
    try {
      const handle = this.#sessions.handleOf(session);
      this.#loaded.C_SignInit(handle, this.#mechanism(mechanism), fromHex(key));
      if (pin) this.#loaded.C_Login(handle, CKU_CONTEXT_SPECIFIC, pin.toString('utf8'));
      return handle;
    } finally {
      pin?.fill(0);
    }
  }

  /** @returns false if that was done before */
  #logIn(session: Buffer, pin: Buffer): boolean {
    try {
      this.#loaded.C_Login(session, CKU_USER, pin.toString('utf8'));
      return true;
    } catch (error) {
      if (describeCkr(error) !== 'CKR_USER_ALREADY_LOGGED_IN' || this.#isPublic(session)) throw error;
      return false;
    }
  }

  /** Nobody is logged in, whatever C_Login says: ykcs11 says so when it has lost its card, and shows no private key then. */
  #isPublic(session: Buffer): boolean {
    return PUBLIC_STATES.has(this.#loaded.C_GetSessionInfo(session).state);
  }

  /** A slot whose token can't be described (pulled at this moment, unreadable) is as good as empty. */
  #tokenInfo(slot: Buffer): TokenInfo | undefined {
    try {
      const info = this.#loaded.C_GetTokenInfo(slot);
      if ((info.flags & CKF.TOKEN_INITIALIZED) === 0) return undefined;
      return {
        slot: toHex(slot),
        label: withoutPadding(info.label),
        manufacturer: withoutPadding(info.manufacturerID),
        model: withoutPadding(info.model),
        serial: withoutPadding(info.serialNumber),
        flags: info.flags,
        minPinLength: info.minPinLen,
        maxPinLength: info.maxPinLen,
      };
    } catch {
      return undefined;
    }
  }

  #find(session: Buffer, objectClass: number, attributes: Attributes, atMost?: number): string[] {
    const template: Pkcs11js.Template = [
      { type: CKA.CLASS, value: objectClass },
      ...Object.entries(attributes).map(([type, value]) => ({ type: Number(type), value: fromHex(value ?? '') })),
    ];
    this.#loaded.C_FindObjectsInit(session, template);
    try {
      const found = new Set<string>();
      while (found.size < (atMost ?? Infinity)) {
        const objects = this.#loaded.C_FindObjects(session, Math.min(OBJECTS_AT_ONCE, atMost ?? OBJECTS_AT_ONCE));
        if (objects.length === 0) break;
        const before = found.size;
        for (const object of objects) found.add(toHex(object));
        if (found.size === before) throw limit('never ends its list of objects: it gives the same ones again');
        if (found.size > MAX_OBJECTS)
          throw limit(`lists more than ${MAX_OBJECTS} objects: name the key by id= or object=`);
      }
      return [...found].slice(0, atMost);
    } finally {
      this.#loaded.C_FindObjectsFinal(session);
    }
  }

  /**
   * All at once, in two calls; in halves where that fails, since one that is invalid or sensitive makes pkcs11js throw for all.
   * Those are asked for by themselves the next time that the same are wanted: each call may take a network HSM its time.
   */
  #attributes(session: Buffer, object: Buffer, types: readonly number[]): Attributes {
    const list = types.join(' ');
    const odd = this.#oddAttributes.get(list) ?? new Set();
    this.#oddAttributes.set(list, odd);
    const values = new Map<number, string | null>();
    const readAll = (some: readonly number[]): void => {
      const together = this.#readAttributes(session, object, some);
      for (const [index, type] of some.entries()) values.set(type, together?.[index] ?? null);
      if (together) return;
      const half = Math.ceil(some.length / 2);
      if (some.length === 1) for (const type of some) odd.add(type);
      else for (const part of [some.slice(0, half), some.slice(half)]) readAll(part);
    };
    const alone = types.filter((type) => odd.has(type));
    readAll(types.filter((type) => !odd.has(type)));
    for (const type of alone) readAll([type]);
    return Object.fromEntries(values);
  }

  /** @returns undefined if the module refuses that */
  #readAttributes(session: Buffer, object: Buffer, types: readonly number[]): (string | null)[] | undefined {
    if (types.length === 0) return [];
    try {
      const template = types.map((type) => ({ type }));
      return this.#loaded.C_GetAttributeValue(session, object, template).map(({ value }) => {
        if (!Buffer.isBuffer(value)) return null;
        if (value.length > MAX_ATTRIBUTE) throw limit(`gives an attribute of ${value.length} bytes`);
        return toHex(value);
      });
    } catch (error) {
      const ckr = describeCkr(error);
      if (ckr === undefined || OF_THE_SESSION.test(ckr)) throw error;
      return undefined;
    }
  }

  #mechanism({ type, pss }: Mechanism): Pkcs11js.Mechanism {
    if (!pss || !this.#addon) return { mechanism: type };
    return { mechanism: type, parameter: { type: this.#addon.CK_PARAMS_RSA_PSS, ...pss } };
  }
}

function describeCkr(error: unknown): string | undefined {
  const failure = describeFailure(error);
  return failure.kind === 'ckr' ? failure.ckr : undefined;
}
