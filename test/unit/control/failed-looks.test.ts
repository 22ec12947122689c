import type * as Fs from 'node:fs';
import type * as FsPromises from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ControlClient, controlSocketsIn } from '../../../src/control/client.ts';
import { listenInFolder } from '../../../src/control/place.ts';
import { FAILING } from '../../support/failing-calls.ts';

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  const { unlessFailingSync } = await import('../../support/failing-calls.ts');
  return {
    ...fs,
    lstatSync: unlessFailingSync((path: string) => fs.lstatSync(path)),
    mkdirSync: (path: string) => {
      unlessFailingSync((at: string) => at)(`mkdir ${path}`);
      fs.mkdirSync(path);
    },
    readdirSync: unlessFailingSync((path: string) => fs.readdirSync(path)),
  };
});
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../support/failing-calls.ts');
  return { ...fs, lstat: unlessFailing(fs.lstat) };
});

let folder: string;
let path: string;
let server: Server;
let connections: number;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-control-'));
  path = join(folder, 'control.sock');
  connections = 0;
  server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterEach(() => {
  FAILING.clear();
  server.close();
  rmSync(folder, { recursive: true });
});

test.each(['EACCES', 'ELOOP', 'EIO', 'ENOMEM'])(
  'a socket is not used where who could have put it there can not be looked at (%s)',
  async (code) => {
    for (const at of [path, folder]) {
      FAILING.clear();
      FAILING.set(at, code);
      await expect(ControlClient.open(path)).rejects.toMatchObject({ code: 'ERR_CONTROL_CONNECT' });
    }
    FAILING.clear();
    using client = await ControlClient.open(path);
    await expect(client.request({ command: 'status' })).rejects.toThrow();
    expect(connections).toBe(1);
  },
);

test.each(['EACCES', 'EMFILE', 'EIO'])('a folder that can not be read (%s) is not one without sockets', (code) => {
  expect(controlSocketsIn(folder)).toEqual([path]);
  expect(controlSocketsIn(join(folder, 'none'))).toEqual([]);
  FAILING.set(folder, code);
  expect(() => controlSocketsIn(folder)).toThrow(expect.objectContaining({ hint: expect.stringContaining(code) }));
});

test('why a folder for sockets can not be made is told', async () => {
  const listen = (): Promise<unknown> =>
    listenInFolder({ XDG_RUNTIME_DIR: folder }, process.geteuid?.() ?? 0, { actions: {} as never });
  FAILING.set(`mkdir ${join(folder, 'pksigd')}`, 'ENOSPC');
  await expect(listen()).rejects.toMatchObject({
    code: 'ERR_MANAGEMENT_LISTEN',
    message: expect.stringContaining('ENOSPC'),
  });
});
