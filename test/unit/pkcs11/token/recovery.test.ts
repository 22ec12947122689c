import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { UnsettledLogin } from '../../../../src/pkcs11/host/login-outcome.ts';
import {
  laterStep,
  nextStep,
  pollStep,
  takeStep,
  type Neighbours,
  type RecoveryStep,
} from '../../../../src/pkcs11/token/recovery.ts';
import { ckr, FakeModules, fakeToken, PATH } from '../fake-modules.ts';

const FAILED = ckr('CKR_DEVICE_ERROR', 'C_Sign');
const DIED = new AgentError('ERR_MODULE_DIED', 'it died');

describe('the step that follows', () => {
  test('each step forgets more than the one before, and the last is the last', () => {
    const steps: RecoveryStep[] = [];
    for (let step = nextStep(undefined, FAILED); step !== undefined; step = nextStep(step, FAILED)) steps.push(step);
    expect(steps).toEqual([
      'reopen the session',
      'log out and in',
      'finalize and initialize the module',
      'start a new module host',
    ]);
  });

  test.each([undefined, 'reopen the session', 'log out and in', 'finalize and initialize the module'] as const)(
    'a process that died after %s leaves only a new one',
    (tried) => {
      expect(nextStep(tried, DIED)).toBe('start a new module host');
    },
  );

  test('a new process that dies again is the end', () => {
    expect(nextStep('start a new module host', DIED)).toBeUndefined();
  });

  test('a login without an outcome takes a new process, if it may be tried again and did not hang', () => {
    const unsettled = (mayTryAgain: boolean, cause?: unknown): UnsettledLogin =>
      new UnsettledLogin('?', { mayTryAgain, hint: '', cause });
    expect(nextStep(undefined, unsettled(true))).toBe('start a new module host');
    expect(nextStep(undefined, unsettled(false))).toBeUndefined();
    expect(nextStep(undefined, unsettled(true, new AgentError('ERR_MODULE_TIMEOUT', '')))).toBeUndefined();
  });

  test.each(['ERR_PIN_INCORRECT', 'ERR_KEY_NOT_FOUND', 'ERR_MODULE_TIMEOUT', 'ERR_ABORTED'] as const)(
    'no step helps against %s',
    (code) => {
      expect(nextStep(undefined, new AgentError(code, ''))).toBeUndefined();
    },
  );
});

describe('the later of two steps', () => {
  const steps = [
    undefined,
    'reopen the session',
    'log out and in',
    'finalize and initialize the module',
    'start a new module host',
  ] as const;
  test.each(steps.map((step, index) => [step, steps.slice(0, index + 1)] as const))('is %s', (later, others) => {
    for (const other of others) expect([laterStep(later, other), laterStep(other, later)]).toEqual([later, later]);
  });
});

describe('the step of a poll for a token that is away', () => {
  const steps = (neighbours: Neighbours, polls: number): Record<string, number[]> => {
    const found: Record<string, number[]> = {};
    for (let poll = 1; poll <= polls; poll++) (found[pollStep(poll, neighbours)] ??= []).push(poll);
    return found;
  };

  test('alone in its module: a new module host early on, then once in a while; all else in turns', () => {
    const all = steps('alone', 64);
    expect(all['start a new module host']).toEqual([3, 33, 63]);
    expect(all['finalize and initialize the module']).toEqual(Array.from({ length: 32 }, (_, index) => 2 * index + 2));
    expect(all['reopen the session']?.slice(0, 4)).toEqual([1, 5, 7, 9]);
  });

  test('beside idle tokens: now and then they lose their sessions', () => {
    const { 'reopen the session': reopen = [], ...others } = steps('idle', 30);
    expect(others).toEqual({ 'finalize and initialize the module': [5, 15, 25] });
    expect(reopen).toHaveLength(27);
  });

  test('beside a token in use: nothing that ends its session', () => {
    expect(Object.keys(steps('in use', 100))).toEqual(['reopen the session']);
  });
});

describe('a step', () => {
  async function opened(): Promise<{
    modules: FakeModules;
    host: Awaited<ReturnType<FakeModules['get']>>;
    session: string;
  }> {
    const token = fakeToken('card');
    const modules = new FakeModules(token);
    const host = await modules.get(PATH);
    return { modules, host, session: await host.call('openSession', { slot: token.slot }) };
  }

  test.each([
    ['reopen the session', ['1 closeSession']],
    ['log out and in', ['1 logout', '1 closeSession']],
    ['finalize and initialize the module', ['1 reinitialize']],
    ['start a new module host', []],
  ] as const)('%s: %j', async (step, calls) => {
    const { modules, host, session } = await opened();
    modules.take();
    await takeStep(step, { host, session }, () => modules.get(PATH), FAILED);
    expect(modules.take()).toEqual(calls);
    expect(host.isAlive).toBe(step !== 'start a new module host');
  });

  test('without a session there is nothing to close, but a module', async () => {
    const { modules, host } = await opened();
    modules.take();
    await takeStep('log out and in', undefined, () => modules.get(PATH));
    expect(modules.take()).toEqual([]);
    await takeStep('start a new module host', undefined, () => modules.get(PATH), FAILED);
    expect(host.stopReason).toBe('was replaced: C_Sign returned CKR_DEVICE_ERROR');
  });

  test('logs out of the token, also where another session of it stays open', async () => {
    const { modules, host, session } = await opened();
    await host.call('openSession', { slot: fakeToken('card').slot });
    host.isLoggedIn = true;
    await takeStep('log out and in', { host, session }, () => modules.get(PATH), FAILED);
    expect(host.isLoggedIn).toBe(false);
  });

  test('against nothing in particular gives no reason', async () => {
    const { modules, host } = await opened();
    await takeStep('start a new module host', undefined, () => modules.get(PATH));
    expect(host.isAlive).toBe(false);
    expect(host.stopReason).toBeUndefined();
  });

  test('against the end of a process ends no other', async () => {
    const { modules, host } = await opened();
    await takeStep('start a new module host', undefined, () => modules.get(PATH), DIED);
    expect(host.isAlive).toBe(true);
  });

  test('never fails', async () => {
    const { modules, host, session } = await opened();
    modules.fail('closeSession', DIED);
    modules.fail('logout', DIED);
    await takeStep('log out and in', { host, session }, () => modules.get(PATH), FAILED);
    await takeStep('reopen the session', undefined, () => Promise.reject(DIED), FAILED);
    expect(modules.take('openSession')).toEqual(['1 logout', '1 closeSession']);
  });
});
