import { defineConfig } from 'vitest/config';
import { ROOMS } from './rooms.mjs';

const { tests, slow = [], runs = 20 } = ROOMS[process.env.MUTATION_ROOM];
// few cases a property: each mutant gets them anew
process.env.PROPERTY_RUNS ??= String(runs);

export default defineConfig({
  test: {
    setupFiles: ['test/support/cheap-hashes.mjs'],
    include: process.env.MUTATION_SLOW === 'yes' ? [...tests, ...slow] : tests,
    // what hangs under a mutant is seen by Stryker, which goes by what the tests took without one
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
