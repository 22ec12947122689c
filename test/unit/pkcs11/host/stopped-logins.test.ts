// A host that is replaced has logins of other tokens in it: one that is cut short counts as a try.
import { beforeEach, expect, test } from 'vitest';
import { ModuleHost } from '../../../../src/pkcs11/host/module-host.ts';
import type { ModuleHostEvent } from '../../../../src/pkcs11/host/options.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { PATH, settle } from '../fake-modules.ts';
import { fakeSpawn, type FakeProcess } from './fake-process.ts';

const SIGN = { session: 's', key: 'k', mechanism: { type: 1 } };

let clock: FakeClock;
let events: ModuleHostEvent[];
let host: ModuleHost;
let child: FakeProcess;

async function start(): Promise<void> {
  const { spawn, processes } = fakeSpawn();
  const onEvent = (event: ModuleHostEvent): void => void events.push(event);
  host = new ModuleHost(PATH, { execPath: '/node', environment: {}, deadline: 10_000, spawn, clock, onEvent });
  const [process] = processes;
  if (process) child = process;
  child.start();
  await settle();
}

beforeEach(async () => {
  clock = new FakeClock();
  events = [];
  await start();
});

/** How something ends, as soon as it does. */
function outcome(work: Promise<unknown>): () => Promise<unknown> {
  const settled = work.then(
    (result) => ({ result }),
    (error: unknown) => ({ code: (error as { code?: string }).code }),
  );
  return async () => {
    await settle();
    return await Promise.race([settled, Promise.resolve('nothing yet')]);
  };
}

test('waits for logins that it would cut short: they may be of another token', async () => {
  const logins = [outcome(host.login('one', new Secret('1234'))), outcome(host.login('two', new Secret('1234')))];
  const behind = outcome(host.call('tokens', {}));
  await settle();
  const stopping = outcome(host.stop('was replaced: no reason'));
  expect(host.isAlive).toBe(false);
  for (const login of logins) {
    expect(await stopping()).toBe('nothing yet');
    child.answer(true);
    expect(await login()).toEqual({ result: true });
  }
  await stopping();
  expect(await behind()).toMatchObject({ code: 'ERR_MODULE_DIED' });
  expect(events.at(-1)).toMatchObject({ reason: 'was replaced: no reason', expected: false });
});

test('waits for the login of a signature, and not for the signature', async () => {
  const login = { pin: new Secret('1234'), patience: 0, onLogin: () => undefined };
  const signing = outcome(host.sign(SIGN, Buffer.from('data'), { login }));
  await settle();
  const stopping = outcome(host.stop('was replaced: no reason'));
  expect(await stopping()).toBe('nothing yet');
  child.reply({ id: 1, loggedIn: true });
  expect(await stopping()).toEqual({ result: undefined });
  expect(await signing()).toMatchObject({ code: 'ERR_MODULE_DIED' });
});

test('waits for no login that passes its deadline, nor at the end of all', async () => {
  const login = outcome(host.login('session', new Secret('1234')));
  await settle();
  const stopping = outcome(host.stop('was replaced: no reason'));
  clock.pass(10);
  expect(await login()).toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
  await stopping();
  await start();
  const other = outcome(host.login('session', new Secret('1234')));
  await settle();
  await host.stop(undefined, 'at once');
  expect(await other()).toEqual({ code: 'ERR_MODULE_DIED' });
});
