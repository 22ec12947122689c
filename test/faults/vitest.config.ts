import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Real faults take minutes: they are no part of `vitest run`. */
const config: ViteUserConfig = defineConfig({
  test: {
    name: 'faults',
    include: ['test/faults/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    // for what hangs, in milliseconds: forty seconds become ten minutes where a machine is busy with much else
    testTimeout: 1_800_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    maxConcurrency: 3,
  },
});

export default config;
