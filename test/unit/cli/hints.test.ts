import { afterEach, expect, test } from 'vitest';
import { commandLineHint } from '../../../src/cli/hints.ts';
import { AgentError, errorText, explainBy } from '../../../src/errors.ts';

afterEach(() => {
  explainBy(() => undefined);
});

test('an error is explained by options, wherever it becomes text', () => {
  const error = new AgentError('ERR_PIN_FINAL_TRY', 'one try left', { hint: 'log in', reason: 'final-pin-try' });
  expect(errorText(error)).toBe('one try left: log in');
  explainBy(commandLineHint);
  expect(errorText(error)).toBe('one try left: log in by hand with the right PIN, or give --use-final-pin-try');
  expect(error.hint).toBe('log in');
});

test('an error without a reason keeps its own hint', () => {
  explainBy(commandLineHint);
  expect(errorText(new AgentError('ERR_URI', 'bad URI', { hint: 'say type=cert' }))).toBe('bad URI: say type=cert');
  expect(errorText(new AgentError('ERR_URI', 'bad URI'))).toBe('bad URI');
});

test('the user that a hint is about', () => {
  expect(commandLineHint({ reason: 'foreign-daemon', user: 1000 })).toMatch(/--management-user 1000$/);
});
