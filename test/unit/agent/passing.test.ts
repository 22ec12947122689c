import { expect, test } from 'vitest';
import { isOfToken, mayPass } from '../../../src/agent/passing.ts';
import { EXIT, exitCode } from '../../../src/cli/exit-codes.ts';
import { AGENT } from '../../../src/cli/explanations/agent.ts';
import { KEYS } from '../../../src/cli/explanations/keys.ts';
import { TOKENS } from '../../../src/cli/explanations/tokens.ts';
import { AgentError, type AgentErrorCode } from '../../../src/errors.ts';

const CODES = Object.keys({ ...AGENT, ...KEYS, ...TOKENS }) as AgentErrorCode[];

test('what is tried again is what a supervisor is told to start again for', () => {
  const passing = CODES.filter((code) => mayPass(new AgentError(code, '')));
  expect(passing).toContain('ERR_MODULE_TIMEOUT');
  for (const code of passing) expect([EXIT.failed, EXIT.absent], code).toContain(exitCode(code));
  // whatever a start may come to that may pass: what is to be used is not named here, nor what only requests come to
  const ofStarts = CODES.filter((code) => /^ERR_(?:KEY|CERTIFICATE|PIN|TOKEN|MODULE|EXEC)_/.test(code));
  const others = ofStarts.filter((code) => !passing.includes(code));
  for (const code of others) expect([EXIT.usage, EXIT.pin], code).toContain(exitCode(code));
});

test('what the machine lacks may pass, what is broken does not', () => {
  const system = (code: string): Error => Object.assign(new Error(code), { code });
  const ofState = (code: string): AgentError => new AgentError('ERR_STATE_DIRECTORY', '', { cause: system(code) });
  for (const code of ['ENOSPC', 'EIO', 'EMFILE']) {
    expect(mayPass(system(code))).toBe(true);
    expect(mayPass(ofState(code))).toBe(true);
    expect(isOfToken(ofState(code))).toBe(false);
  }
  for (const error of [ofState('EACCES'), system('EACCES'), new TypeError('x'), 'x'])
    expect(mayPass(error)).toBe(false);
  // the reason for another error is not the error
  expect(mayPass(new AgentError('ERR_PIN_INCORRECT', '', { cause: system('EIO') }))).toBe(false);
});
