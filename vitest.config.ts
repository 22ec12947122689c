import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Both run the built command (npm run build first; scripts/test does), on the keys that one set-up makes a run. */
const globalSetup = 'test/support/global-setup.ts';

/** For what hangs, not for what is slow: no test asserts on time, and a machine may be busy with other work. In milliseconds. */
const timeouts = { testTimeout: 300_000, hookTimeout: 300_000 };

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts'], ...timeouts } },
      {
        test: {
          name: 'script',
          include: ['test/script/**/*.test.ts'],
          globalSetup,
          ...timeouts,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          // an OpenVPN handshake is mostly waiting for OpenVPN's timers
          maxConcurrency: 12,
          globalSetup,
          ...timeouts,
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
          ...timeouts,
        },
      },
    ],
  },
});

export default config;
