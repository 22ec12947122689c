import { readFile, rename, writeFile } from 'node:fs/promises';
import { compileShim } from './shim.ts';
import { softHsm } from './softhsm.ts';
import { makeBed, missing, TokenBed, type BedParts, type TokenSetup } from './token-bed.ts';

/** What the shim does at a call of one function; see fault.c. */
export interface FaultRule {
  /** How often, over all processes; without it for ever. */
  readonly times?: number;
  /** The number of calls that go through before. */
  readonly skip?: number;
  /** Only while signing with this mechanism. */
  readonly mechanism?: number;
  /** What the function returns. */
  readonly rv?: number;
  /** The module does its work first: a failed C_Sign has ended the operation, as the standard has it; a token has seen the PIN. */
  readonly late?: boolean;
  readonly delay?: number;
  /** MiB that the module takes and never gives back. */
  readonly grow?: number;
  readonly hang?: boolean;
  readonly crash?: boolean;
  readonly exit?: boolean;
  /** Bytes, in hex, that the module writes into the host's pipe to the agent. */
  readonly pipe?: string;
  /** It closes that pipe. */
  readonly shut?: boolean;
  /** Of C_Sign: a bit of the signature is the other one. */
  readonly flip?: boolean;
  /** Of C_FindObjects: it never says 0, but gives the last object again. */
  readonly endless?: boolean;
  /** Of C_FindObjects: it never says 0, and each handle is a new one. */
  readonly counted?: boolean;
  /** Of C_OpenSession: so many are open in a process at a time, and no more. */
  readonly sessions?: number;
  /** Text for the module's standard output, without blanks. */
  readonly print?: string;
  readonly setFlags?: number;
  readonly clearFlags?: number;
  readonly hide?: readonly number[];
}

const hex = (number: number): string => `0x${number.toString(16)}`;

/** A SoftHSM token behind the shim. */
export class FaultBed extends TokenBed {
  #rules: string[] = [];
  #nextId = 1;

  /** Adds a rule; it holds from the next call on. */
  async fault(functionName: string, rule: FaultRule): Promise<void> {
    const { times, skip, mechanism, rv, delay, grow, print, pipe, setFlags, clearFlags, hide, sessions } = rule;
    const words = [
      ...[functionName, `id=${this.#nextId++}`],
      ...(times === undefined ? [] : [`n=${times}`]),
      ...(skip === undefined ? [] : [`skip=${skip}`]),
      ...(mechanism === undefined ? [] : [`mech=${hex(mechanism)}`]),
      ...(rv === undefined ? [] : [`rv=${hex(rv)}`]),
      ...(delay === undefined ? [] : [`ms=${delay}`]),
      ...(grow === undefined ? [] : [`grow=${grow}`]),
      ...(rule.late === true ? ['late'] : []),
      ...(rule.hang === true ? ['hang'] : []),
      ...(rule.crash === true ? ['crash'] : []),
      ...(rule.exit === true ? ['exit'] : []),
      ...(pipe === undefined ? [] : [`pipe=${pipe}`]),
      ...(rule.shut === true ? ['shut'] : []),
      ...(rule.flip === true ? ['flip'] : []),
      ...(rule.endless === true ? ['endless'] : []),
      ...(rule.counted === true ? ['counted'] : []),
      ...(sessions === undefined ? [] : [`sessions=${sessions}`]),
      ...(print === undefined ? [] : [`print=${print}`]),
      ...(setFlags === undefined ? [] : [`set=${hex(setFlags)}`]),
      ...(clearFlags === undefined ? [] : [`clear=${hex(clearFlags)}`]),
      ...(hide === undefined ? [] : [`hide=${hide.map(hex).join(',')}`]),
    ];
    this.#rules.push(words.join(' '));
    await this.#write();
  }

  /** From now on nothing is wrong. */
  async heal(): Promise<void> {
    this.#rules = [];
    await this.#write();
  }

  /** The calls so far, as `FUNCTION 0xRV`. */
  async calls(functionName?: string): Promise<string[]> {
    const text = await readFile(this.bench.path('fault.log'), 'utf8').catch(() => '');
    const calls = text.split('\n').flatMap((line) => line.split(' ').slice(1).join(' ') || []);
    return functionName === undefined ? calls : calls.filter((call) => call.startsWith(`${functionName} `));
  }

  /** How often C_Login was called, returned or not. */
  async logins(): Promise<number> {
    const text = await readFile(this.bench.path('fault.logins'), 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean).length;
  }

  /** The processes that made calls. */
  async processes(): Promise<number[]> {
    const text = await readFile(this.bench.path('fault.log'), 'utf8').catch(() => '');
    return [
      ...new Set(
        text
          .split('\n')
          .filter(Boolean)
          .map((line) => Number.parseInt(line, 10)),
      ),
    ];
  }

  async #write(): Promise<void> {
    // never half of it
    await writeFile(this.bench.path('fault.new'), `${this.#rules.join('\n')}\n`);
    await rename(this.bench.path('fault.new'), this.bench.path('fault.rules'));
  }
}

/** Puts the shim before another setup's module. */
async function startFaultBed(build: (bench: TokenBed['bench']) => Promise<BedParts> = softHsm): Promise<FaultBed> {
  const plain = await makeBed(async (bench) => {
    const inner = await build(bench);
    const modulePath = await compileShim(bench, 'fault');
    const environment = {
      ...inner.environment,
      FAULT_MODULE: inner.modulePath,
      FAULT_RULES: bench.path('fault.rules'),
      FAULT_LOG: bench.path('fault.log'),
      FAULT_LOGINS: bench.path('fault.logins'),
    };
    return { ...inner, modulePath, environment };
  });
  return new FaultBed(plain.bench, plain.pinFile, plain);
}

/** A setup whose beds can be told to fail. */
interface FaultSetup extends TokenSetup {
  readonly start: () => Promise<FaultBed>;
}

export const faultSetup: FaultSetup = {
  name: 'fault shim',
  packages: ['gcc', 'softhsm2', 'opensc'],
  unavailable: () => missing(['libsofthsm2.so'], ['gcc', 'softhsm2-util', 'pkcs11-tool']),
  start: () => startFaultBed(),
};
