import { expect, test } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import { AgentStatus } from '../../../src/cli/agent-status.ts';

const RELOADED: AgentEvent = { type: 'reloaded', added: 1, changed: 0, removed: 0, unchanged: 0, keys: 0 };
const FAILED: AgentEvent = { type: 'reload-failed', code: 'ERR_CONFIG', error: 'a mistake' };

test('who asks for a reload while one is under way hears of the next one, which reads what is there then', async () => {
  const status = new AgentStatus();
  const first = status.nextReload();
  status.beginReload();
  const second = status.nextReload();
  const third = status.nextReload();
  status.take(RELOADED);
  expect(await first).toEqual(RELOADED);
  const failed = Promise.all(
    [second, third].map((each) => expect(each).rejects.toMatchObject({ code: 'ERR_CONFIG', message: 'a mistake' })),
  );
  status.beginReload();
  status.take(FAILED);
  await failed;
});

test('what failed of one reload is not told of the next', async () => {
  const status = new AgentStatus();
  const first = status.nextReload();
  status.beginReload();
  status.take({ type: 'tunnel-failed', tunnel: 't', code: 'ERR_MANAGEMENT_IN_USE', error: 'taken' });
  status.take(RELOADED);
  await expect(first).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_IN_USE' });
  const second = status.nextReload();
  status.beginReload();
  status.take(RELOADED);
  expect(await second).toEqual(RELOADED);
});
