import { describe, expect, test } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import { noticeOf, settledBy } from '../../../src/telemetry/notices.ts';

const slow = (waitsFor: 'confirmation' | 'key' | 'signature'): AgentEvent => ({
  ...{ type: 'request-slow', tunnel: 'office', key: 'k', scheme: 's', waitedMs: 3_000 },
  waitsFor,
});
const failed = (code: 'ERR_TOKEN_ABSENT' | 'ERR_KEY_TIMEOUT'): AgentEvent => ({
  ...{ type: 'request-done', tunnel: 'office' },
  outcome: { outcome: 'failed', code, error: "no token 'card'", durationMs: 1 },
});
const key = (code: 'ERR_PIN_INCORRECT' | 'ERR_TOKEN_ABSENT' | 'ERR_KEY_FILE'): AgentEvent => ({
  ...{ type: 'key-state', name: 'work', state: 'failed' },
  code,
  error: 'why',
});
const absent = (seconds: number): AgentEvent => ({
  ...{ type: 'trouble', trouble: 'token-absent', level: 'warn', details: { error: "no token 'card'" } },
  seconds,
});

describe('what is wanted of a person', () => {
  test.for<[AgentEvent, string, RegExp]>([
    [slow('signature'), 'touch', /^Tunnel office .*touch your token/],
    [{ type: 'pin-pad', token: 'card' }, 'keypad', /card/],
    [
      { type: 'key-state', name: 'work', state: 'waiting', code: 'ERR_PIN_SOURCE', error: 'no file' },
      'pin',
      /work.*no file/,
    ],
    [{ type: 'login-failed', token: 'card', code: 'ERR_PIN_REQUIRED', error: 'why' }, 'pin', /card: why/],
    [key('ERR_PIN_INCORRECT'), 'pin', /work.*why/],
    [key('ERR_TOKEN_ABSENT'), 'token', /work.*why/],
    [absent(0), 'token', /no token 'card'/],
    [failed('ERR_TOKEN_ABSENT'), 'token', /office.*no token 'card'/],
  ])('%j is %s', ([event, kind, text]) => {
    expect(noticeOf(event)).toMatchObject({ kind, summary: expect.any(String), text: expect.stringMatching(text) });
  });

  test.for<[AgentEvent]>([
    [slow('confirmation')],
    [slow('key')],
    [key('ERR_KEY_FILE')],
    [absent(5)],
    [failed('ERR_KEY_TIMEOUT')],
    [{ type: 'key-state', name: 'work', state: 'opening' }],
    [{ type: 'key-state', name: 'work', state: 'waiting', code: 'ERR_TOKEN_ABSENT', error: 'its trouble tells' }],
    [{ type: 'daemon-connected', tunnel: 'office' }],
  ])('%j is nothing', ([event]) => {
    expect(noticeOf(event)).toBeUndefined();
  });

  test('a token that is back, and one that is logged in to, want nothing any more', () => {
    const state = { type: 'token-state', token: 'card', pin: 'ok', hasKeypad: false } as const;
    expect(settledBy({ type: 'found', token: 'card' })).toBe('token');
    expect(settledBy({ type: 'trouble-over', subject: 'token', seconds: 1 })).toBe('token');
    expect(settledBy({ type: 'trouble-over', subject: 'key', seconds: 1 })).toBeUndefined();
    expect(settledBy({ ...state, isLoggedIn: true })).toBe('pin');
    expect(settledBy({ ...state, isLoggedIn: false })).toBeUndefined();
  });
});
