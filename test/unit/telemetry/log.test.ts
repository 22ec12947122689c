import { expect, it } from 'vitest';
import { Secret } from '../../../src/secret.ts';
import { createLog } from '../../../src/telemetry/log.ts';

function record(pretty: boolean, ...records: [object, string][]): string {
  let text = '';
  const log = createLog({ level: 'info', pretty, write: (line) => (text += line) });
  for (const [fields, message] of records) log.info(fields, message);
  return text;
}

it('writes a JSON record a line', () => {
  const [line = '', ...rest] = record(false, [{ tunnel: 'a', durationMs: 1.5 }, 'signed']).split('\n');
  expect(JSON.parse(line)).toMatchObject({ level: 'info', tunnel: 'a', durationMs: 1.5, msg: 'signed' });
  expect(rest).toEqual(['']);
});

it('writes for people: time, level, message, name=value', () => {
  const line = record(true, [{ tunnel: 'a', text: 'two words', n: 2 }, 'signed']);
  expect(line).toMatch(/^\d\d:\d\d:\d\d INFO {2}signed tunnel=a text="two words" n=2\n$/);
});

it('shows no secret, whatever it is logged as', () => {
  const secret = new Secret('4711');
  const text = record(false, [{ pin: '4711', nested: { password: '4711' }, other: secret }, 'x']);
  expect(text).not.toContain('4711');
  const deep = record(false, [{ a: { b: [{ pin: '4711', kept: 1 }] } }, 'x']);
  expect(JSON.parse(deep)).toMatchObject({ a: { b: { 0: { pin: '<redacted>', kept: 1 } } } });
});
