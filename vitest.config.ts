import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

/** Folders whose files may share a process: its start, and what they import, would take longer than their tests. */
const SHARING = [
  ...['agent/audit', 'agent/policy', 'audit', 'certificates', 'check', 'cli', 'config', 'keyfile', 'keys', 'signing'],
  ...['management/commands', 'management/notifications', 'management/wire', 'telemetry'],
].map((room) => `test/unit/${room}`);
/** But for files that put something in a module's or the clock's place, which others would find there, or change the process. */
const ALONE = /\bvi\.(?:hoisted|mock|resetModules|spyOn|stub|useFakeTimers)|\bprocess\.(?:chdir|env|on|set|umask)/;

const shared = SHARING.flatMap((folder) =>
  readdirSync(join(import.meta.dirname, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name)),
).filter((path) => !ALONE.test(readFileSync(join(import.meta.dirname, path), 'utf8')));

const unit = { setupFiles: ['test/support/cheap-hashes.mjs'], ...usual };

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['unit', 'property', 'fuzz', 'simulation'].map((room) => `test/${room}/**/*.test.ts`),
          exclude: shared,
          ...unit,
        },
      },
      {
        test: {
          name: 'unit-shared',
          include: shared,
          isolate: false,
          ...unit,
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
