import { beforeEach, describe, expect, test } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import type { Outcome } from '../../../src/agent/answer.ts';
import { AgentState } from '../../../src/status/agent-state.ts';
import { statusReport, type StatusReport, type TunnelReport } from '../../../src/status/report.ts';

const START = Date.parse('2026-11-28T12:00:00Z');

let state: AgentState;
let now: number;

beforeEach(() => {
  state = new AgentState(START);
  now = START;
});

/** Each event comes a second behind the one before. */
function take(...events: AgentEvent[]): void {
  for (const event of events) state.take(event, (now += 1000));
}

const report = (): StatusReport => statusReport(state, { release: '1.2.3', pid: 42, now });
const tunnel = (name = 't'): TunnelReport | undefined => report().tunnels.find((each) => each.name === name);
const at = (seconds: number): string => new Date(START + seconds * 1000).toISOString();

const opened = (name = 't'): AgentEvent => ({
  ...{ type: 'tunnel-opened', tunnel: name, key: 'main', listens: false, relay: undefined },
});
const done = (outcome: Outcome): AgentEvent => ({ type: 'request-done', tunnel: 't', outcome });
const received: AgentEvent = { type: 'request-received', tunnel: 't', notification: 'PK_SIGN' };
const SIGNED: Outcome = {
  ...{ outcome: 'signed', signature: Buffer.alloc(1), mechanism: 'm' },
  scheme: 'ECDSA',
  durationMs: 3,
};
const FAILED: Outcome = { ...{ outcome: 'failed', code: 'ERR_TOKEN_FAILED', error: 'no luck' }, durationMs: 5 };

describe('a tunnel', () => {
  test('is not connected at first', () => {
    take(opened());
    expect(tunnel()).toMatchObject({ key: 'main', served: true, connected: false, since: at(1), lastRequest: null });
  });

  test('is connected, and is no more, since when that happened', () => {
    take(opened(), { type: 'daemon-connected', tunnel: 't' });
    expect(tunnel()).toMatchObject({ connected: true, since: at(2), connections: 1 });
    take({ type: 'daemon-disconnected', tunnel: 't', reason: 'gone', isFailure: false });
    expect(tunnel()).toMatchObject({ connected: false, since: at(3), connections: 1 });
  });

  test('has several daemons where they connect to us', () => {
    const connected: AgentEvent = { type: 'daemon-connected', tunnel: 't' };
    take(opened(), connected, connected, { type: 'daemon-disconnected', tunnel: 't', reason: '', isFailure: false });
    expect(tunnel()).toMatchObject({ connected: true, daemons: 1, since: at(2) });
  });

  test.for([1e16, 8_640_000_000_000_001, 253_402_300_800_000])(
    'has a state since it was heard, where its daemon says that of a time that is none (%s)',
    (since) => {
      take(opened(), { type: 'daemon-connected', tunnel: 't' });
      take({ type: 'daemon-state', tunnel: 't', state: 'CONNECTED', detail: undefined, since });
      expect(tunnel()?.daemon).toEqual({ state: 'CONNECTED', detail: null, since: at(3) });
    },
  );

  test('has the state that its daemon tells, until the connection ends', () => {
    take(opened(), { type: 'daemon-connected', tunnel: 't' });
    take({ type: 'daemon-state', tunnel: 't', state: 'CONNECTED', detail: 'SUCCESS', since: START });
    expect(tunnel()?.daemon).toEqual({ state: 'CONNECTED', detail: 'SUCCESS', since: at(0) });
    take({ type: 'daemon-disconnected', tunnel: 't', reason: 'gone', isFailure: false });
    expect(tunnel()?.daemon).toBeNull();
  });

  test('is held until its hold is released', () => {
    take(opened(), { type: 'daemon-connected', tunnel: 't' }, { type: 'daemon-held', tunnel: 't' });
    expect(tunnel()?.held).toBe(true);
    take({ type: 'hold-released', tunnel: 't' });
    expect(tunnel()?.held).toBe(false);
  });

  test('counts requests by outcome and by code, and knows the last one', () => {
    take(opened(), received, done(SIGNED), received, done(FAILED), received, done(FAILED));
    expect(tunnel()).toMatchObject({
      counts: { signed: 1, failed: 2, refused: 0, dropped: 0 },
      codes: { ERR_TOKEN_FAILED: 2 },
      lastSigned: at(3),
      lastRequest: { at: at(7), outcome: 'failed', code: 'ERR_TOKEN_FAILED', error: 'no luck', durationMs: 5 },
      pending: 0,
    });
  });

  test('knows how many requests are under way', () => {
    take(opened(), received, received);
    expect(tunnel()?.pending).toBe(2);
  });

  test('keeps its last trouble, and whether it is over', () => {
    const trouble = { type: 'trouble', tunnel: 't', trouble: 'unreachable', level: 'error', seconds: 1 } as const;
    take(opened(), { ...trouble, details: { error: 'no socket' } });
    expect(tunnel()?.trouble).toEqual({
      ...{ kind: 'unreachable', level: 'error', error: 'no socket', since: at(1), over: false },
    });
    take({ type: 'trouble-over', tunnel: 't', subject: 'key', seconds: 1 });
    expect(tunnel()?.trouble?.over).toBe(false);
    take({ type: 'daemon-connected', tunnel: 't' });
    expect(tunnel()?.trouble?.over).toBe(true);
  });

  test('that could not be served says why, until it can', () => {
    take({ type: 'tunnel-failed', tunnel: 't', code: 'ERR_CONFIG', error: 'no management line' });
    expect(tunnel()).toMatchObject({ served: false, failure: { code: 'ERR_CONFIG', error: 'no management line' } });
    take(opened());
    expect(tunnel()).toMatchObject({ served: true, failure: null });
  });

  test('that other settings do not have is gone, and so is its relay', () => {
    take({ type: 'relay-listening', relay: '/r', rights: 'read' }, { ...opened('gone'), relay: '/r' } as AgentEvent);
    take(opened(), { type: 'settings-applied', tunnels: ['t'], keys: [], tokens: [] });
    expect(report().tunnels.map(({ name }) => name)).toEqual(['t']);
    expect(report().relays).toEqual([]);
  });

  test('of which nothing was said yet is none: an event that is late brings none back', () => {
    take({ type: 'tunnel-closed', tunnel: 'late' });
    expect(report().tunnels).toEqual([]);
  });
});

describe('a key', () => {
  test('is opening, open with its certificate, or failed', () => {
    take({ type: 'key-state', name: 'main', state: 'opening' });
    expect(report().keys).toMatchObject([{ name: 'main', state: 'opening', certificate: null }]);
    const certificate = { certificate: 'CN=a', validTo: 'Dec 24 08:00:00 2026 GMT' };
    take({ type: 'key-state', name: 'main', state: 'open', key: 'k.pem', copies: ['k.pem'], ...certificate });
    expect(report().keys).toMatchObject([
      { state: 'open', key: 'k.pem', certificate: { subject: 'CN=a', validTo: '2026-12-24T08:00:00.000Z' } },
    ]);
    take({ type: 'key-state', name: 'main', state: 'failed', error: 'no' });
    expect(report().keys).toMatchObject([{ state: 'failed', error: 'no', certificate: null }]);
  });

  test('waits to be tried again since it does so, whatever it waits for', () => {
    take({ type: 'key-state', name: 'main', state: 'opening' });
    take({ type: 'key-state', name: 'main', state: 'waiting', error: 'it hangs' });
    const [{ since } = {}] = report().keys;
    take({ type: 'key-state', name: 'main', state: 'waiting', error: 'it died' });
    expect(report().keys).toMatchObject([{ state: 'waiting', error: 'it died', since }]);
    take({ type: 'key-state', name: 'main', state: 'open', key: 'k.pem' });
    expect(report().keys).toMatchObject([{ state: 'open', error: null }]);
    expect(report().keys[0]?.since).not.toBe(since);
  });

  test('knows which of its copies work', () => {
    take({ type: 'key-state', name: 'main', state: 'open', key: 'a', copies: ['a', 'b'] });
    take({ type: 'copy-failed', key: 'b', error: 'away' });
    expect(report().keys[0]?.copies).toEqual([
      { key: 'a', works: true, failures: 0, error: null },
      { key: 'b', works: false, failures: 1, error: 'away' },
    ]);
    take({ type: 'copy-works', key: 'b' });
    expect(report().keys[0]?.copies[1]).toMatchObject({ works: true, failures: 1 });
  });
});

describe('a token', () => {
  const seen = { type: 'token-state', token: 'Office', pin: 'ok', hasKeypad: false, isLoggedIn: true } as const;

  test('is present and logged in, away, and back', () => {
    take(seen);
    expect(report().tokens).toMatchObject([{ label: 'Office', present: true, loggedIn: true, pin: 'ok', removals: 0 }]);
    take({ type: 'lost', token: 'Office', error: 'removed' });
    expect(report().tokens).toMatchObject([{ present: false, loggedIn: false, removals: 1, error: 'removed' }]);
    take({ type: 'found', token: 'Office' });
    expect(report().tokens).toMatchObject([{ present: true, removals: 1, error: null }]);
  });

  test('that can not be logged in to is there, and says why until it can', () => {
    take(
      { ...seen, isLoggedIn: false },
      { type: 'login-failed', token: 'Office', code: 'ERR_PIN_SOURCE', error: 'no PIN' },
    );
    expect(report().tokens).toMatchObject([{ present: true, loggedIn: false, removals: 0, error: 'no PIN' }]);
    take(seen);
    expect(report().tokens).toMatchObject([{ loggedIn: true, error: null }]);
  });

  test('that was away is there when another session sees it', () => {
    take(seen, { type: 'lost', token: 'Office', error: 'removed' }, { ...seen, isLoggedIn: false });
    expect(report().tokens).toMatchObject([{ present: true, removals: 1, error: null }]);
  });

  test('says how many tries its PIN has', () => {
    take(seen, { type: 'pin-count-low', token: 'Office' });
    expect(report().tokens[0]?.pin).toBe('count low');
    take({ ...seen, pin: 'locked', isLoggedIn: false });
    expect(report().tokens[0]?.pin).toBe('locked');
  });
});

describe('a module', () => {
  const started = (pid: number): AgentEvent => ({
    type: 'module-host',
    event: { type: 'started', modulePath: '/m.so', pid },
  });
  const ended = (pid: number, expected: boolean): AgentEvent => ({
    type: 'module-host',
    event: { type: 'ended', modulePath: '/m.so', pid, reason: 'was killed', expected },
  });

  test('has processes, and counts the ends that nobody asked for', () => {
    take(started(7), ended(7, false), started(8), started(9), ended(9, true));
    expect(report().hosts).toEqual([
      { module: '/m.so', pids: [8], starts: 3, restarts: 1, lastEnd: { at: at(5), reason: 'was killed' } },
    ]);
  });
});

test('a relay knows its clients', () => {
  const client = (change: 'connected' | 'disconnected' | 'refused', name: string): AgentEvent => ({
    ...{ type: 'relay-client', relay: '/r', change, client: name },
  });
  take({ type: 'relay-listening', relay: '/r', rights: 'read' });
  take(client('connected', 'a'), client('connected', 'b'), client('disconnected', 'a'), client('refused', 'c'));
  expect(report().relays).toEqual([{ address: '/r', rights: 'read', count: 1, clients: ['b'], refused: 1 }]);
});

test('the lock is told', () => {
  take({ type: 'agent-locked' });
  expect(report().locked).toBe(true);
  take({ type: 'agent-unlocked' });
  expect(report().locked).toBe(false);
});

test('what comes from outside takes bounded memory', () => {
  const MANY = 10_000;
  take({ type: 'relay-listening', relay: '/r', rights: 'read' }, opened());
  for (let index = 0; index < MANY; index++) {
    take(
      { type: 'found', token: `token ${index}` },
      { type: 'copy-failed', key: `copy ${index}`, error: 'x'.repeat(10_000) },
      { type: 'module-host', event: { type: 'started', modulePath: '/m.so', pid: index } },
      { type: 'relay-client', relay: '/r', change: 'connected', client: `client ${index}` },
      { type: 'daemon-state', tunnel: 't', state: 'y'.repeat(10_000), detail: 'z'.repeat(10_000), since: START },
    );
  }
  expect(JSON.stringify(report()).length).toBeLessThan(100_000);
  expect(state.copies.size).toBeLessThan(1000);
  expect(report().relays[0]?.count).toBe(MANY);
});
