import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError, errorCode } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { keyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import type { RawSignature, Signer } from '../signing/signer.ts';
import { isAble } from './abilities.ts';
import { formatExecText, parseExecText } from './exec-text.ts';
import { notSent } from './not-sent.ts';
import { safeProgram } from './program-file.ts';
import type { Program } from './program.ts';
import type { Programs } from './programs.ts';
import {
  errorIn,
  type Hello,
  helloIn,
  isLoginChecked,
  protocolError,
  type ProgramRequest,
  type Reply,
  signatureIn,
  signFields,
  type Signed,
} from './protocol.ts';
import { Slots } from './slots.ts';

/**
 * Gets the PIN or passphrase that a program wants, and remembers what the program said of it: none that was refused is sent
 * again.
 */
export interface SecretGuard {
  /** @param send resolves to whether the program looked at it @throws AgentError ERR_PIN_* */
  login(send: (secret: Secret) => Promise<boolean>): Promise<void>;
  /** @param send calls its second argument when the secret was accepted @throws AgentError ERR_PIN_* */
  sign(send: (secret: Secret, onLogin: () => void) => Promise<Signed>, signal?: AbortSignal): Promise<Signed>;
  /** Lets go of it, until the next use. */
  forget(): void;
}

/** How to open a key behind a program. */
export interface ExecKeyOptions {
  readonly programs: Programs;
  /** The key's certificate, for a program that does not tell its public key. */
  readonly certificate?: X509Certificate | undefined;
  /** For a program that wants a secret. @param name the key's */
  readonly secret?: ((name: string) => SecretGuard) | undefined;
  /** Leave the secret alone: what takes it is not signed. */
  readonly withoutLogin?: boolean | undefined;
}

/** A private key behind a program, which is started when it is needed: once for all signatures, or once for each. */
export class ExecKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  /** What the program says of itself. */
  readonly hello: Hello;
  readonly #access: Access;
  readonly #guard: SecretGuard | undefined;
  readonly #slots: Slots;
  readonly #orderBytes: number | undefined;

  private constructor(access: Access, hello: Hello, publicKey: KeyObject, guard: SecretGuard | undefined) {
    const kind = keyKind(publicKey);
    this.name = access.name;
    this.publicKey = publicKey;
    this.certificates = hello.certificates;
    this.hello = hello;
    this.#access = access;
    this.#guard = guard;
    this.#slots = new Slots(hello.parallel);
    this.#orderBytes = kind.type === 'EC' ? kind.orderBytes : undefined;
    access.expect(publicKey);
  }

  /**
   * Starts the program that an `exec:` text names, and asks which key it has; logs in if it wants a secret.
   * @throws AgentError ERR_USAGE, ERR_EXEC_*, ERR_KEY_*, ERR_PIN_*, ERR_TOKEN_ABSENT
   */
  static async open(text: string, options: ExecKeyOptions): Promise<ExecKey> {
    const access = new Access(text, options.programs);
    try {
      const hello = await access.hello();
      const [own = options.certificate] = hello.certificates;
      const publicKey = hello.publicKey ?? own?.publicKey;
      if (!publicKey) {
        throw new AgentError('ERR_KEY_UNSUPPORTED', `${access.name} tells no public key`, { reason: 'no-public-key' });
      }
      const guard = hello.wantsSecret ? options.secret?.(access.name) : undefined;
      const key = new ExecKey(access, hello, publicKey, guard);
      access.onForget = () => guard?.forget();
      if (guard && options.withoutLogin !== true) await key.#login(guard);
      return key;
    } catch (error) {
      await access.close();
      throw error;
    }
  }

  async #login(guard: SecretGuard): Promise<void> {
    await guard.login(async (secret) => {
      const reply = await this.#access.ask({ do: 'login', secret: secret.bytes.toString('base64') });
      return isLoginChecked(reply, this.name);
    });
  }

  /** What the program tells now: a process of its own is asked, as one that is kept may know what it read at its start. */
  async readCertificates(): Promise<readonly X509Certificate[]> {
    const { publicKey, certificates } = await this.#access.helloNow();
    const now = publicKey ?? certificates[0]?.publicKey;
    if (!now || now.equals(this.publicKey)) return certificates;
    throw new AgentError('ERR_KEY_NOT_FOUND', `${this.name} has another key than before`, { reason: 'key-changed' });
  }

  canSign(request: SignatureRequest): boolean {
    return isAble(this.hello.abilities, request);
  }

  async sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature> {
    if (!this.canSign(request)) {
      const what = request.message ? '' : ', of which it gets a digest';
      throw new AgentError('ERR_SCHEME_UNSUPPORTED', `${this.name} does not sign ${request.algorithmText}${what}`);
    }
    const { bytes, mechanism } = await this.#slots.use(() => this.#sign(request, signal), signal);
    return { bytes, mechanism: mechanism ?? 'exec' };
  }

  async #sign(request: SignatureRequest, signal: AbortSignal | undefined): Promise<Signed> {
    const fields = signFields(request);
    const signed = (reply: Reply): Signed => signatureIn(reply, this.name, this.#orderBytes);
    if (this.#guard) {
      return await this.#guard.sign(async (secret, onLogin) => {
        const told = { do: 'sign', secret: secret.bytes.toString('base64'), ...fields } as const;
        return signed(await this.#access.ask(told, onLogin));
      }, signal);
    }
    const ask: ProgramRequest = { do: 'sign', ...fields };
    try {
      return signed(await this.#access.ask(ask));
    } catch (error) {
      // it may have died of something that has nothing to do with this request: a fresh one gets a try
      if (errorCode(error) !== 'ERR_EXEC_DIED') throw error;
      return signed(await this.#access.ask(ask));
    }
  }

  /** Ends the program. @returns whether it had to be killed, since it did not end with its standard input */
  async close(): Promise<boolean> {
    return await this.#access.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The program of one key: its process, if it is kept, and a new one where there is none. */
class Access {
  readonly name: string;
  /** Called when secrets are to be forgotten. */
  onForget: () => void = () => undefined;
  readonly #program: string;
  readonly #words: readonly string[];
  readonly #programs: Programs;
  readonly #undo: () => void;
  #hello: Hello | undefined;
  #kept: Promise<Program> | undefined;
  #publicKey: KeyObject | undefined;
  #isClosed = false;
  /** Processes that are ending. */
  readonly #ending = new Set<Promise<void>>();
  #hadToKill = false;

  constructor(text: string, programs: Programs) {
    const parsed = parseExecText(text);
    this.name = formatExecText(parsed);
    this.#program = parsed.program;
    this.#words = parsed.words;
    this.#programs = programs;
    this.#undo = programs.add(async () => {
      this.onForget();
      await this.#endKept('behind its requests');
    });
  }

  /** A process that is started from now on must have this key. */
  expect(publicKey: KeyObject): void {
    this.#publicKey = publicKey;
  }

  /** Starts the program and asks what it is. */
  async hello(): Promise<Hello> {
    const { program, hello } = await this.#greeted();
    this.#hello = hello;
    if (hello.isKept) this.#kept = Promise.resolve(program);
    else this.#endSoon(program);
    return hello;
  }

  /** Asks a process of its own what the program is, and ends it. */
  async helloNow(): Promise<Hello> {
    const { program, hello } = await this.#greeted();
    this.#endSoon(program);
    return hello;
  }

  /** Makes a request of the kept process, or of one of its own. @throws AgentError what the program says, or did not say */
  async ask(request: ProgramRequest, onLogin?: () => void): Promise<Reply> {
    const isKept = this.#hello?.isKept === true;
    // what keeps it from being started, or from its greeting, says nothing of a secret
    const program = await (isKept ? this.#keptProgram() : this.#start()).catch((error: unknown) => {
      throw notSent(error);
    });
    try {
      return await this.#send(program, request, onLogin);
    } finally {
      if (!isKept) this.#endSoon(program);
    }
  }

  async #send(program: Program, request: ProgramRequest, onLogin?: () => void): Promise<Reply> {
    const { deadline } = this.#programs.options;
    const reply = await program.send({ key: this.#words, ...request }, { deadline, onLogin });
    const error = errorIn(reply, this.name, program.redact);
    if (error) throw error;
    return reply;
  }

  async #start(): Promise<Program> {
    const { options } = this.#programs;
    // looked at each time: what is run is what was looked at
    const path = await safeProgram(this.#program, options.uid);
    if (this.#isClosed) throw new AgentError('ERR_KEY_UNAVAILABLE', `${this.name} is closed`);
    return this.#programs.start({ name: this.name, path, words: this.#words });
  }

  async #greeted(): Promise<{ readonly program: Program; readonly hello: Hello }> {
    const program = await this.#start();
    try {
      return { program, hello: helloIn(await this.#send(program, { do: 'hello' }), this.name) };
    } catch (error) {
      this.#endSoon(program);
      throw error;
    }
  }

  async #keptProgram(): Promise<Program> {
    const current = this.#kept;
    const kept = await current?.catch(() => undefined);
    if (kept?.isAlive === true) return kept;
    // of all that come at once the first starts it
    if (!this.#kept || this.#kept === current) this.#kept = this.#again();
    return await this.#kept;
  }

  /** The program anew, which must be what it was. */
  async #again(): Promise<Program> {
    const { program, hello } = await this.#greeted();
    const isSame = hello.isKept && (!hello.publicKey || !this.#publicKey || hello.publicKey.equals(this.#publicKey));
    if (isSame) return program;
    this.#endSoon(program);
    throw protocolError(this.name, 'has another key than it had before, or is kept no more');
  }

  #endSoon(program: Program): void {
    const ending = this.#end(program).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #end(program: Program): Promise<void> {
    if (await program.end()) this.#hadToKill = true;
  }

  async #endKept(when: 'now' | 'behind its requests'): Promise<void> {
    const current = this.#kept;
    // whoever asks from now on gets another one
    this.#kept = undefined;
    const kept = await current?.catch(() => undefined);
    if (!kept) return;
    if (when === 'behind its requests') await kept.idle();
    await this.#end(kept);
  }

  /** @returns whether a process did not end with its standard input */
  async close(): Promise<boolean> {
    this.#isClosed = true;
    this.#undo();
    await Promise.all([this.#endKept('now'), ...this.#ending]);
    return this.#hadToKill;
  }
}
