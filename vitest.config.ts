import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Both run the built command (npm run build first; scripts/test does), on the keys that one set-up makes a run. */
const globalSetup = 'test/support/global-setup.ts';

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts'] } },
      {
        test: {
          name: 'script',
          include: ['test/script/**/*.test.ts'],
          globalSetup,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          // an OpenVPN handshake is mostly waiting for OpenVPN's timers
          maxConcurrency: 12,
          globalSetup,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // real PKCS#11 modules, each with its daemons
          name: 'tokens',
          include: ['test/tokens/**/*.test.ts'],
          globalSetup,
          // mostly waiting, for cards and for OpenVPN's timers
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});

export default config;
