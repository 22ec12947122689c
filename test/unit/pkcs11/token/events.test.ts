import { expect, test } from 'vitest';
import type { PinEvent } from '../../../../src/pkcs11/pins/events.ts';
import { isSessionEvent, type SessionEvent } from '../../../../src/pkcs11/token/events.ts';

const OF_SESSIONS: readonly SessionEvent['type'][] = ['recovering', 'lost', 'found', 'login-failed', 'token-state'];
const OF_PINS: readonly PinEvent['type'][] = ['pin-count-low', 'pin-wait', 'pin-record-failed', 'pin-pad'];

test.each(OF_SESSIONS)('%s is of a session, and told by its token', (type) => {
  expect(isSessionEvent({ type })).toBe(true);
});

test.each(OF_PINS)('%s is of a PIN, and told by who uses it', (type) => {
  expect(isSessionEvent({ type })).toBe(false);
});
