import { expect, it } from 'vitest';
import { failure, formatVerdict } from '../../../src/check/verdict.ts';
import { AgentError } from '../../../src/errors.ts';

it.each(['ok', 'warn', 'fail', 'skip'] as const)('%s: a line, aligned', (outcome) => {
  expect(formatVerdict({ outcome, what: 'token', detail: 'd', hint: 'h' })).toEqual([
    `${outcome.padEnd(6)}token: d: h`,
  ]);
});

it('shows what would end the line or steer a terminal', () => {
  const [line, ...more] = formatVerdict({ outcome: 'ok', what: 'token', detail: "'a\nfail  token: \x1b[2J\u009b'" });
  expect(line).toBe("ok    token: 'a\\u{a}fail  token: \\u{1b}[2J\\u{9b}'");
  expect(more).toEqual([]);
});

it('has the lines for the .ovpn behind it', () => {
  const lines = ['management-hold', 'cert "a b"'];
  expect(formatVerdict({ outcome: 'ok', what: 'lines', detail: 'x', lines })).toEqual(['ok    lines: x', ...lines]);
});

it('makes a failure of whatever was thrown', () => {
  const error = new AgentError('ERR_PIN_LOCKED', 'the PIN is locked', { hint: 'unlock it' });
  expect(failure('PIN', error)).toEqual({
    outcome: 'fail',
    what: 'PIN',
    detail: 'the PIN is locked',
    hint: 'unlock it',
    code: 'ERR_PIN_LOCKED',
  });
  expect(failure('PIN', new Error('x'))).toEqual({ outcome: 'fail', what: 'PIN', detail: 'x' });
});
