import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder that softhsm/make-token made for this run; tests copy from it and never write into it. */
    recipe: string;
    /** SoftHSM's module on this machine. */
    softhsmModule: string;
  }
}

/** The PIN of every test token: odd enough to be looked for in all output. */
const PIN = '9137465082';

// every project has its own copy of this file, and all of them one process: an RSA-4096 key is made once
const shared = globalThis as { pksigdRecipe?: { folder: string; module: string } };

function make(): { folder: string; module: string } {
  const root = join(import.meta.dirname, '../..');
  const module = execFileSync(join(root, 'softhsm/module'), { encoding: 'utf8' }).trim();
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-recipe-'));
  writeFileSync(join(folder, 'pin'), `${PIN}\n`, { mode: 0o600 });
  execFileSync(join(root, 'softhsm/make-token'), [folder, join(folder, 'pin')]);
  return { folder, module };
}

export default function setup(project: TestProject): () => void {
  const { folder, module } = (shared.pksigdRecipe ??= make());
  project.provide('recipe', folder);
  project.provide('softhsmModule', module);
  return () => {
    rmSync(folder, { recursive: true, force: true });
    delete shared.pksigdRecipe;
  };
}
