import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, test } from 'vitest';
import { NotSent } from '../../../../src/errors.ts';
import { encodeFrame } from '../../../../src/pkcs11/host/frames.ts';
import type { Spawn } from '../../../../src/pkcs11/host/launch.ts';
import { ModuleHost } from '../../../../src/pkcs11/host/module-host.ts';
import type { ModuleHostEvent, ModuleHostOptions } from '../../../../src/pkcs11/host/options.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { PATH, settle } from '../fake-modules.ts';
import { fakeSpawn, type FakeProcess } from './fake-process.ts';

const SIGN = { session: 's', key: 'k', mechanism: { type: 1 } };

let clock: FakeClock;
let events: ModuleHostEvent[];
let host: ModuleHost;
let child: FakeProcess;
let environment: NodeJS.ProcessEnv | undefined;

function start(options: Partial<ModuleHostOptions> = {}): ModuleHost {
  const { spawn, processes, options: given } = fakeSpawn();
  const made = new ModuleHost(PATH, {
    execPath: '/node',
    environment: { HOME: '/home', NODE_OPTIONS: '--inspect' },
    deadline: 10_000,
    spawn,
    clock,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const [process] = processes;
  if (process) child = process;
  environment = given[0]?.env;
  return made;
}

beforeEach(() => {
  clock = new FakeClock();
  events = [];
  host = start();
});

/** How a call ends: its result, or its error and whether the module got it. */
function outcome(call: Promise<unknown>): () => Promise<unknown> {
  const settled = call.then(
    (result) => ({ result }),
    (error: unknown) => ({
      code: (error as { code?: string }).code,
      message: (error as Error).message,
      sent: !(error instanceof NotSent),
    }),
  );
  return async () => {
    await settle();
    return await Promise.race([settled, Promise.resolve('nothing yet')]);
  };
}

const tokens = (): (() => Promise<unknown>) => outcome(host.call('tokens', {}));

async function started(): Promise<void> {
  child.start();
  await settle();
}

describe('calls', () => {
  test('wait for the start, and for each other', async () => {
    const first = tokens();
    const second = outcome(host.call('mechanisms', { slot: '00' }));
    await settle();
    expect(child.asked).toEqual([]);
    await started();
    expect(child.asked).toEqual(['tokens']);
    child.answer('one');
    expect(await first()).toEqual({ result: 'one' });
    expect(child.asked).toEqual(['mechanisms']);
    expect(await second()).toBe('nothing yet');
    child.answer('two');
    expect(await second()).toEqual({ result: 'two' });
  });

  test('are answered from frames that come byte by byte, or two at once', async () => {
    await started();
    const first = outcome(host.sign(SIGN, Buffer.from('data')));
    const second = tokens();
    await settle();
    for (const byte of encodeFrame({ id: 1, result: null }, Buffer.from('signature'))) child.send(Buffer.of(byte));
    expect(await first()).toEqual({ result: Buffer.from('signature') });
    const third = outcome(host.call('finalize', {}));
    child.send(Buffer.concat([encodeFrame({ id: 2, result: 2 }), encodeFrame({ id: 3, result: 3 })]));
    expect([await second(), await third()]).toEqual([{ result: 2 }, { result: 3 }]);
  });

  test('fail with what the module returned', async () => {
    await started();
    const call = tokens();
    await settle();
    child.reply({ id: 1, failure: { kind: 'ckr', ckr: 'CKR_DEVICE_REMOVED', code: 0x32, function: 'C_GetSlotList' } });
    expect(await call()).toEqual({
      code: 'ERR_TOKEN_ABSENT',
      message: 'C_GetSlotList returned CKR_DEVICE_REMOVED',
      sent: true,
    });
    expect(host.isAlive).toBe(true);
  });

  test('that wait can be given up; the one under way can not', async () => {
    await started();
    const controller = new AbortController();
    const { signal } = controller;
    const first = outcome(host.sign(SIGN, Buffer.from('1'), { signal }));
    const second = outcome(host.sign(SIGN, Buffer.from('2'), { signal }));
    const third = tokens();
    await settle();
    controller.abort();
    expect(await second()).toMatchObject({ code: 'ERR_ABORTED', sent: false });
    expect(await outcome(host.sign(SIGN, Buffer.from('3'), { signal }))()).toMatchObject({ code: 'ERR_ABORTED' });
    child.answer(null, Buffer.from('one'));
    expect(await first()).toEqual({ result: Buffer.from('one') });
    expect(child.asked).toEqual(['tokens']);
    expect(await third()).toBe('nothing yet');
  });

  test('that initialize the module anew make all before void', () => {
    const { epoch } = host;
    host.call('reinitialize', {}).catch(() => undefined);
    expect(host.epoch).not.toBe(epoch);
  });
});

describe('a PIN', () => {
  test('goes as bytes, and its frame is zeroed', async () => {
    await started();
    const login = outcome(host.login('s', new Secret('1234')));
    await settle();
    expect(child.requests[0]).toMatchObject({ request: { call: 'login', params: { session: 's' } }, payload: '1234' });
    expect(child.written.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
    child.answer(true);
    expect(await login()).toEqual({ result: true });
  });

  test('tells when the module begins with it, not when it is queued', async () => {
    await started();
    const begun: string[] = [];
    const note = (what: string) => () => void begun.push(what);
    const first = outcome(host.login('s', new Secret('1234'), 0, note('login')));
    const login = { pin: new Secret('1234'), patience: 0, onLogin: () => undefined, onBegin: note('signature') };
    const second = outcome(host.sign(SIGN, Buffer.from('data'), { login }));
    await settle();
    expect(begun).toEqual(['login']);
    child.answer(true);
    expect(await first()).toEqual({ result: true });
    expect(begun).toEqual(['login', 'signature']);
    child.answer(null, Buffer.from('signature'));
    expect(await second()).toEqual({ result: Buffer.from('signature') });
  });

  test('goes before the data of a signature; that it was accepted is told ahead of the reply', async () => {
    await started();
    const told: string[] = [];
    const login = { pin: new Secret('1234'), patience: 0, onLogin: () => told.push('accepted') };
    const signature = outcome(host.sign(SIGN, Buffer.from('data'), { login }));
    await settle();
    expect(child.requests[0]).toMatchObject({ request: { params: { ...SIGN, pinLength: 4 } }, payload: '1234data' });
    child.reply({ id: 1, loggedIn: true });
    await settle();
    expect(told).toEqual(['accepted']);
    expect(await signature()).toBe('nothing yet');
    child.answer(null, Buffer.from('signature'));
    expect(await signature()).toEqual({ result: Buffer.from('signature') });
  });
});

describe('deadlines', () => {
  test('a call that hangs ends its host; those that waited were not sent', async () => {
    await started();
    const [first, second] = [tokens(), tokens()];
    await settle();
    clock.pass(9.9);
    expect(await first()).toBe('nothing yet');
    clock.pass(0.1);
    expect(await first()).toEqual({
      code: 'ERR_MODULE_TIMEOUT',
      message: `'tokens' took the PKCS#11 module ${PATH} longer than 10000 ms`,
      sent: true,
    });
    expect(await second()).toMatchObject({ code: 'ERR_MODULE_DIED', sent: false });
    expect(child.signals).toEqual(['SIGKILL']);
    expect(host.isAlive).toBe(false);
    expect(events.at(-1)).toMatchObject({
      type: 'ended',
      reason: 'passed its deadline and was killed',
      expected: false,
    });
  });

  test('each counts from when the module begins with the call', async () => {
    await started();
    const [first, second] = [tokens(), tokens()];
    clock.pass(9);
    child.answer(1);
    expect(await first()).toEqual({ result: 1 });
    clock.pass(9);
    child.answer(2);
    expect(await second()).toEqual({ result: 2 });
    clock.pass(1_000);
    await settle();
    expect(host.isAlive).toBe(true);
  });

  test('a reply that was there already counts', async () => {
    await started();
    const call = tokens();
    await settle();
    clock.pass(10);
    child.answer(1); // before the turn in which the deadline is looked at
    expect(await call()).toEqual({ result: 1 });
    expect(host.isAlive).toBe(true);
  });

  test('making a key pair has ten minutes: a card looks for primes', async () => {
    await started();
    const params = { session: 's', mechanism: 0, publicKey: {}, privateKey: {} };
    const making = outcome(host.call('generateKeyPair', params));
    await settle();
    clock.pass(599.9);
    expect(await making()).toBe('nothing yet');
    clock.pass(0.1);
    expect(await making()).toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
  });

  test('a call may have less, and a login more', async () => {
    await started();
    const login = outcome(host.login('s', new Secret('1234'), 120_000));
    await settle();
    clock.pass(119);
    child.answer(true);
    expect(await login()).toEqual({ result: true });
    const look = outcome(host.call('tokens', {}, 5_000));
    await settle();
    clock.pass(5);
    expect(await look()).toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
  });

  test('the start has a minute of its own', async () => {
    const call = tokens();
    clock.pass(59);
    expect(await call()).toBe('nothing yet');
    clock.pass(1);
    expect(await call()).toEqual({
      code: 'ERR_MODULE_TIMEOUT',
      message: `the host of the PKCS#11 module ${PATH} took longer to start than 60000 ms`,
      sent: false,
    });
  });
});

describe('a process that ends', () => {
  test('fails the call under way, and sends no other', async () => {
    await started();
    const [first, second] = [tokens(), tokens()];
    await settle();
    child.exit(null, 'SIGSEGV');
    const message = `the host of the PKCS#11 module ${PATH} was killed by SIGSEGV`;
    expect(await first()).toEqual({ code: 'ERR_MODULE_DIED', message, sent: true });
    expect(await second()).toEqual({ code: 'ERR_MODULE_DIED', message, sent: false });
    expect(await tokens()()).toEqual({ code: 'ERR_MODULE_DIED', message, sent: false });
    expect(events.map(({ type }) => type)).toEqual(['started', 'ended']);
    expect(host.wasCaughtStarting).toBe(false);
  });

  test('before it takes calls was sent none', async () => {
    const call = tokens();
    child.exit(7);
    expect(await call()).toMatchObject({ message: expect.stringContaining('exited with status 7'), sent: false });
  });

  test('by a signal that it ignores as soon as it runs was caught starting', () => {
    child.exit(null, 'SIGHUP');
    expect(host.wasCaughtStarting).toBe(true);
  });

  test.each([
    ['garbage', Buffer.alloc(64, 0xff)],
    ['a reply to nothing', encodeFrame({ id: 99, result: null })],
    ['what is not JSON', Buffer.concat([Buffer.from([0, 0, 0, 6, 0, 0, 0, 2]), Buffer.from('{x')])],
  ])('is killed for %s', async (_, bytes) => {
    await started();
    const call = tokens();
    await settle();
    child.send(bytes);
    expect(await call()).toMatchObject({ code: 'ERR_MODULE_DIED', sent: true });
    expect(child.signals).toEqual(['SIGKILL']);
    expect(events.at(-1)).toMatchObject({ reason: 'sent garbage and was killed' });
  });
});

describe('a process that can not be started', () => {
  const child = (parts: object = {}): ChildProcess =>
    Object.assign(new EventEmitter(), parts) as unknown as ChildProcess;

  test('for want of descriptors: it has no pipes, and says so later', async () => {
    const process = child();
    host = start({ spawn: () => process });
    const call = tokens();
    expect(await call()).toBe('nothing yet');
    process.emit('error', new Error('spawn /bin/sh EMFILE'));
    expect(await call()).toMatchObject({
      code: 'ERR_MODULE_DIED',
      message: `the host of the PKCS#11 module ${PATH} could not be started: spawn /bin/sh EMFILE`,
      sent: false,
    });
    expect(host.isAlive).toBe(false);
  });

  test.each<[string, Spawn, string]>([
    [
      'spawn throws',
      () => {
        throw new Error('spawn EAGAIN');
      },
      'spawn EAGAIN',
    ],
    ['it has other pipes', () => child({ stdio: [null, null, null], kill: () => true }), 'no pipes'],
  ])('%s', async (_, spawn, message) => {
    events = [];
    host = start({ spawn });
    expect(await tokens()()).toMatchObject({ message: expect.stringContaining(message), sent: false });
    expect(events).toEqual([]);
  });
});

describe('stopping', () => {
  test('takes no calls any more: a PIN that is sent now would be cut off', async () => {
    await started();
    const stopping = host.stop();
    await settle();
    const login = outcome(host.login('session', new Secret('1234')));
    expect(await login()).toMatchObject({ code: 'ERR_MODULE_DIED', sent: false });
    child.answer(null);
    await stopping;
    expect(child.asked).toEqual([]);
  });

  test('lets the module finalize', async () => {
    await started();
    const stopping = host.stop();
    await settle();
    expect(child.asked).toEqual(['finalize']);
    expect(host.isAlive).toBe(false);
    child.answer(null);
    await stopping;
    expect(child.signals).toEqual(['SIGKILL']);
    expect(events.at(-1)).toMatchObject({ type: 'ended', reason: 'was stopped', expected: true });
  });

  test('waits half a second for that', async () => {
    await started();
    const stopping = host.stop('was replaced: it hangs');
    await settle();
    clock.pass(0.5);
    await stopping;
    expect(child.signals).toContain('SIGKILL');
  });

  test('ends what is under way at once', async () => {
    await started();
    const call = tokens();
    await settle();
    await host.stop('was replaced: no reason');
    expect(await call()).toMatchObject({ code: 'ERR_MODULE_DIED', sent: true });
    expect(child.asked).toEqual(['tokens']);
    expect(events.at(-1)).toMatchObject({ reason: 'was replaced: no reason', expected: false });
  });
});

test('the process gets no NODE_OPTIONS', () => {
  expect(environment).toEqual({ HOME: '/home' });
});
