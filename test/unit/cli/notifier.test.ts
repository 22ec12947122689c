import { expect, test } from 'vitest';
import { Notifier } from '../../../src/cli/notifier.ts';
import { takeServiceVariables } from '../../../src/cli/service-variables.ts';
import { FakeClock } from '../agent/fake-clock.ts';

function told(send?: () => Promise<void>) {
  const messages: string[][] = [];
  const warnings: string[] = [];
  const clock = new FakeClock();
  const is = { status: '1 tunnel' };
  const notifier = new Notifier({
    clock,
    status: () => is.status,
    send: async (message) => {
      messages.push([...message]);
      await send?.();
    },
    warn: (text) => warnings.push(text),
  });
  return { messages, warnings, clock, notifier, is };
}

test('tells of the start, a reload and the stop in their order', async () => {
  const { messages, notifier, clock, is } = told();
  is.status = '1 tunnel,\n0 connected';
  notifier.changed();
  notifier.reloading();
  notifier.reloaded();
  notifier.ready();
  notifier.ready();
  notifier.reloading();
  notifier.reloaded();
  notifier.stopping('why');
  notifier.stopping();
  notifier.ready();
  is.status = 'never';
  notifier.changed();
  clock.pass(5);
  await notifier.told();
  expect(messages).toEqual([
    ['READY=1', 'STATUS=1 tunnel, 0 connected'],
    ['RELOADING=1', expect.stringMatching(/^MONOTONIC_USEC=\d+$/)],
    ['READY=1'],
    ['STOPPING=1', 'STATUS=why'],
  ]);
});

test('tells the last of many texts, a moment later', async () => {
  const { messages, notifier, clock, is } = told();
  for (let text = 0; text < 5_000; text += 1) {
    is.status = `${text}`;
    notifier.changed();
  }
  clock.pass(1);
  await new Promise(setImmediate);
  is.status = 'last';
  notifier.changed();
  clock.pass(1);
  // another event that changes nothing of it
  notifier.changed();
  clock.pass(9);
  await notifier.told();
  expect(messages).toEqual([['STATUS=4999'], ['STATUS=last']]);
});

test('pings in half of the time, and not while a ping is on its way', async () => {
  let end = (): void => undefined;
  const sent = new Promise<void>((resolve) => (end = resolve));
  const { messages, notifier, clock } = told(() => sent);
  notifier.watch(60_000_000);
  clock.pass(90);
  await Promise.resolve();
  expect(messages).toEqual([['WATCHDOG=1']]);
  end();
  await notifier.told();
  await new Promise(setImmediate);
  clock.pass(29);
  await notifier.told();
  expect(messages).toHaveLength(1);
  clock.pass(1);
  await notifier.told();
  expect(messages).toEqual([['WATCHDOG=1'], ['WATCHDOG=1']]);
});

test('a manager that reads nothing holds up neither memory nor the end', async () => {
  let end = (): void => undefined;
  const sent = new Promise<void>((resolve) => (end = resolve));
  const { messages, notifier, clock, is } = told(() => sent);
  notifier.ready();
  for (let text = 0; text < 100; text += 1) {
    is.status = `${text}`;
    notifier.changed();
    clock.pass(2);
  }
  let isOver = false;
  const last = notifier.told(5_000).then(() => (isOver = true));
  clock.pass(4);
  await new Promise(setImmediate);
  expect(isOver).toBe(false);
  clock.pass(1);
  await last;
  end();
  await notifier.told();
  await new Promise(setImmediate);
  await notifier.told();
  expect(messages).toEqual([['READY=1', 'STATUS=1 tunnel'], ['STATUS=99']]);
});

test('warns once that nobody can be told', async () => {
  const { warnings, notifier } = told(() => Promise.reject(new Error('ENOENT')));
  notifier.ready();
  notifier.stopping();
  await notifier.told();
  expect(warnings).toEqual(["the service manager can't be told how pksigd is: ENOENT"]);
});

test("takes a service manager's variables, and leaves none to others", () => {
  const environment = { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7', PATH: '/bin' };
  expect(takeServiceVariables({ ...environment }, 7)).toEqual({
    notifySocket: '/run/notify',
    watchdogUsec: 60_000_000,
  });
  expect(takeServiceVariables(environment, 8)).toEqual({ notifySocket: '/run/notify' });
  expect(environment).toEqual({ PATH: '/bin' });
  expect(takeServiceVariables({ NOTIFY_SOCKET: '', WATCHDOG_USEC: 'x' }, 8)).toEqual({});
});

test('sockets are those of this process', () => {
  const environment = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'office', PATH: '/bin' };
  const sockets = [
    { fd: 3, name: 'office' },
    { fd: 4, name: '' },
  ];
  expect(takeServiceVariables({ ...environment }, 7)).toEqual({ sockets });
  expect(takeServiceVariables(environment, 8)).toEqual({});
  expect(environment).toEqual({ PATH: '/bin' });
  for (const count of ['0', '-1', 'x', ''])
    expect(takeServiceVariables({ LISTEN_PID: '7', LISTEN_FDS: count }, 7)).toEqual({});
});
