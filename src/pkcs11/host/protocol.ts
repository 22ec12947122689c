// The words between the agent and the module host: one request, one reply, in order. Handles of slots and objects are hex
// strings, since PKCS#11's are opaque numbers of the platform's size.

/** CK_RSA_PKCS_PSS_PARAMS, lengths in bytes. */
export interface PssParameters {
  readonly hashAlg: number;
  readonly mgf: number;
  readonly saltLen: number;
}

export interface Mechanism {
  readonly type: number;
  readonly pss?: PssParameters;
}

/** A token as C_GetTokenInfo describes it, padding removed. */
export interface TokenInfo {
  readonly slot: string;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  /** CKF_* flags. */
  readonly flags: number;
  /** The PIN's length in bytes, at least and at most; 0 where the token does not say. */
  readonly minPinLength: number;
  readonly maxPinLength: number;
}

/** A slot as C_GetSlotInfo describes it, padding removed. */
export interface SlotInfo {
  readonly description: string;
  readonly manufacturer: string;
  /** Its token can be taken out (CKF_REMOVABLE_DEVICE). */
  readonly removable: boolean;
}

/** The module as C_GetInfo describes it, padding removed. */
export interface LibraryInfo {
  readonly manufacturer: string;
  readonly description: string;
  readonly major: number;
  readonly minor: number;
}

/** An attribute's value as hex; absent ones are null. Keys are CKA_* numbers. */
export type Attributes = Readonly<Record<number, string | null>>;

/** What a new object is to be: by CKA_*, bytes in hex, numbers (CK_ULONG), yes or no (CK_BBOOL). */
export type Template = Readonly<Record<number, string | number | boolean>>;

/** What the host can be asked. Where there is a payload, it is said. */
export interface HostCalls {
  /** dlopen and C_Initialize; `initArgs` is what NSS wants as pReserved's string. */
  load: { params: { path: string; initArgs?: string }; result: null };
  /** C_Finalize: the host has nothing left to do. */
  finalize: { params: Record<string, never>; result: null };
  /** C_Finalize and C_Initialize: every session of this host is gone then. */
  reinitialize: { params: Record<string, never>; result: null };
  /** Slots that have a token, or this one alone; and the host's own resident memory in bytes. */
  tokens: { params: { slot?: string }; result: { tokens: TokenInfo[]; rss: number } };
  slot: { params: { slot: string }; result: SlotInfo };
  library: { params: Record<string, never>; result: LibraryInfo };
  mechanisms: { params: { slot: string }; result: number[] };
  /**
   * The session's name: the host gives none twice, though modules do their handles. Objects are made and changed in a
   * `writable` one only (CKF_RW_SESSION).
   */
  openSession: { params: { slot: string; writable?: boolean }; result: string };
  closeSession: { params: { session: string }; result: null };
  /**
   * C_Login as the user; payload: the PIN, empty for a token with a PIN pad. Already logged in counts as success: false then,
   * since the token did not look at the PIN.
   */
  login: { params: { session: string }; result: boolean };
  logout: { params: { session: string }; result: null };
  /** C_GetSessionInfo: does the session still live? */
  sessionInfo: { params: { session: string }; result: null };
  /** Objects of a class with all these attributes (hex values): the first `atMost`, or all, which are 10,000 at most. */
  find: {
    params: { session: string; class: number; attributes: Attributes; atMost?: number };
    result: string[];
  };
  attributes: { params: { session: string; object: string; types: number[] }; result: Attributes };
  /**
   * C_SignInit and C_Sign; payload: the data, and in the reply the signature. For a key with CKA_ALWAYS_AUTHENTICATE the
   * payload's first `pinLength` bytes are the PIN, and C_Login as CKU_CONTEXT_SPECIFIC comes in between; once the token has
   * accepted it, that is told ahead of the reply: what C_Sign returns says nothing of the PIN. With the session's `slot` the
   * host may do C_SignInit for the next such signature ahead.
   */
  sign: {
    params: { session: string; key: string; mechanism: Mechanism; pinLength?: number; slot?: string };
    result: null;
  };
  /** C_GenerateKeyPair by a mechanism without a parameter: both handles. It has a deadline of its own. */
  generateKeyPair: {
    params: { session: string; mechanism: number; publicKey: Template; privateKey: Template };
    result: { publicKey: string; privateKey: string };
  };
  /** C_CreateObject: its handle. */
  createObject: { params: { session: string; template: Template }; result: string };
  destroyObject: { params: { session: string; object: string }; result: null };
}

export type HostCall = keyof HostCalls;

export interface HostRequest<Call extends HostCall = HostCall> {
  readonly id: number;
  readonly call: Call;
  readonly params: HostCalls[Call]['params'];
}

export type HostFailure =
  /** The module returned something else than CKR_OK. */
  | { readonly kind: 'ckr'; readonly ckr: string; readonly code: number; readonly function: string }
  /** The shared library could not be loaded; the text is dlerror's. */
  | { readonly kind: 'load'; readonly text: string }
  /** The module says more than a token can hold; the text completes "the PKCS#11 module PATH …". */
  | { readonly kind: 'limit'; readonly text: string }
  /** The native addon is not there or does not fit this Node. */
  | { readonly kind: 'pkcs11js'; readonly text: string }
  | { readonly kind: 'internal'; readonly text: string };

export type HostReply =
  | { readonly id: number; readonly loggedIn: true }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: HostFailure };
