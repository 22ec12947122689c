import { expect, test } from 'vitest';
import { Losses } from '../../../../src/agent/audit/losses.ts';

const SINCE = '2026-01-02T03:04:05.678Z';
const full = (): Error => Object.assign(new Error('write'), { code: 'ENOSPC' });

test('losses are told once', () => {
  const losses = new Losses();
  expect(losses.areUntold).toBe(false);
  expect(losses.untold).toBeUndefined();
  expect(losses.item()).toBeUndefined();
  losses.add({ entries: 2, signatures: 1 });
  losses.add({ entries: 3, signatures: 0 });
  losses.error = full();
  expect(losses.areUntold).toBe(true);
  const item = losses.item();
  expect(item?.counts).toEqual({ entries: 5, signatures: 1 });
  expect(item?.make()).toEqual({
    ...{ type: 'lost', entries: 5, signatures: 1, code: 'ENOSPC' },
    since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
  });
  // that entry is on its way
  losses.add({ entries: 1, signatures: 1 });
  if (item) losses.told(item);
  expect(losses.all).toEqual({ entries: 6, signatures: 2 });
  expect(losses.untold).toMatchObject({ entries: 1, signatures: 1 });
  const last = losses.item();
  if (last) losses.told(last);
  expect(losses.areUntold).toBe(false);
  expect(losses.item()).toBeUndefined();
});

test('those of an agent before go on', () => {
  const losses = new Losses({ entries: 4, signatures: 3, since: SINCE, code: 'EIO' });
  expect(losses.untold).toEqual({ entries: 4, signatures: 3, since: SINCE, code: 'EIO' });
  losses.add({ entries: 1, signatures: 1 });
  expect(losses.all).toEqual({ entries: 5, signatures: 4 });
  losses.error = full();
  expect(losses.untold).toEqual({ entries: 5, signatures: 4, since: SINCE, code: 'ENOSPC' });
});

test('an error without an errno has no code', () => {
  const losses = new Losses();
  losses.add({ entries: 1, signatures: 0 });
  losses.error = new Error('who knows');
  expect(losses.untold?.code).toBeNull();
});
