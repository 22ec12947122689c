import { expect, test } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import { AgentState } from '../../../src/status/agent-state.ts';
import { summary } from '../../../src/status/summary.ts';

function told(...events: AgentEvent[]) {
  const state = new AgentState(0);
  const take = (...more: AgentEvent[]): string => {
    for (const event of more) state.take(event, 1);
    return summary(state);
  };
  take(...events);
  return take;
}

const opened = (tunnel: string): AgentEvent => ({
  ...{ type: 'tunnel-opened', tunnel, key: 'k', listens: false, relay: undefined },
});

test('says how many tunnels there are and are connected', () => {
  const take = told(opened('a'), opened('b'));
  expect(take()).toBe('2 tunnels, 0 connected');
  const connected = (tunnel: string): AgentEvent => ({ type: 'daemon-connected', tunnel });
  const gone: AgentEvent = { type: 'daemon-disconnected', tunnel: 'a', reason: '', isFailure: false };
  expect(take(connected('a'), connected('a'), connected('b'), gone)).toBe('2 tunnels, 2 connected');
  expect(take(gone)).toBe('2 tunnels, 1 connected');
  expect(take({ type: 'settings-applied', tunnels: ['b'], keys: [], tokens: [] })).toBe('1 tunnel, 1 connected');
  expect(take({ type: 'agent-locked' })).toBe('1 tunnel, 1 connected; locked');
});

test('says what is away, awaited or failed, until it is not', () => {
  const take = told(
    { type: 'lost', token: 'Office', error: '' },
    { type: 'key-state', name: 'home', state: 'waiting', error: "no token 'Home'" },
    { type: 'tunnel-failed', tunnel: 'a', code: undefined, error: 'in use' },
  );
  expect(take()).toBe(
    "1 tunnel, 0 connected; away: token 'Office'; waiting for key 'home': no token 'Home'; 1 tunnel failed, 'a': in use",
  );
  const found: AgentEvent = { type: 'found', token: 'Office' };
  const over: AgentEvent = { type: 'key-state', name: 'home', state: 'open' };
  expect(take(found, over, opened('a'))).toBe('1 tunnel, 0 connected');
});

test('says nothing of a token that is away and that no key is in any more', () => {
  const take = told(
    opened('a'),
    { type: 'lost', token: 'Office', error: '' },
    { type: 'lost', token: 'Home', error: '' },
  );
  expect(take({ type: 'settings-applied', tunnels: ['a'], keys: ['k'], tokens: ['Home'] })).toBe(
    "1 tunnel, 0 connected; away: token 'Home'",
  );
});
