import { afterEach, expect, test, vi } from 'vitest';
import { handleSignals } from '../../../src/cli/signals.ts';
import { soonOnStderr, type Logger } from '../../../src/cli/standard-streams.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('a second signal ends the process, but not before the lines that were put off', () => {
  const told: string[] = [];
  const listeners = new Map<string | symbol, () => void>();
  vi.spyOn(process, 'on').mockImplementation((name: string | symbol, listener: () => void) => {
    listeners.set(name, listener);
    return process;
  });
  vi.spyOn(process, 'removeAllListeners').mockReturnValue(process);
  vi.spyOn(process, 'kill').mockImplementation((pid, name) => {
    told.push(`${pid === process.pid ? 'own' : 'other'} process: ${String(name)}`);
    return true;
  });
  const log = { info: () => undefined } as unknown as Logger;
  const stop = new AbortController();
  handleSignals(stop, log, () => undefined, { reload: undefined, refresh: () => undefined });

  listeners.get('SIGTERM')?.();
  expect(stop.signal.aborted).toBe(true);
  soonOnStderr(() => told.push('signed'));
  expect(told).toEqual([]);
  listeners.get('SIGTERM')?.();
  expect(told).toEqual(['signed', 'own process: SIGTERM']);
});
