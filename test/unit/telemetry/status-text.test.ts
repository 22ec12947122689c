import { expect, test } from 'vitest';
import { StatusText } from '../../../src/telemetry/status-text.ts';

test('says how many tunnels there are and are connected', () => {
  const status = new StatusText();
  status.tunnels = 2;
  expect(status.text).toBe('2 tunnels, 0 connected');
  expect(status.take({ type: 'daemon-connected', tunnel: 'a' })).toBe(true);
  status.take({ type: 'daemon-connected', tunnel: 'a' });
  status.take({ type: 'daemon-connected', tunnel: 'b' });
  status.take({ type: 'daemon-disconnected', tunnel: 'a', reason: '', isFailure: false });
  expect(status.text).toBe('2 tunnels, 2 connected');
  status.take({ type: 'daemon-disconnected', tunnel: 'a', reason: '', isFailure: false });
  status.take({ type: 'reloaded', added: 0, changed: 0, removed: 1, unchanged: 1, keys: 0 });
  expect(status.text).toBe('1 tunnel, 1 connected');
  expect(status.take({ type: 'daemon-held', tunnel: 'b' })).toBe(false);
});

test('says what is away, awaited or failed, until it is not', () => {
  const status = new StatusText();
  status.take({ type: 'lost', token: 'Office', error: '' });
  status.take({
    type: 'trouble',
    trouble: 'token-absent',
    level: 'warn',
    details: { error: "no token 'Home'" },
    seconds: 0,
  });
  status.take({ type: 'tunnel-failed', tunnel: 'a', code: undefined, error: 'in use' });
  expect(status.text).toBe(
    "0 tunnels, 0 connected; away: token 'Office'; waiting for a token: no token 'Home'; 1 tunnel failed, 'a': in use",
  );
  status.take({ type: 'found', token: 'Office' });
  status.take({ type: 'trouble-over', subject: 'token', seconds: 3 });
  status.take({ type: 'tunnel-changed', tunnel: 'a' });
  expect(status.text).toBe('0 tunnels, 0 connected');
});
