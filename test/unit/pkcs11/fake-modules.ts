import { setImmediate as turn } from 'node:timers/promises';
import type { AgentError } from '../../../src/errors.ts';
import { CKA, CKM } from '../../../src/pkcs11/constants.ts';
import { hostFailure } from '../../../src/pkcs11/host/failures.ts';
import type { Module, Modules, SignOptions } from '../../../src/pkcs11/host/module.ts';
import type { HostCall, HostCalls, Mechanism, Template, TokenInfo } from '../../../src/pkcs11/host/protocol.ts';
import type { Secret } from '../../../src/secret.ts';

/** A module's path: of some file that is there. */
export const PATH: string = import.meta.filename;
/** CKF_TOKEN_INITIALIZED, and what a token may say beside it. */
export const FLAG = { LOGIN: 0x4, KEYPAD: 0x100, COUNT_LOW: 0x10000, FINAL_TRY: 0x20000, LOCKED: 0x40000 };

export function fakeToken(label: string, flags = 0): TokenInfo {
  return {
    slot: Buffer.from(label).toString('hex'),
    label,
    manufacturer: 'maker',
    model: 'model',
    serial: `serial of ${label}`,
    flags,
    minPinLength: 4,
    maxPinLength: 8,
  };
}

/** What a module host answers where a function of PKCS#11 returned something else than CKR_OK. */
export function ckr(name: string, functionName: string): AgentError {
  return hostFailure({ kind: 'ckr', ckr: name, code: 1, function: functionName }, PATH);
}

interface FakeObject {
  /** CKO_* */
  readonly class: number;
  /** Shown without a login. */
  readonly isPublic?: boolean;
  /** In hex, by CKA_*. */
  readonly attributes: Readonly<Record<number, string>>;
}

/** Signs as C_Sign does, or throws as a module may. */
export type FakeSigner = (mechanism: Mechanism, data: Buffer) => Buffer;

interface Fault {
  readonly call: HostCall;
  readonly error: unknown;
  times: number;
}

/** Modules and tokens that a test plugs in, pulls out and breaks. Each process of a module has a number, from 1. */
export class FakeModules implements Modules {
  /** What is in the slots. */
  tokens: TokenInfo[];
  /** What is on every token, by handle. */
  readonly objects: Map<string, FakeObject> = new Map<string, FakeObject>();
  /** What private keys do, by handle; others give the data back. */
  readonly signers: Map<string, FakeSigner> = new Map<string, FakeSigner>();
  /** CKM_* that every token lists. */
  mechanisms: number[] = [CKM.ECDSA];
  /** Bytes of memory that a host says it has. */
  rss = 0;
  /** Slots say that their tokens can be taken out. */
  isRemovable = false;
  /** Processes that one module may have. */
  most = 2;
  /** Each call with the number of its process: `1 openSession`. */
  readonly calls: string[] = [];
  /** The PINs of all logins. */
  readonly pins: string[] = [];
  /** The labels of the tokens that sessions were opened with. */
  readonly opened: string[] = [];
  /** Called when a call was answered, before whoever made it goes on. */
  onAnswer: (call: HostCall) => void = () => undefined;
  /** Called while a login waits for its module. */
  onQueue: () => void = () => undefined;
  /** Called in the middle of a login. */
  onLogin: () => Promise<void> | void = () => undefined;
  readonly #hosts = new Map<string, FakeModule>();
  readonly #further: FakeModule[] = [];
  #faults: Fault[] = [];
  #started = 0;

  constructor(...tokens: TokenInfo[]) {
    this.tokens = tokens;
  }

  /** Calls fail so many times, from now on. */
  fail(call: HostCall, error: unknown, times = 1e9): void {
    this.#faults.push({ call, error, times });
  }

  heal(): void {
    this.#faults = [];
  }

  /** Behind the next answer to a call tokens change their slots and the module is initialized anew, as others may have it done. */
  changeSlotsAfter(call: HostCall): void {
    this.onAnswer = (answered) => {
      if (answered !== call) return;
      this.onAnswer = () => undefined;
      this.changeSlots();
    };
  }

  /** Initializes the module anew: its tokens lie the other way round in its slots. */
  changeSlots(): void {
    const slots = this.tokens.map(({ slot }) => slot).reverse();
    this.tokens = this.tokens.map((token, index) => ({ ...token, slot: slots[index] ?? '' }));
    for (const host of this.#hosts.values()) void host.call('reinitialize', {});
  }

  /** The names of the calls so far that change something, each once it was made; then none are remembered. */
  take(...ignored: HostCall[]): string[] {
    return this.calls.splice(0).filter((call) => !ignored.some((each) => call.endsWith(` ${each}`)));
  }

  count(call: HostCall): number {
    return this.calls.filter((each) => each.endsWith(` ${call}`)).length;
  }

  /** Handles of sessions that are open in the process that lives. */
  get openSessions(): number {
    return [...this.#hosts.values()].reduce((sum, host) => sum + host.sessions.size, 0);
  }

  get(modulePath: string): Promise<FakeModule> {
    let host = this.#hosts.get(modulePath);
    if (host?.isAlive !== true) host = new FakeModule(modulePath, ++this.#started, this);
    this.#hosts.set(modulePath, host);
    return Promise.resolve(host);
  }

  another(modulePath: string): Promise<FakeModule | undefined> {
    if (this.furtherHosts.length + 1 >= this.most) return Promise.resolve(undefined);
    const host = new FakeModule(modulePath, ++this.#started, this);
    this.#further.push(host);
    return Promise.resolve(host);
  }

  /** The further processes that live. */
  get furtherHosts(): readonly FakeModule[] {
    return this.#further.filter(({ isAlive }) => isAlive);
  }

  /** @throws what a test has made it throw */
  note(host: number, call: HostCall): void {
    this.calls.push(`${host} ${call}`);
    const fault = this.#faults.find((each) => each.call === call && each.times > 0);
    if (!fault) return;
    fault.times--;
    throw fault.error as Error;
  }
}

type Answers = { [Call in HostCall]: (params: HostCalls[Call]['params']) => HostCalls[Call]['result'] };

export class FakeModule implements Module {
  readonly modulePath: string;
  readonly number: number;
  readonly sessions: Set<string> = new Set<string>();
  epoch = 0;
  isAlive = true;
  pending = 0;
  isLoggedIn = false;
  /** Why it was stopped. */
  stopReason: string | undefined;
  readonly #all: FakeModules;
  #handles = 0;

  constructor(modulePath: string, number: number, all: FakeModules) {
    this.modulePath = modulePath;
    this.number = number;
    this.#all = all;
  }

  readonly #answers: Omit<Answers, 'login' | 'sign'> = {
    load: () => null,
    finalize: () => null,
    reinitialize: () => {
      this.sessions.clear();
      this.isLoggedIn = false;
      return null;
    },
    tokens: () => ({ tokens: this.#all.tokens, rss: this.#all.rss }),
    slot: ({ slot }) => ({
      description: `reader of ${Buffer.from(slot, 'hex').toString()}`,
      manufacturer: 'maker of readers',
      removable: this.#all.isRemovable,
    }),
    library: () => ({ manufacturer: 'maker of modules', description: 'module', major: 2, minor: 6 }),
    mechanisms: ({ slot }) => {
      this.#checkSlot(slot, 'C_GetMechanismList');
      return this.#all.mechanisms;
    },
    openSession: ({ slot }) => {
      this.#checkSlot(slot, 'C_OpenSession');
      const session = `${this.number}-${++this.#handles}`;
      this.sessions.add(session);
      this.#all.opened.push(this.#all.tokens.find((token) => token.slot === slot)?.label ?? '');
      return session;
    },
    closeSession: ({ session }) => {
      this.sessions.delete(session);
      if (this.sessions.size === 0) this.isLoggedIn = false;
      return null;
    },
    logout: ({ session }) => {
      this.#checkSession(session, 'C_Logout');
      this.isLoggedIn = false;
      return null;
    },
    sessionInfo: ({ session }) => {
      this.#checkSession(session, 'C_GetSessionInfo');
      return null;
    },
    find: ({ session, class: objectClass, attributes, atMost }) => {
      this.#checkSession(session, 'C_FindObjectsInit');
      return [...this.#all.objects]
        .filter(([, object]) => object.class === objectClass && (object.isPublic === true || this.isLoggedIn))
        .filter(([, object]) =>
          Object.entries(attributes).every(([type, hex]) => object.attributes[Number(type)] === hex),
        )
        .map(([handle]) => handle)
        .slice(0, atMost);
    },
    attributes: ({ session, object, types }) => {
      this.#checkSession(session, 'C_GetAttributeValue');
      const { attributes } = this.#all.objects.get(object) ?? {};
      return Object.fromEntries(types.map((type) => [type, attributes?.[type] ?? null]));
    },
    generateKeyPair: ({ session, publicKey, privateKey }) => {
      this.#checkSession(session, 'C_GenerateKeyPair');
      return { publicKey: this.#add(2, publicKey), privateKey: this.#add(3, privateKey) };
    },
    createObject: ({ session, template }) => {
      this.#checkSession(session, 'C_CreateObject');
      return this.#add(Number(template[0]), template);
    },
    destroyObject: ({ session, object }) => {
      this.#checkSession(session, 'C_DestroyObject');
      this.#all.objects.delete(object);
      return null;
    },
  };

  #add(objectClass: number, template: Template): string {
    const handle = `made-${++this.#handles}`;
    const hexOf = (value: Template[number]): string =>
      typeof value === 'boolean' ? (value ? '01' : '00') : typeof value === 'number' ? value.toString(16) : value;
    const attributes = Object.fromEntries(Object.entries(template).map(([name, value]) => [name, hexOf(value)]));
    this.#all.objects.set(handle, { class: objectClass, isPublic: template[CKA.PRIVATE] === false, attributes });
    return handle;
  }

  async call<Call extends HostCall>(call: Call, params: HostCalls[Call]['params']): Promise<HostCalls[Call]['result']> {
    if (call === 'reinitialize') this.epoch++;
    await turn();
    this.#all.note(this.number, call);
    const answer = (this.#answers as unknown as Record<Call, (given: typeof params) => HostCalls[Call]['result']>)[
      call
    ];
    const result = answer(params);
    this.#all.onAnswer(call);
    return result;
  }

  async login(session: string, pin: Secret, _patience?: number, onBegin?: () => void): Promise<boolean> {
    this.#all.onQueue();
    await turn();
    onBegin?.();
    this.#all.note(this.number, 'login');
    this.#checkSession(session, 'C_Login');
    this.#all.pins.push(pin.reveal());
    this.isLoggedIn = true;
    await this.#all.onLogin();
    return true;
  }

  async sign(
    { session, key, mechanism }: HostCalls['sign']['params'],
    data: Buffer,
    { login }: SignOptions = {},
  ): Promise<Buffer> {
    if (login) this.#all.onQueue();
    await turn();
    login?.onBegin?.();
    this.#checkSession(session, 'C_SignInit');
    if (login) {
      this.#all.note(this.number, 'login');
      this.#all.pins.push(login.pin.reveal());
      await this.#all.onLogin();
      login.onLogin();
    }
    this.#all.note(this.number, 'sign');
    return this.#all.signers.get(key)?.(mechanism, data) ?? Buffer.concat([Buffer.from('signed '), data]);
  }

  stop(reason?: string): Promise<void> {
    this.isAlive = false;
    this.sessions.clear();
    this.stopReason = reason;
    return Promise.resolve();
  }

  #checkSlot(slot: string, functionName: string): void {
    if (!this.#all.tokens.some((token) => token.slot === slot)) throw ckr('CKR_TOKEN_NOT_PRESENT', functionName);
  }

  #checkSession(session: string, functionName: string): void {
    if (!this.sessions.has(session)) throw ckr('CKR_SESSION_HANDLE_INVALID', functionName);
  }
}

/** Lets everything happen that needs no time to pass. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn();
}
