import { dirname } from 'node:path';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

// the system's programs before those of this user, as a pyenv's python3 that takes a second to start
const SYSTEM = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
process.env['PATH'] = [dirname(process.execPath), SYSTEM, process.env['PATH'] ?? SYSTEM].join(':');

/** Both run the built command (npm run build first; scripts/test does), on the keys that one set-up makes a run. */
const globalSetup = 'test/support/global-setup.ts';

const usual = {
  // for what hangs, not for what is slow: no test asserts on time, and a machine may be busy with other work; in milliseconds
  testTimeout: 300_000,
  hookTimeout: 300_000,
  // a second, else
  expect: { poll: { timeout: 120_000 } },
  // most wait: for OpenVPN's timers, for cards, for processes that start and end
  maxWorkers: 4,
};

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['unit', 'property', 'fuzz', 'simulation'].map((room) => `test/${room}/**/*.test.ts`),
          setupFiles: ['test/support/cheap-hashes.mjs'],
          ...usual,
        },
      },
      {
        test: {
          name: 'script',
          include: ['test/script/**/*.test.ts'],
          globalSetup,
          ...usual,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          // an OpenVPN handshake is mostly waiting for OpenVPN's timers
          maxConcurrency: 12,
          globalSetup,
          ...usual,
        },
      },
      {
        test: {
          // real PKCS#11 modules, each with its daemons
          name: 'tokens',
          include: ['test/tokens/**/*.test.ts'],
          globalSetup,
          ...usual,
        },
      },
    ],
  },
});

export default config;
