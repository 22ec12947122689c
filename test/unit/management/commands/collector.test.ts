import { describe, expect, test } from 'vitest';
import { ReplyCollector } from '../../../../src/management/commands/reply.ts';
import { PUSH_UPDATE, STATUS, type ReplyPart } from '../../../../src/management/commands/shape.ts';

function collect(parts: readonly ReplyPart[], ...lines: string[]): ReplyCollector {
  const collector = new ReplyCollector({ parts });
  for (const line of lines) {
    expect(collector.done).toBe(false);
    collector.push(line);
  }
  return collector;
}

describe('so many lines', () => {
  const parts = [{ kind: 'lines', count: 2 }] as const;
  test('are the reply, whatever they say', () => {
    const collector = collect(parts, 'one', 'END');
    expect(collector.done).toBe(true);
    expect(collector.reply().lines).toEqual(['one', 'END']);
    expect(collect(parts, 'one').done).toBe(false);
    expect(collect(parts, 'one').open).toBe(true);
  });

  test('are none after an error', () => {
    expect(collect(parts, 'ERROR: no').done).toBe(true);
    expect(collect(parts, 'one', 'ERROR: no').reply()).toMatchObject({ lines: ['one', 'ERROR: no'], error: undefined });
  });
});

describe('a notification as a reply', () => {
  const parts = [{ kind: 'notification', word: 'PKCS11ID-COUNT' }] as const;
  test('is waited for by its word', () => {
    expect(collect(parts).notificationWord).toBe('PKCS11ID-COUNT');
    const collector = collect(parts, '>PKCS11ID-COUNT:2');
    expect([collector.done, collector.notificationWord]).toEqual([true, undefined]);
    expect(collector.reply().lines).toEqual(['>PKCS11ID-COUNT:2']);
    expect(collect([{ kind: 'line' }]).notificationWord).toBe(undefined);
  });
});

describe('a verdict', () => {
  test('ends lines of any kind, and forgives what failed on the way', () => {
    const lines = ['client 0: done', 'ERROR: client 1', 'SUCCESS: client 2'];
    const collector = collect(PUSH_UPDATE.parts, ...lines, 'SUCCESS: push-update command succeeded');
    expect(collector.done).toBe(true);
    expect(collector.reply()).toMatchObject({ text: 'push-update command succeeded', lines, error: undefined });
  });

  test('that it failed keeps the first error', () => {
    const collector = collect(PUSH_UPDATE.parts, 'ERROR: first', 'ERROR: second', 'ERROR: push-update command failed');
    expect(collector.done).toBe(true);
    expect(collector.reply()).toMatchObject({ error: 'first', lines: ['ERROR: first', 'ERROR: second'] });
    expect(collect(PUSH_UPDATE.parts, 'ERROR: push-update command failed').reply().error).toBe(
      'push-update command failed',
    );
  });

  test.for([
    'ERROR: unknown command [x], enter "help" for more options',
    'ERROR: Options error',
    "ERROR: The 'push-update' command requires 1 parameter",
    "ERROR: the 'push-update' command",
    'ERROR: push-update-cid fail',
  ])('is not waited for after %s', (line) => {
    const collector = collect(PUSH_UPDATE.parts, line);
    expect([collector.done, collector.reply().error]).toEqual([true, line.slice('ERROR: '.length)]);
  });

  test('of another command is a line', () => {
    expect(collect(PUSH_UPDATE.parts, 'SUCCESS: kill command succeeded', 'ERROR: kill command failed').done).toBe(
      false,
    );
    expect(collect(PUSH_UPDATE.parts, 'INFO: ERROR: Options error').done).toBe(false);
  });
});

describe('a line and a block', () => {
  const parts = [{ kind: 'line' }, { kind: 'block' }] as const;
  test('come one behind the other; lines before the first are kept as they came', () => {
    const collector = collect(parts, 'why', 'SUCCESS: on', 'one', 'ERROR: of a log', 'END');
    expect(collector.reply()).toEqual({
      ...{ text: 'on', lines: ['one', 'ERROR: of a log'], error: undefined },
      raw: ['why', 'SUCCESS: on', 'one', 'ERROR: of a log', 'END'],
    });
  });

  test('an error in the first half leaves the second, of a kind alone', () => {
    const half = collect(parts, "ERROR: log parameter must be 'on' or 'off' or some number n or 'all'", 'one', 'END');
    expect([half.done, half.reply().lines]).toEqual([true, ['one']]);
    expect(half.reply().error).toMatch(/^log parameter/);
    expect(collect(parts, 'ERROR:no').reply().error).toBe('no');
    expect(collect(parts, 'ERROR: no').done).toBe(true);
  });

  test('what comes behind the end is nobody’s', () => {
    const collector = collect(parts, 'SUCCESS:', 'END');
    collector.push('more');
    expect(collector.reply()).toMatchObject({ text: '', lines: [], raw: ['SUCCESS:', 'END'] });
  });
});

describe('rows of a block, which may look like notifications', () => {
  const header = 'Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since';
  const row = '>HOLD:x,192.0.2.1:1194,1,2,2026-11-23 10:00:00';

  test('belong to it behind their header, and behind each other', () => {
    expect(collect(STATUS.parts, 'OpenVPN CLIENT LIST', header).holds(row)).toBe(true);
    expect(collect(STATUS.parts, 'OpenVPN CLIENT LIST', header, row).holds(row)).toBe(true);
    expect(collect(STATUS.parts, header, row, row).holds('>HOLD:Waiting for hold release:0')).toBe(false);
  });

  test('do not before the header, behind another line, or behind the block', () => {
    expect(collect(STATUS.parts).holds(row)).toBe(false);
    expect(collect(STATUS.parts, 'OpenVPN CLIENT LIST').holds(row)).toBe(false);
    expect(collect(STATUS.parts, header, row, 'ROUTING TABLE').holds(row)).toBe(false);
    expect(collect(STATUS.parts, header, row, 'END').holds(row)).toBe(false);
    expect(collect([...STATUS.parts, ...STATUS.parts], header, row, 'END').holds(row)).toBe(false);
  });

  test('are none in a block without rows, or where no block is', () => {
    expect(collect([{ kind: 'block' }], header).holds(row)).toBe(false);
    expect(collect([{ kind: 'lines', count: 3 }], header).holds(row)).toBe(false);
  });
});

test('only what stands at the beginning is cut off', () => {
  expect(collect([{ kind: 'line' }], 'SUCCESS: it says SUCCESS: x').reply().text).toBe('it says SUCCESS: x');
  expect(collect([{ kind: 'line' }], 'ERROR: it says ERROR: x').reply().error).toBe('it says ERROR: x');
  const failed = 'ERROR: push-update command failed';
  expect(collect(PUSH_UPDATE.parts, 'ERROR: 1 ERROR: x', failed).reply().error).toBe('1 ERROR: x');
  expect(collect(PUSH_UPDATE.parts, 'ERROR:x', failed).reply().error).toBe('x');
  expect(collect(PUSH_UPDATE.parts, 'client 1', failed).reply().error).toBe('push-update command failed');
});

test('a block behind a block begins anew', () => {
  const parts = [{ kind: 'block' }, { kind: 'block' }] as const;
  expect(collect(parts, 'one', 'END').open).toBe(false);
  expect(collect(parts, 'one', 'END', 'ERROR: no').done).toBe(true);
});

test('a reply that was given up keeps nothing, and ends all the same', () => {
  const collector = new ReplyCollector({ parts: [{ kind: 'block' }] }, 200);
  collector.push('one');
  collector.discard();
  for (let line = 0; line < 100; line++) collector.push('x'.repeat(100));
  expect(collector.done).toBe(false);
  collector.push('END');
  expect([collector.done, collector.reply().lines, collector.reply().raw, collector.bytes]).toEqual([true, [], [], []]);
});
