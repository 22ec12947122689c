import { expect, it } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { logEvents } from '../../../src/telemetry/event-lines.ts';

const SIGNED: Extract<AgentEvent, { type: 'request-done' }> = {
  type: 'request-done',
  tunnel: 'a',
  outcome: { outcome: 'signed', key: 'k', scheme: 'ECDSA', mechanism: 'm', durationMs: 1, signature: Buffer.alloc(1) },
};

it('puts off the lines of signatures, with the time of the signature', async () => {
  const lines: { time: string; msg: string }[] = [];
  const log = createLog({
    level: 'info',
    pretty: false,
    write: (line) => lines.push(JSON.parse(line) as (typeof lines)[0]),
  });
  const later: (() => void)[] = [];
  const emit = logEvents({ log, now: () => 0, soon: (write) => later.push(write) });
  emit(SIGNED);
  expect(lines).toEqual([]);
  const after = Date.now();
  await expect.poll(() => Date.now()).toBeGreaterThan(after + 1);
  for (const write of later) write();
  emit({ type: 'daemon-connected', tunnel: 'a' });
  expect(lines.map(({ msg }) => msg)).toEqual(['signed', 'connected to the daemon']);
  const [signed, connected] = lines.map(({ time }) => Date.parse(time));
  expect(signed).toBeLessThanOrEqual(after);
  expect(connected).toBeGreaterThan(after);
});

it('says which copy of a key signed', () => {
  const lines: object[] = [];
  const log = createLog({ level: 'info', pretty: false, write: (line) => lines.push(JSON.parse(line) as object) });
  const emit = logEvents({ log, now: () => 0 });
  emit({ ...SIGNED, outcome: { ...SIGNED.outcome, copy: 'k2' } as typeof SIGNED.outcome });
  emit(SIGNED);
  expect(lines).toMatchObject([{ key: 'k', copy: 'k2', msg: 'signed' }, { key: 'k' }]);
  expect(lines[1]).not.toHaveProperty('copy');
});

it('leaves out what a failing token causes hundreds of times', () => {
  let lines = 0;
  const log = createLog({ level: 'info', pretty: false, write: () => (lines += 1) });
  const emit = logEvents({ log, now: () => 0 });
  for (let times = 0; times < 5_000; times += 1)
    emit({ type: 'recovering', token: 't', step: 'reopen the session', error: 'CKR_DEVICE_ERROR' });
  expect(lines).toBe(100);
});
