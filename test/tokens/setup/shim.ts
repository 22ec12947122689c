import { join } from 'node:path';
import type { Bench } from '../../support/bench.ts';
import { run } from './token-bed.ts';

const FOLDER = join(import.meta.dirname, '..');
const HEADERS = join(import.meta.dirname, '../../../node_modules/pkcs11js/includes/pkcs11');

/** Compiles a module that stands before another, of its source in test/tokens. @returns its path */
export async function compileShim(bench: Bench, name: 'fault' | 'cloud'): Promise<string> {
  const modulePath = bench.path(`${name}.so`);
  const source = join(FOLDER, `${name}.c`);
  await run('gcc', ['-shared', '-fPIC', '-O1', '-I', HEADERS, source, '-o', modulePath, '-ldl']);
  return modulePath;
}
