import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatExecText, Programs, type ProgramEvent, type ProgramsOptions } from '../../../src/exec/index.ts';
import type { KeyKind } from '../../../src/signing/public-key.ts';

const PROGRAM = join(import.meta.dirname, '../../support/exec-program.mjs');

export type TestKeyName = 'rsa2048' | 'p256' | 'p384' | 'p521' | 'ed25519' | 'ed448';
type Options = Readonly<Record<string, unknown>>;

function keyOf(name: TestKeyName): KeyObject {
  if (name === 'rsa2048') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  if (name === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  if (name === 'ed448') return generateKeyPairSync('ed448').privateKey;
  const curve = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } satisfies Record<
    typeof name,
    (KeyKind & { type: 'EC' })['curve']
  >;
  return generateKeyPairSync('ec', { namedCurve: curve[name] }).privateKey;
}

/** A folder with keys and the test program, which no other user can write. */
export class ProgramBench {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'pksigd-exec-'));
  readonly program: string = join(this.folder, 'program');
  readonly events: ProgramEvent[] = [];

  constructor() {
    copyFileSync(PROGRAM, `${this.program}.mjs`);
    // by a path that says which Node, as a test's environment has no PATH
    writeFileSync(this.program, `#!/bin/sh\nexec '${process.execPath}' '${this.program}.mjs' "$@"\n`);
    chmodSync(this.program, 0o755);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  keyFile(name: TestKeyName): string {
    const path = this.path(`${name}.pem`);
    if (!existsSync(path)) writeFileSync(path, keyOf(name).export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    return path;
  }

  /** The KEY of the test program with one of the keys. */
  key(name: TestKeyName, options: Options = {}): string {
    return formatExecText({ program: this.program, words: [this.keyFile(name), JSON.stringify(options)] });
  }

  programs(options: Partial<ProgramsOptions> = {}): Programs {
    return new Programs({
      uid: process.geteuid?.(),
      deadline: 60_000,
      environment: { PATH: process.env['PATH'] },
      killGroup: (leader) => {
        try {
          process.kill(-leader, 'SIGKILL');
        } catch {
          // it has gone
        }
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** What the program wrote down. */
  notes(file = 'notes'): string[] {
    if (!existsSync(this.path(file))) return [];
    return readFileSync(this.path(file), 'utf8').split('\n').filter(Boolean);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
