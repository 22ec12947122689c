import { expect, test } from 'vitest';
import { exitCode } from '../../../src/cli/exit-codes.ts';
import type { AgentErrorCode } from '../../../src/errors.ts';

/** What systemd is told not to start again: RestartPreventExitStatus=2 4. */
const STAYS_DOWN = [2, 4];

// what may pass by itself: mounted late, plugged in late, on a network that is down, used up for a while
test.for([
  'ERR_MODULE_NOT_FOUND',
  'ERR_MODULE_DIED',
  'ERR_MODULE_TIMEOUT',
  'ERR_TOKEN_ABSENT',
  'ERR_TOKEN_FAILED',
  'ERR_KEY_NOT_FOUND',
  'ERR_KEY_TIMEOUT',
  'ERR_KEY_UNAVAILABLE',
  'ERR_CONFIG_NOT_FOUND',
  'ERR_CERTIFICATE_NOT_FOUND',
  'ERR_PIN_SOURCE',
  'ERR_MANAGEMENT_LISTEN',
  'ERR_MANAGEMENT_CONNECT',
  'ERR_MANAGEMENT_IN_USE',
  undefined,
] satisfies (AgentErrorCode | undefined)[])('a supervisor starts again after %s', (code) => {
  expect(STAYS_DOWN).not.toContain(exitCode(code));
});

test.for([
  'ERR_USAGE',
  'ERR_CONFIG',
  'ERR_URI',
  'ERR_KEY_FILE',
  'ERR_KEY_AMBIGUOUS',
  'ERR_KEY_PERMISSIONS',
  'ERR_MANAGEMENT_ADDRESS',
  'ERR_PIN_INCORRECT',
  'ERR_PIN_LOCKED',
  'ERR_PIN_FINAL_TRY',
  'ERR_PIN_REQUIRED',
] satisfies AgentErrorCode[])('a supervisor leaves it down after %s', (code) => {
  expect(STAYS_DOWN).toContain(exitCode(code));
});

test.for(['ERR_NEW', 'toString', '__proto__', ''])(
  'an agent of another release may fail with %j: that is a failure',
  (code) => {
    expect(exitCode(code as AgentErrorCode)).toBe(1);
  },
);
