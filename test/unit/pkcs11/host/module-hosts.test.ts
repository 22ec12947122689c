import { beforeEach, describe, expect, test } from 'vitest';
import { ModuleHosts } from '../../../../src/pkcs11/host/module-hosts.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { PATH, settle } from '../fake-modules.ts';
import { fakeSpawn, type FakeProcess } from './fake-process.ts';

let hosts: ModuleHosts;
let processes: FakeProcess[];

beforeEach(() => {
  renew();
});

function renew(): void {
  const fake = fakeSpawn();
  processes = fake.processes;
  const { spawn } = fake;
  const clock = new FakeClock();
  hosts = new ModuleHosts({ execPath: '/node', environment: {}, deadline: 1_000, spawn, clock, most: 3 });
}

/** The latest process starts, and answers its load. */
async function loads(): Promise<void> {
  processes.at(-1)?.start();
  await settle();
  processes.at(-1)?.answer(null);
  await settle();
}

describe('the host of a module', () => {
  test('is one for all that want it', async () => {
    const both = Promise.all([hosts.get(PATH), hosts.get(PATH)]);
    await loads();
    const [one, other] = await both;
    expect(one).toBe(other);
    expect(await hosts.get(PATH)).toBe(one);
    expect(processes).toHaveLength(1);
  });

  test('is another one for another module', async () => {
    const first = hosts.get(PATH);
    await loads();
    const second = hosts.get('/other.so');
    await loads();
    expect((await first).modulePath).toBe(PATH);
    expect((await second).modulePath).toBe('/other.so');
  });

  test("in a further process is nobody else's, and there are so many at most", async () => {
    const first = hosts.get(PATH);
    await loads();
    const second = hosts.another(PATH);
    await loads();
    const third = hosts.another(PATH);
    await loads();
    const all = [await first, await second, await third];
    expect(new Set(all).size).toBe(3);
    expect(await hosts.get(PATH)).toBe(all[0]);
    expect(await hosts.another(PATH)).toBeUndefined();
    // of another module, or when one has ended
    const other = hosts.another('/other.so');
    await loads();
    expect((await other)?.modulePath).toBe('/other.so');
    processes[1]?.exit(null, 'SIGKILL');
    const next = hosts.another(PATH);
    await loads();
    expect((await next)?.isAlive).toBe(true);
    expect(processes).toHaveLength(5);
    const disposed = hosts[Symbol.asyncDispose]();
    await settle();
    const living = processes.filter((_, index) => index !== 1);
    for (const process of living) process.answer(null);
    await disposed;
    expect(living.map(({ signals }) => signals)).toEqual(living.map(() => ['SIGKILL']));
    await expect(hosts.another(PATH)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  test('that is replaced, and waits for a login, ends with all', async () => {
    const secret = new Secret('1234');
    for (const start of [() => hosts.get(PATH), () => hosts.another(PATH)]) {
      const starting = start();
      await loads();
      const old = await starting;
      const login = expect(old?.login('session', secret)).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
      const stopping = old?.stop('was replaced: no reason');
      const begun = processes.length;
      const next = start();
      await loads();
      expect((await next)?.isAlive).toBe(true);
      const disposed = hosts[Symbol.asyncDispose]();
      await settle();
      expect(processes[begun - 1]?.signals).toContain('SIGKILL');
      await Promise.all([login, stopping]);
      for (const process of processes.slice(begun)) if (process.asked.length > 0) process.answer(null);
      await disposed;
      renew();
    }
  });

  test('that died is replaced when it is wanted', async () => {
    const first = hosts.get(PATH);
    await loads();
    processes[0]?.exit(null, 'SIGKILL');
    expect(processes).toHaveLength(1);
    const second = hosts.get(PATH);
    await loads();
    expect(await second).not.toBe(await first);
  });

  test('whose module does not load is ended, and the next one tries anew', async () => {
    const first = hosts.get(PATH).catch((error: unknown) => error);
    processes[0]?.start();
    await settle();
    processes[0]?.reply({ id: 1, failure: { kind: 'load', text: 'no such file' } });
    expect(await first).toMatchObject({ code: 'ERR_MODULE_LOAD' });
    expect(processes[0]?.signals).toEqual(['SIGKILL']);
    const second = hosts.get(PATH);
    await loads();
    await second;
  });

  test('that a signal ended before it could ignore it is started again', async () => {
    const host = hosts.get(PATH);
    processes[0]?.exit(null, 'SIGHUP');
    await settle();
    processes[1]?.exit(null, 'SIGTERM');
    await settle();
    await loads();
    expect((await host).isAlive).toBe(true);
    expect(processes).toHaveLength(3);
  });

  test('that crashed while it loaded is not', async () => {
    const host = hosts.get(PATH).catch((error: unknown) => error);
    processes[0]?.exit(null, 'SIGSEGV');
    expect(await host).toMatchObject({ code: 'ERR_MODULE_DIED' });
    expect(processes).toHaveLength(1);
  });
});

test('disposing ends them all, and no other is started', async () => {
  const host = hosts.get(PATH);
  await loads();
  const disposing = hosts[Symbol.asyncDispose]();
  await settle();
  processes[0]?.answer(null);
  await disposing;
  expect((await host).isAlive).toBe(false);
  await expect(hosts.get(PATH)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});
