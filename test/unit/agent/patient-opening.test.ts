import { beforeEach, describe, expect, test } from 'vitest';
import type { KeyEvent } from '../../../src/agent/events.ts';
import { PatientOpening } from '../../../src/agent/patient-opening.ts';
import { AgentError, type AgentErrorCode } from '../../../src/errors.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { settle } from '../pkcs11/fake-modules.ts';
import { FakeClock } from './fake-clock.ts';

const OPENED = {} as OpenedKey;
const failure = (code: AgentErrorCode, text: string = code): AgentError => new AgentError(code, text);

let clock: FakeClock;
let events: KeyEvent[];
let stop: AbortController;
/** What the next tries come to; then the key is open. */
let failures: AgentError[];
let tries: number;
let opening: PatientOpening;
/** Whether nothing else is served. */
let isInVain: boolean;
let asksPerson: boolean;

function make({ waitForToken = false } = {}): PatientOpening {
  opening = new PatientOpening({
    ...{ name: 'office', waitForToken, clock, signal: stop.signal },
    emit: (event) => {
      events.push(event);
    },
    open: (onPerson) => {
      tries += 1;
      if (asksPerson) onPerson();
      const error = failures.shift();
      return error === undefined ? Promise.resolve(OPENED) : Promise.reject(error);
    },
    onWaiting: () => {
      if (isInVain && opening.isSpare) opening.giveIn();
    },
  });
  return opening;
}

beforeEach(() => {
  clock = new FakeClock();
  events = [];
  stop = new AbortController();
  [failures, tries, isInVain, asksPerson] = [[], 0, false, false];
});

const times = (count: number, error: AgentError): AgentError[] => Array.from({ length: count }, () => error);
const told = (): string[] => events.flatMap((event) => (event.type === 'trouble' ? [event.trouble] : []));

describe('a key that could not be opened', () => {
  test('is tried again after 2, 4, 8 s and so on up to five minutes, and is open as soon as that helps', async () => {
    failures = times(10, failure('ERR_MODULE_TIMEOUT'));
    const run = make().run();
    await settle();
    for (const [index, seconds] of [2, 4, 8, 16, 32, 64, 128, 256, 300, 300].entries()) {
      expect(tries).toBe(index + 1);
      clock.pass(seconds - 0.001);
      await settle();
      expect(tries).toBe(index + 1);
      clock.pass(0.001);
      await settle();
    }
    expect(await run).toBe(OPENED);
    expect(events.at(-1)).toEqual({ type: 'trouble-over', subject: 'opening', seconds: 1110 });
  });

  test('is told of at once, then at the pace of troubles, not at each try', async () => {
    failures = times(3, failure('ERR_TOKEN_FAILED', 'C_Initialize returned CKR_GENERAL_ERROR'));
    void make().run();
    await settle();
    const details = { key: 'office', code: 'ERR_TOKEN_FAILED', error: 'C_Initialize returned CKR_GENERAL_ERROR' };
    const { error } = details;
    expect(events).toEqual([
      { type: 'key-state', name: 'office', state: 'waiting', code: 'ERR_TOKEN_FAILED', error },
      { type: 'trouble', trouble: 'key-not-open', level: 'warn', details, seconds: 0 },
    ]);
    clock.pass(2);
    await settle();
    expect(tries).toBe(2);
    expect(told()).toHaveLength(1);
    clock.pass(3);
    expect(told()).toHaveLength(2);
  });

  test.each([
    ...(['ERR_PIN_INCORRECT', 'ERR_PIN_LOCKED', 'ERR_PIN_FINAL_TRY', 'ERR_PIN_REQUIRED', 'ERR_PIN_UNSETTLED'] as const),
    ...(['ERR_USAGE', 'ERR_CONFIG', 'ERR_URI', 'ERR_KEY_FILE', 'ERR_MODULE_LOAD', 'ERR_STATE_DIRECTORY'] as const),
  ])('for %s is not tried again', async (code) => {
    const error = failure(code);
    failures = [error];
    await expect(make({ waitForToken: true }).run()).rejects.toBe(error);
    expect([tries, events]).toEqual([1, []]);
  });

  test('since the disk was full is tried again', async () => {
    const cause = Object.assign(new Error('write'), { code: 'ENOSPC' });
    failures = [new AgentError('ERR_STATE_DIRECTORY', 'it can not be written', { cause })];
    const run = make().run();
    await settle();
    clock.pass(2);
    expect(await run).toBe(OPENED);
  });

  test('for which a person was asked fails: nobody is asked again by itself', async () => {
    asksPerson = true;
    failures = [failure('ERR_MODULE_DIED')];
    await expect(make({ waitForToken: true }).run()).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
    expect(tries).toBe(1);
  });

  test('and its token that is not there are told of apart', async () => {
    failures = [failure('ERR_TOKEN_ABSENT'), failure('ERR_TOKEN_FAILED'), failure('ERR_TOKEN_ABSENT')];
    const run = make().run();
    for (let round = 0; round < 3; round += 1) {
      await settle();
      clock.pass(2);
    }
    await run;
    expect(events.flatMap((event) => ('subject' in event ? [event.subject] : []))).toEqual(['token', 'token']);
    expect(told()).toEqual(['token-absent', 'key-not-open', 'token-absent']);
  });
});

describe('where nothing else is served', () => {
  beforeEach(() => {
    isInVain = true;
  });

  test('it fails at once, and no word of waiting', async () => {
    failures = [failure('ERR_MODULE_DIED')];
    await expect(make().run()).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
    expect([tries, events]).toEqual([1, []]);
  });

  test('any more, it fails while it waits', async () => {
    isInVain = false;
    failures = [failure('ERR_MODULE_DIED')];
    const run = make().run();
    await settle();
    opening.giveIn();
    await expect(run).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
    clock.pass(1000);
    expect([tries, told()]).toEqual([1, ['key-not-open']]);
  });

  test('it is tried again all the same if its token is to be waited for; not if something else is amiss', async () => {
    failures = [failure('ERR_MODULE_TIMEOUT'), failure('ERR_TOKEN_ABSENT'), failure('ERR_KEY_NOT_FOUND')];
    const run = make({ waitForToken: true }).run();
    const ended = expect(run).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
    for (let round = 0; round < 2; round += 1) {
      await settle();
      clock.pass(2);
    }
    await ended;
    expect(tries).toBe(3);
  });
});

test('a stop ends its waiting, without a further try', async () => {
  failures = [failure('ERR_MODULE_DIED')];
  const run = make().run();
  await settle();
  stop.abort();
  opening.hurry();
  await expect(run).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
  expect(tries).toBe(1);
});

test('who hurries it has it tried at once, and soon after', async () => {
  failures = times(5, failure('ERR_MODULE_DIED'));
  void make().run();
  for (const seconds of [2, 4]) {
    await settle();
    clock.pass(seconds);
  }
  await settle();
  expect(tries).toBe(3);
  opening.hurry();
  await settle();
  expect(tries).toBe(4);
  clock.pass(2);
  await settle();
  expect(tries).toBe(5);
});
