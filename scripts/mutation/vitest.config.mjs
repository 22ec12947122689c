import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import { ROOMS } from './rooms.mjs';

const { tests, slow = [], runs = 20, patience = 300_000, isolate = true } = ROOMS[process.env.MUTATION_ROOM];
// few cases a property: each mutant gets them anew
process.env.PROPERTY_RUNS ??= String(runs);

const isSlow = process.env.MUTATION_SLOW === 'yes';

/** What each file of tests took without a mutant. */
const TOOK = new Map();

/** The quickest first, as the first failure ends it: by itself vitest begins with those that take longest. */
class QuickestFirst extends BaseSequencer {
  async sort(files) {
    for (const { moduleId, project } of files) {
      const known = this.ctx.cache.getFileTestResults(`${project.name}:${relative(this.ctx.config.root, moduleId)}`);
      if (known && !TOOK.has(moduleId)) TOOK.set(moduleId, known.duration);
    }
    return files.toSorted((a, b) => (TOOK.get(a.moduleId) ?? 0) - (TOOK.get(b.moduleId) ?? 0));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: QuickestFirst },
    setupFiles: ['test/support/cheap-hashes.mjs'],
    // tests that share nothing need no world of their own each, which takes longer than they do
    isolate,
    include: isSlow ? [...tests, ...slow] : tests,
    // what hangs under a mutant is seen by Stryker, which goes by what the tests took without one; but then it starts anew
    testTimeout: isSlow ? 300_000 : patience,
    hookTimeout: isSlow ? 300_000 : patience,
  },
});
