import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { Module } from '../../../../src/pkcs11/host/module.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import type { TokenUser } from '../../../../src/pkcs11/token/token-user.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { ckr, type FakeModule, FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';

const HSM = fakeToken('hsm', FLAG.LOGIN);

let modules: FakeModules;
let clock: FakeClock;
let tokens: Tokens;
let events: string[];
let asked: number;
let user: TokenUser;

async function open(info: TokenInfo = HSM): Promise<void> {
  modules = new FakeModules(info);
  clock = new FakeClock();
  events = [];
  asked = 0;
  tokens = new Tokens({ hosts: modules, clock, onEvent: ({ type }) => type !== 'token-state' && events.push(type) });
  const pin = new Pin({
    ask: () => {
      asked++;
      return Promise.resolve(new Secret('1234'));
    },
    refused: processMemory(),
  });
  user = await tokens.open({ token: info.label, object: 'key' }, PATH, { pin });
}

beforeEach(() => open());

/** Something that takes until `finish`, as often as it is done, and where it was done. */
class Work {
  readonly hosts: number[] = [];
  readonly result: Promise<string>;
  #end = (): void => undefined;
  readonly #ended = new Promise<void>((resolve) => (this.#end = resolve));

  constructor(fail?: (at: OpenSession) => void) {
    const work = async (at: OpenSession): Promise<string> => {
      this.hosts.push((at.host as Module & { number: number }).number);
      await this.#ended;
      fail?.(at);
      return 'done';
    };
    this.result = doAsKeysDo(work);
    this.result.catch(() => undefined);
  }

  async finish(): Promise<string> {
    this.#end();
    return await this.result;
  }
}

async function doAsKeysDo(work: (at: OpenSession) => Promise<string>): Promise<string> {
  const beside = user.runBeside(work);
  return (beside && (await beside)) ?? (await user.run(work));
}

/** Until all that needs no time has happened: a login's hash does. */
const eventually = expect.poll;

const hostsOf = (works: readonly Work[]): number[] => works.flatMap(({ hosts }) => hosts);

async function finishAll(works: readonly Work[]): Promise<void> {
  for (const work of works) expect(await work.finish()).toBe('done');
}

/** So many at once, all in the first process. */
function crowd(number: number): Work[] {
  return Array.from({ length: number }, () => new Work());
}

/** Makes signatures wait until there is an extra session. @returns its process */
async function startExtra(): Promise<FakeModule> {
  const works = crowd(18);
  await eventually(() => modules.furtherHosts.flatMap((host) => [...host.sessions])).toHaveLength(1);
  await eventually(() => modules.furtherHosts[0]?.isLoggedIn).toBe(true);
  await finishAll(works);
  const extra = modules.furtherHosts[0];
  if (!extra) throw new Error('it was ended');
  // it is of use now: of two, one goes there
  await eventually(async () => {
    const [one, other] = crowd(2) as [Work, Work];
    await finishAll([one, other]);
    return other.hosts;
  }).toEqual([extra.number]);
  return extra;
}

/** Waits for something that is not to happen, too: a start is a few turns, a login's hash some more. */
async function noneStarts(): Promise<void> {
  const works = crowd(40);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(modules.furtherHosts).toEqual([]);
  await finishAll(works);
}

describe('a further session', () => {
  test('is started when signatures wait, and logs in with the PIN that was accepted', async () => {
    await startExtra();
    expect(modules.pins).toEqual(['1234', '1234']);
    expect(asked).toBe(1);
    expect(modules.count('slot')).toBe(1);
  });

  test('is not started for few, for many one after the other, or for many in a longer time', async () => {
    await finishAll(crowd(17));
    clock.pass(2);
    for (let times = 0; times < 100; times++) await finishAll([new Work()]);
    const works: Work[] = crowd(2);
    for (let times = 0; times < 30; times++) {
      works.push(new Work());
      clock.pass(0.1);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    await finishAll(works);
    expect(modules.calls.filter((call) => call.endsWith(' slot'))).toEqual([]);
    expect(modules.furtherHosts).toEqual([]);
  });

  test('gets work when the first one has more, and none when it has less', async () => {
    const extra = await startExtra();
    const works = crowd(6);
    await settle();
    expect(hostsOf(works)).toEqual([1, 2, 1, 2, 1, 2]);
    await finishAll(works);
    expect(extra.isAlive).toBe(true);
    const alone = new Work();
    await alone.finish();
    expect(alone.hosts).toEqual([1]);
  });

  test('is one of so many at most', async () => {
    modules.most = 3;
    await startExtra();
    const works = crowd(40);
    await eventually(() => modules.furtherHosts.length).toBe(2);
    await eventually(() => modules.pins.length).toBe(3);
    await finishAll(works);
    const more = crowd(80);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await finishAll(more);
    expect(modules.furtherHosts).toHaveLength(2);
  });

  test('ends when it had nothing to do for a minute, without a reason', async () => {
    const extra = await startExtra();
    clock.pass(59);
    expect(extra.isAlive).toBe(true);
    await finishAll(crowd(2));
    clock.pass(59);
    await settle();
    expect(extra.isAlive).toBe(true);
    clock.pass(2);
    await settle();
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
    // another one follows where it is wanted
    expect((await startExtra()).number).toBe(3);
  });

  test('that grew too much ends with its last work', async () => {
    const extra = await startExtra();
    const works = crowd(2);
    modules.rss = 2 ** 30;
    clock.pass(61);
    await settle();
    expect(hostsOf(works)).toEqual([1, 2]);
    const next = crowd(2);
    await settle();
    expect(hostsOf(next)).toEqual([1, 1]);
    expect(extra.isAlive).toBe(true);
    await finishAll([...works, ...next]);
    await settle();
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
  });
});

describe('there is none', () => {
  test('for a token that can be taken out', async () => {
    modules.isRemovable = true;
    await noneStarts();
    await noneStarts();
    expect(modules.count('slot')).toBe(1);
  });

  test.each([
    ['with a keypad', FLAG.KEYPAD],
    ['with few tries left', FLAG.COUNT_LOW],
  ])('for a token %s', async (_, flag) => {
    await open(fakeToken('hsm', FLAG.LOGIN | flag));
    await noneStarts();
    expect(modules.count('login')).toBe(1);
  });

  test.each([
    ['few tries left', FLAG.COUNT_LOW],
    ['one try left', FLAG.FINAL_TRY],
    ['a locked PIN', FLAG.LOCKED],
  ])('for a token that has %s by now', async (_, flag) => {
    modules.tokens = [fakeToken('hsm', FLAG.LOGIN | flag)];
    await noneStarts();
    expect(modules.count('login')).toBe(1);
  });

  test('where one process is all that a module may have', async () => {
    modules.most = 1;
    await noneStarts();
  });

  test('where the PIN was never accepted in this process', async () => {
    await user[Symbol.asyncDispose]();
    const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
    // as if somebody else had logged in before
    pin.login = () => Promise.resolve();
    user = await tokens.open({ token: 'hsm' }, PATH, { pin });
    await noneStarts();
    expect(modules.count('slot')).toBe(0);
  });

  test.each([
    ['refused', ckr('CKR_PIN_INCORRECT', 'C_Login')],
    ['not answered', ckr('CKR_GENERAL_ERROR', 'C_Login')],
    ['cut short', new AgentError('ERR_MODULE_DIED', 'it died')],
  ])('any more once its login was %s, and the first session works on', async (_, error) => {
    modules.fail('login', error, 1);
    const works = crowd(18);
    await eventually(() => modules.count('login')).toBe(2);
    await eventually(() => modules.furtherHosts).toEqual([]);
    await finishAll(works);
    await noneStarts();
    clock.pass(100_000);
    await noneStarts();
    expect(modules.count('login')).toBe(2);
    expect(events).toEqual([]);
  });

  test('any more once its session could not be opened', async () => {
    modules.fail('openSession', ckr('CKR_SESSION_COUNT', 'C_OpenSession'), 1);
    await noneStarts();
    await noneStarts();
    expect(modules.count('openSession')).toBe(2);
  });
});

describe('what fails in a further session', () => {
  test.each([
    ['its process ended', new AgentError('ERR_MODULE_DIED', 'it died')],
    ['it took too long', new AgentError('ERR_MODULE_TIMEOUT', 'too long')],
    ['the token says so', ckr('CKR_DEVICE_ERROR', 'C_Sign')],
    ['its key is not there', new AgentError('ERR_KEY_NOT_FOUND', 'none')],
  ])('is done in the first one (%s), and that session ends', async (_, error) => {
    const extra = await startExtra();
    const first = new Work();
    const failing = new Work((at) => {
      if (at.host === extra) throw error;
    });
    const waiting = [new Work(), new Work()];
    await finishAll([failing, first, ...waiting]);
    expect(failing.hosts).toEqual([2, 1]);
    expect(extra.stopReason).toBe(`was given up: ${error.message}`);
    expect(events).toEqual([]);
    // not again at once
    await noneStarts();
    clock.pass(61);
    expect((await startExtra()).number).toBe(3);
  });

  test('because it was given up is not done again', async () => {
    const extra = await startExtra();
    const first = new Work();
    const aborted = new Work(() => {
      throw new AgentError('ERR_ABORTED', 'given up');
    });
    await expect(aborted.finish()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await first.finish();
    expect(aborted.hosts).toEqual([2]);
    expect(extra.isAlive).toBe(true);
  });

  test('a process that died without work gets none', async () => {
    const extra = await startExtra();
    extra.isAlive = false;
    const works = crowd(4);
    await finishAll(works);
    expect(hostsOf(works)).toEqual([1, 1, 1, 1]);
  });
});

describe('when the first session', () => {
  test('has to be opened anew, the further ones end, and their work is done in it', async () => {
    const extra = await startExtra();
    const works = [
      new Work(),
      new Work((at) => {
        if (!at.host.isAlive) throw new AgentError('ERR_MODULE_DIED', 'it was stopped');
      }),
    ] as const;
    modules.fail('sign', ckr('CKR_DEVICE_ERROR', 'C_Sign'), 1);
    await user.run((at) => at.host.sign({ session: at.session, key: '', mechanism: { type: 1 } }, Buffer.from('data')));
    expect(extra.isAlive).toBe(false);
    expect(extra.stopReason).toBeUndefined();
    await finishAll(works);
    expect(works[1].hosts).toEqual([2, 1]);
  });

  test('is closed, they end, also one that is just logging in', async () => {
    const extra = await startExtra();
    await user[Symbol.asyncDispose]();
    expect(extra.isAlive).toBe(false);

    await open();
    let login = (): void => undefined;
    modules.onLogin = () => new Promise<void>((resolve) => (login = resolve));
    const works = crowd(18);
    await eventually(() => modules.pins.length).toBe(2);
    const closing = user[Symbol.asyncDispose]();
    const [starting] = modules.furtherHosts;
    // not in the middle of its login
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(starting?.isAlive).toBe(true);
    login();
    await closing;
    expect(starting?.isAlive).toBe(false);
    await finishAll(works);
  });
});
