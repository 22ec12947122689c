import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from '../../support/bench.ts';

const FOLDER = join(import.meta.dirname, '..');
const HEADERS = join(import.meta.dirname, '../../../node_modules/pkcs11js/includes/pkcs11');
const compiled = new Map<string, Promise<string>>();

/** Compiles a shared library, once in this process. @returns its path */
async function compile(source: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-shim-'));
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const path = join(folder, 'shim.so');
  await promisify(execFile)('gcc', ['-shared', '-fPIC', '-O1', '-I', HEADERS, source, '-o', path, '-ldl']);
  return path;
}

/** Puts a library of `source` into the bench's folder. @returns its path */
export async function sharedLibrary(bench: Bench, name: string, source: string): Promise<string> {
  const path = compiled.get(source) ?? compile(source);
  compiled.set(source, path);
  await copyFile(await path, bench.path(`${name}.so`));
  return bench.path(`${name}.so`);
}

/** A module that stands before another, of its source in test/tokens. @returns its path */
export async function compileShim(bench: Bench, name: 'fault' | 'cloud'): Promise<string> {
  return await sharedLibrary(bench, name, join(FOLDER, `${name}.c`));
}
