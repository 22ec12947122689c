import { defineConfig } from 'vitest/config';
import { ROOMS } from './rooms.mjs';

const { tests, slow = [], runs = 20, patience = 300_000 } = ROOMS[process.env.MUTATION_ROOM];
// few cases a property: each mutant gets them anew
process.env.PROPERTY_RUNS ??= String(runs);

const isSlow = process.env.MUTATION_SLOW === 'yes';

export default defineConfig({
  test: {
    setupFiles: ['test/support/cheap-hashes.mjs'],
    include: isSlow ? [...tests, ...slow] : tests,
    // what hangs under a mutant is seen by Stryker, which goes by what the tests took without one; but then it starts anew
    testTimeout: isSlow ? 300_000 : patience,
    hookTimeout: isSlow ? 300_000 : patience,
  },
});
