/** What it needs of a module, as pkcs11js has it. */
export interface SigningModule<Mechanism> {
  C_GetSlotInfo(slot: Buffer): { readonly flags: number };
  C_GetTokenInfo(slot: Buffer): { readonly maxSessionCount: number };
  C_OpenSession(slot: Buffer, flags: number): Buffer;
  C_CloseSession(session: Buffer): void;
  C_SignInit(session: Buffer, mechanism: Mechanism, key: Buffer): void;
  C_Sign(session: Buffer, data: Buffer, room: Buffer): Buffer;
}

/** What is to be signed next, if it is as what was signed last. */
export interface NextSignature<Mechanism> {
  /** The slot's handle. */
  readonly slot: Buffer;
  readonly key: Buffer;
  readonly mechanism: Mechanism;
  /** The same text for the same slot, key and mechanism, and no other. */
  readonly id: string;
}

const CKF_SERIAL_SESSION = 0x4;
const CKF_REMOVABLE_DEVICE = 0x2;
/** ulMaxSessionCount 0 is "no limit", CK_UNAVAILABLE_INFORMATION has all bits set; HSMs that name fewer may be short of them. */
const MANY_SESSIONS = 1_000;

/**
 * Does C_SignInit for the next signature while nobody waits for one: it is half of a quick signature, and takes some modules
 * longer than C_Sign (NSS). In a session of its own, so that the others stay free for all calls (PKCS#11 section 5.2: one
 * operation a session). Whatever fails here is done again in the ordinary way.
 */
export class SignAhead<Mechanism> {
  readonly #module: SigningModule<Mechanism>;
  #session: Buffer | undefined;
  /** The slot that it is of. */
  #slot = '';
  #ready: string | undefined;
  #next: NextSignature<Mechanism> | undefined;
  #last: string | undefined;
  /** Slots whose tokens do not allow it, or did not like it. */
  readonly #off = new Set<string>();

  constructor(module: SigningModule<Mechanism>) {
    this.#module = module;
  }

  /** @returns undefined if nothing was prepared for that, or if it failed */
  sign(id: string, data: Buffer, room: Buffer): Buffer | undefined {
    if (this.#session === undefined || this.#ready !== id) return undefined;
    this.#ready = undefined;
    try {
      return this.#module.C_Sign(this.#session, data, room);
    } catch {
      // once is enough: a module that dislikes it would else sign twice each time
      this.#off.add(this.#slot);
      this.end();
      return undefined;
    }
  }

  /** That was signed. Twice in a row, it may well be asked for again; keys that take turns would undo each other's. */
  expect(next: NextSignature<Mechanism>): void {
    this.#next = next.id === this.#last ? next : undefined;
    this.#last = next.id;
  }

  /** Prepares what is expected, now that nobody waits. Never throws. */
  prepare(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined || this.#ready === next.id) return;
    const slot = next.slot.toString('hex');
    if (this.#off.has(slot)) return;
    // there is no other way to give up an operation that was begun
    if (this.#ready !== undefined || this.#slot !== slot) this.end();
    try {
      this.#session ??= this.#open(next.slot);
      this.#slot = slot;
      if (this.#session === undefined) {
        this.#off.add(slot);
        return;
      }
      this.#module.C_SignInit(this.#session, next.mechanism, next.key);
      this.#ready = next.id;
    } catch {
      this.end();
      this.#off.add(slot);
    }
  }

  /** Closes its session: before whatever ends the others, or would leave this one alone logged in. Never throws. */
  end(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#ready = undefined;
    this.#next = undefined;
    try {
      if (session !== undefined) this.#module.C_CloseSession(session);
    } catch {
      // it went with its token
    }
  }

  /** Not on cards: others use them between our signatures, and a module may hold the reader from C_SignInit on. */
  #open(slot: Buffer): Buffer | undefined {
    const { flags } = this.#module.C_GetSlotInfo(slot);
    const { maxSessionCount } = this.#module.C_GetTokenInfo(slot);
    const isFree = maxSessionCount === 0 || maxSessionCount > MANY_SESSIONS;
    if ((flags & CKF_REMOVABLE_DEVICE) !== 0 || !isFree) return undefined;
    return this.#module.C_OpenSession(slot, CKF_SERIAL_SESSION);
  }
}
