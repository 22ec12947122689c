// How much is kept of a log that is none, or was forged: what takes a test long.
import { expect, test } from 'vitest';
import type { RequestEntry } from '../../../src/audit/entry.ts';
import { Requests } from '../../../src/audit/shown.ts';
import { textsOf, verdictOf, WrittenLog } from './written-log.ts';

const REFUSED: RequestEntry = {
  ...{ type: 'request', tunnel: 'office', daemon: { pid: 1, user: 0 }, key: null, scheme: null, data: null },
  ...{ context: null, verdict: 'refused', code: null, duration: null },
};

test('lines that nothing signed are not kept in memory without end', () => {
  const log = new WrittenLog();
  for (let count = 0; count < 20_001; count += 1) log.add(REFUSED, false);
  log.checkpoint('interval');
  const requests = new Requests({});
  const shown = log.lines.flatMap((line) => requests.take(Buffer.from(line.slice(0, -1))));
  expect([shown.length, requests.strange]).toEqual([1, 20_000]);
});

test('lines that nothing signed are counted once', () => {
  const requests = new Requests({});
  requests.endFile();
  expect(requests.strange).toBe(0);
  for (const line of new WrittenLog().start().add(REFUSED, false).lines) requests.take(Buffer.from(line.slice(0, -1)));
  for (let count = 0; count < 2; count += 1) requests.endFile();
  expect(requests.strange).toBe(1);
});

test('a write that was lost is looked for no farther back than an agent looks', () => {
  const size = 16 * 1024 * 1024;
  const log = new WrittenLog().start();
  const before = log.take();
  const { head } = log;
  log.signed().take();
  const left = `${''.padEnd(size, 'x')}\n${log.signed().signed().take()}`;
  Object.assign(log, { head });
  const text = before + left + log.recovered(left).checkpoint('end').take();
  const { faults } = verdictOf([text], { keys: [log.pair.publicKey] }, size);
  expect(textsOf(faults).join()).toContain(`${left.length} bytes that this line tells of are not those before it`);
});
