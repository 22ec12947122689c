import { expect, test } from 'vitest';
import { ReplyCollector } from '../../../../src/management/index.ts';
import { accepted } from '../../../../src/management/commands/reply.ts';
import { coded } from '../pair.ts';

test('a reply that is as large as it may be comes whole', () => {
  const collector = new ReplyCollector({ parts: [{ kind: 'block' }] }, 66 * 1000);
  for (let line = 0; line < 998; line += 1) collector.push('x');
  collector.push('END');
  expect(collector.reply().lines).toHaveLength(998);
});

test('one byte more is an error, and not a reply that lacks lines', () => {
  const collector = new ReplyCollector({ parts: [{ kind: 'block' }] }, 66 * 1000);
  for (let line = 0; line < 1000; line += 1) collector.push('x');
  expect(() => {
    collector.push('x');
  }).toThrow(coded('ERR_MANAGEMENT_LIMIT'));
});

test('lines as they came are kept beside the text', () => {
  const collector = new ReplyCollector({ parts: [{ kind: 'line' }, { kind: 'block' }] });
  collector.push('SUCCESS: ok');
  collector.push('grün', 'gr\xc3\xbcn');
  expect(collector.open).toBe(true);
  collector.push('END');
  expect(collector.done).toBe(true);
  expect(collector.reply()).toEqual({
    text: 'ok',
    lines: ['grün'],
    raw: ['SUCCESS: ok', 'grün', 'END'],
    error: undefined,
  });
  expect(collector.bytes).toEqual(['SUCCESS: ok', 'gr\xc3\xbcn', 'END']);
});

test('an error is the whole reply, whatever was to follow', () => {
  const collector = new ReplyCollector({ parts: [{ kind: 'block' }] });
  collector.push('ERROR: no');
  expect(collector.done).toBe(true);
  expect(() => accepted('status', collector.reply())).toThrow(
    coded('ERR_MANAGEMENT_COMMAND', 'OpenVPN refused the status command: no'),
  );
});

test('a reply that is no error is itself', () => {
  const reply = { text: 'pid=1', lines: [], raw: ['SUCCESS: pid=1'], error: undefined };
  expect(accepted('pid', reply)).toBe(reply);
});
