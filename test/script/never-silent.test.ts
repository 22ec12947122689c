import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import type { LogLine, Pksigd } from '../support/pksigd.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\n";

/** Listens as a daemon does, and does with each connection what the test says. */
async function listening(bench: Bench, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(bench.path('management'), resolve));
  return server;
}

/** pksigd, which says nothing below warnings. */
async function running(bench: Bench, ...more: readonly string[]): Promise<Pksigd> {
  const place = [bench.path('management'), 'unix', ...more];
  return await bench.pksigd([
    ...['run', '--management', ...place, '--key', bench.key('p256', 'file'), '--log-level', 'warn'],
  ]);
}

/** Waits for the `times`-th line of the log. */
async function line(pksigd: Pksigd, times: number): Promise<LogLine> {
  return await pksigd.until(`${times} lines of the log`, () => pksigd.log[times - 1]);
}

describe.concurrent('whatever keeps a daemon from being served is told, with its cure, again and again', () => {
  test('a seat that another client has', async ({ bench }) => {
    const sockets: Socket[] = [];
    const server = await listening(bench, (socket) => sockets.push(socket));
    const pksigd = await running(bench);
    for (const times of [1, 2, 3]) {
      expect(await line(pksigd, times)).toMatchObject({
        level: 'warn',
        msg: expect.stringContaining('only seat') as string,
        hint: expect.stringContaining('--relay') as string,
      });
    }
    // it waits in the backlog on one connection: the seat may become free
    expect(sockets).toHaveLength(1);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test('a daemon that is not there', async ({ bench }) => {
    const pksigd = await running(bench);
    for (const times of [1, 2]) {
      expect(await line(pksigd, times)).toMatchObject({
        level: 'warn',
        code: 'ERR_MANAGEMENT_CONNECT',
        error: expect.stringContaining('is OpenVPN running') as string,
      });
    }
  });

  test.for([
    ['a password that none was set for', 'ENTER PASSWORD:', 'ERR_MANAGEMENT_PASSWORD'],
    ['something else than OpenVPN', 'SSH-2.0-OpenSSH_9.2\r\n', 'ERR_MANAGEMENT_PROTOCOL'],
  ] as const)('%s needs a person: an error, at once', async ([, greeting, code], { bench }) => {
    const server = await listening(bench, (socket) => socket.write(greeting));
    const pksigd = await running(bench);
    for (const times of [1, 2]) expect(await line(pksigd, times)).toMatchObject({ level: 'error', code });
    server.close();
  });

  test('a wrong password needs a person, and is served when it is right', async ({ bench }) => {
    const file = await bench.write('password', 'wrong\n');
    let serve = (): void => undefined;
    const served = new Promise<void>((resolve) => (serve = resolve));
    const server = await listening(bench, (socket) => {
      socket.write('ENTER PASSWORD:');
      socket.on('data', (chunk) => {
        const isRight = chunk.toString().startsWith('right\n');
        socket.write(isRight ? `SUCCESS: password is correct\n${GREETING}` : 'ENTER PASSWORD:');
        if (isRight) serve();
      });
    });
    const pksigd = await running(bench, file);
    expect(await line(pksigd, 1)).toMatchObject({ level: 'error', code: 'ERR_MANAGEMENT_PASSWORD' });
    await bench.write('password', 'right\n');
    await served;
    server.close();
  });

  test('a password file that is not there', async ({ bench }) => {
    const pksigd = await running(bench, bench.path('nothing'));
    for (const times of [1, 2]) {
      expect(await line(pksigd, times)).toMatchObject({
        level: 'error',
        error: expect.stringContaining('nothing') as string,
      });
    }
  });

  test('something that is not a socket', async ({ bench }) => {
    await bench.write('management', '');
    await chmod(bench.path('management'), 0o666);
    const pksigd = await running(bench);
    // Linux says ECONNREFUSED for a file, and has no other word for it
    expect(await line(pksigd, 1)).toMatchObject({ code: 'ERR_MANAGEMENT_CONNECT' });
  });

  test('a daemon that closes before it greets', async ({ bench }) => {
    const server = await listening(bench, (socket) => socket.destroy());
    const pksigd = await running(bench);
    expect(await line(pksigd, 1)).toMatchObject({
      level: 'error',
      hint: expect.stringContaining('management-client-user') as string,
    });
    server.close();
  });

  test('a daemon that greets, and goes, and greets', async ({ bench }) => {
    const server = await listening(bench, (socket) => socket.end(GREETING));
    const pksigd = await running(bench);
    expect(await line(pksigd, 1)).toMatchObject({
      level: 'warn',
      msg: expect.stringContaining('does not last') as string,
    });
    server.close();
  });

  test('--management-client, and nobody connects', async ({ bench }) => {
    const pksigd = await running(bench, '--management-client');
    for (const times of [1, 2]) {
      expect(await line(pksigd, times)).toMatchObject({
        level: 'warn',
        msg: 'no daemon is connected',
        hint: expect.stringContaining('--management-client') as string,
      });
    }
  });
});
