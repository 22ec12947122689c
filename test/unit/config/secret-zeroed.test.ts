import type * as ChildProcess from 'node:child_process';
import type * as FsPromises from 'node:fs/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { SYSTEM_CLOCK } from '../../../src/clock.ts';
import { parseSecretSource, readSecret } from '../../../src/config/secret-source.ts';
import { Secret } from '../../../src/secret.ts';
import { type CommandOptions, runCommand } from '../../../src/shell-command.ts';

/** Every buffer that something of a source came in, or was copied to. */
const seen: Buffer[] = [];

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const open = async (...args: Parameters<typeof fs.open>): Promise<FsPromises.FileHandle> => {
    const file = await fs.open(...args);
    const read = file.read.bind(file) as (buffer: Buffer) => Promise<{ bytesRead: number }>;
    return Object.assign(file, {
      read: (buffer: Buffer) => {
        seen.push(buffer);
        return read(buffer);
      },
    });
  };
  return { ...fs, open };
});
vi.mock('node:child_process', async (importOriginal) => {
  const original = await importOriginal<typeof ChildProcess>();
  const spawn = (file: string, args: string[], options: ChildProcess.SpawnOptions): ChildProcess.ChildProcess => {
    const child = original.spawn(file, args, options);
    child.stdout?.on('data', (chunk: Buffer) => seen.push(chunk));
    return child;
  };
  return { ...original, spawn };
});
const concat = Buffer.concat.bind(Buffer);
vi.spyOn(Buffer, 'concat').mockImplementation((list, length) => {
  const joined = concat(list, length);
  seen.push(joined);
  return joined;
});

const folder = mkdtempSync(join(tmpdir(), 'pksigd-zeroed-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const around = {
  credentialsDirectory: undefined,
  prompt: () => Promise.resolve(new Secret('')),
  warn: () => undefined,
  run: (command: string, options: CommandOptions = {}) =>
    runCommand(command, options, { clock: SYSTEM_CLOCK, environment: process.env }),
};

test.each([
  ['a PIN', '471199\n', true],
  ['an empty first line', '\n471199\n', false],
  ['a NUL byte', '4711\x0099\n', false],
  ['too much', `471199${'x'.repeat(70_000)}`, false],
])('%s is zeroed where it was read', async (_, text, isTaken) => {
  const path = join(folder, 'pin');
  writeFileSync(path, text, { mode: 0o600 });
  for (const source of [path, `command:cat '${path}'`, `command:cat '${path}'; exit 3`]) {
    seen.length = 0;
    const secret = await readSecret(parseSecretSource(source), 'PIN of x', around).catch((error: unknown) => error);
    expect(secret instanceof Secret).toBe(isTaken && !source.endsWith('3'));
    expect(seen.length).toBeGreaterThan(0);
    for (const buffer of seen) expect(buffer.every((byte) => byte === 0)).toBe(true);
  }
});
