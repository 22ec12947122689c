import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ControlClient, controlSocketsIn } from '../../../src/control/client.ts';
import { controlFolder, listenInFolder } from '../../../src/control/place.ts';
import { MAX_REQUEST, readResult } from '../../../src/control/protocol.ts';
import { ControlServer, type ControlActions } from '../../../src/control/server.ts';
import { AgentError } from '../../../src/errors.ts';
import { withResolvers } from '../../../src/promises.ts';
import { FakeClock } from '../agent/fake-clock.ts';

const SELF = process.geteuid?.() ?? 0;

let folder: string;
let done: string[];
const open: AsyncDisposable[] = [];

const actions: ControlActions = {
  status: () => ({ tunnels: ['ä'] }),
  forget: () => Promise.resolve({ tokens: 1 }),
  lock: (passphrase) => {
    done.push(`lock ${passphrase?.reveal() ?? 'without'}`);
    return Promise.resolve();
  },
  unlock: () => Promise.reject(new AgentError('ERR_PASSPHRASE_INCORRECT', 'wrong')),
  reload: () => Promise.reject(new TypeError('broken')),
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-control-'));
  done = [];
});
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function server(group?: number): Promise<string> {
  const control = await ControlServer.listen({ path: join(folder, 'c.sock'), group, actions });
  open.push(control);
  return control.path;
}

async function client(path: string): Promise<ControlClient> {
  return await ControlClient.open(path);
}

/** A socket of our own, and all that comes from it until it ends. */
async function raw(path: string): Promise<{ socket: Socket; all: Promise<string> }> {
  const socket = connect({ path });
  await once(socket, 'connect');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => undefined);
  return { socket, all: once(socket, 'close').then(() => text) };
}

test('a server that retires answers what it was asked, and no more', async () => {
  let finish = (): void => undefined;
  const forgetting = new Promise<{ tokens: number }>((resolve) => {
    finish = () => {
      resolve({ tokens: 7 });
    };
  });
  let isAsked = (): void => undefined;
  const asked = new Promise<void>((resolve) => (isAsked = resolve));
  const control = await ControlServer.listen({
    path: join(folder, 'r.sock'),
    actions: {
      ...actions,
      forget: () => {
        isAsked();
        return forgetting;
      },
    },
  });
  open.push(control);
  const [idle, busy] = [await raw(control.path), await raw(control.path)];
  const request = '{"version":1,"command":"forget"}\n';
  busy.socket.write(`${request}${request}`);
  await asked;
  control.retire();
  expect(await idle.all).toBe('');
  expect(readdirSync(folder)).toEqual([]);
  finish();
  expect(await busy.all).toBe('{"version":1,"ok":true,"result":{"tokens":7}}\n');
});

test('whoever waits for a reply for minutes is not taken for silent', async () => {
  const clock = new FakeClock();
  const [begun, finished] = [withResolvers(), withResolvers()];
  const forget = async (): Promise<void> => {
    begun.resolve();
    await finished.promise;
  };
  const control = await ControlServer.listen({
    path: join(folder, 'c.sock'),
    clock,
    actions: { ...actions, forget },
  });
  open.push(control);
  using user = await client(control.path);
  const reply = user.request({ command: 'forget' });
  await begun.promise;
  clock.pass(170);
  finished.resolve();
  expect(await reply).toBeNull();
  // and is, without a request
  clock.pass(61);
  await expect(user.request({ command: 'status' })).rejects.toMatchObject({ code: 'ERR_CONTROL_CONNECT' });
});

test('a reply that takes too long is told of in its own words', async () => {
  const forget = async (): Promise<void> => {
    await new Promise<void>(() => undefined);
  };
  const control = await ControlServer.listen({ path: join(folder, 'c.sock'), actions: { ...actions, forget } });
  open.push(control);
  using user = await client(control.path);
  const reply = user.request({ command: 'forget' }, { patience: 1, why: 'it signs' });
  await expect(reply).rejects.toMatchObject({ code: 'ERR_CONTROL_CONNECT', hint: 'it signs' });
});

describe('a path', () => {
  test('that is too long for a socket is said, by both sides: libuv would cut it off', async () => {
    const path = join(folder, 'x'.repeat(108));
    const hint = expect.stringMatching(/a socket's path may have 10\d bytes, this one has 1/) as string;
    await expect(ControlServer.listen({ path, actions })).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_ADDRESS',
      hint,
    });
    expect(readdirSync(folder)).toEqual([]);
    await expect(client(path)).rejects.toMatchObject({ code: 'ERR_CONTROL_CONNECT', hint });
  });

  test('that can not be looked at is an error with a code', async () => {
    symlinkSync('loop', join(folder, 'loop'));
    const path = join(folder, 'loop', 'control.sock');
    await expect(client(path)).rejects.toMatchObject({
      code: 'ERR_CONTROL_CONNECT',
      hint: expect.stringContaining('ELOOP') as string,
    });
    const listening = listenInFolder({ RUNTIME_DIRECTORY: path }, SELF, { actions });
    await expect(listening).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_LISTEN',
      message: expect.stringContaining('ELOOP') as string,
    });
  });
});

describe('a request', () => {
  test('gets its result', async () => {
    using one = await client(await server());
    expect(await one.request({ command: 'status' })).toEqual({ tunnels: ['ä'] });
    expect(await one.request({ command: 'forget' })).toEqual({ tokens: 1 });
  });

  test('may have a passphrase, or none', async () => {
    using one = await client(await server());
    await one.request({ command: 'lock', passphrase: 'säcret' });
    await one.request({ command: 'lock' });
    expect(done).toEqual(['lock säcret', 'lock without']);
  });

  test('that fails gets the code and the text of the error', async () => {
    using one = await client(await server());
    const wrong = { code: 'ERR_PASSPHRASE_INCORRECT', message: 'wrong' };
    await expect(one.request({ command: 'unlock' })).rejects.toMatchObject(wrong);
    await expect(one.request({ command: 'reload' })).rejects.toMatchObject({ message: 'broken' });
    expect(await one.request({ command: 'status' })).toEqual({ tunnels: ['ä'] });
  });

  test.each([
    ['nonsense', 'not JSON'],
    ['7', 'not an object'],
    ['{"version":2,"command":"status"}', '"version"'],
    ['{"version":1,"command":"constructor"}', '"command"'],
    ['{"version":1,"command":"status","passphrase":"x"}', '"passphrase"'],
    ['{"version":1,"command":"lock","passphrase":7}', '"passphrase"'],
    ['{"version":1,"command":"status","more":1}', 'not known'],
  ])('that is none is refused, and not repeated: %s', async (line, why) => {
    const { socket, all } = await raw(await server());
    socket.end(`${line}\n`);
    const reply = JSON.parse(await all) as { ok: boolean; code: string; error: string };
    expect(reply).toMatchObject({ ok: false, code: 'ERR_CONTROL_PROTOCOL' });
    expect(reply.error).toContain(why);
  });

  test('in pieces, and several at once, are answered in order', async () => {
    const { socket, all } = await raw(await server());
    socket.write('{"version":1,"comm');
    socket.end('and":"forget"}\n{"version":1,"command":"status"}\n');
    const replies = (await all).trim().split('\n');
    expect(replies.map((line) => (JSON.parse(line) as { result: unknown }).result)).toEqual([
      { tokens: 1 },
      { tunnels: ['ä'] },
    ]);
  });

  test('that is too long ends the connection', async () => {
    const { socket, all } = await raw(await server());
    socket.write('x'.repeat(MAX_REQUEST + 1));
    expect(await all).toContain('ERR_CONTROL_PROTOCOL');
  });
});

test('more clients than there are places for are turned away; places become free', async () => {
  const path = await server();
  const clients = await Promise.all(Array.from({ length: 16 }, () => client(path)));
  for (const each of clients) await each.request({ command: 'status' });
  using late = await client(path);
  await expect(late.request({ command: 'status' })).rejects.toMatchObject({ code: 'ERR_CONTROL_BUSY' });
  for (const each of clients) each[Symbol.dispose]();
  await expect
    .poll(async () => {
      using next = await client(path);
      return await next.request({ command: 'status' }).catch(() => 'busy');
    })
    .toEqual({ tunnels: ['ä'] });
});

test('who is turned away may still send its request, and reads why', async () => {
  const path = await server();
  const clients = await Promise.all(Array.from({ length: 16 }, () => client(path)));
  for (const each of clients) await each.request({ command: 'status' });
  const socket = connect({ path });
  const errors: unknown[] = [];
  socket.on('error', (error) => errors.push(error));
  await once(socket, 'readable');
  socket.write('{"version":1,"command":"status"}\n');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'close');
  expect({ text, errors }).toEqual({ text: expect.stringContaining('ERR_CONTROL_BUSY') as string, errors: [] });
  for (const each of clients) each[Symbol.dispose]();
});

test('who is turned away and says nothing is gone after two seconds', async () => {
  const clock = new FakeClock();
  const control = await ControlServer.listen({ path: join(folder, 'c.sock'), actions, clock });
  open.push(control);
  const clients = await Promise.all(Array.from({ length: 16 }, () => client(control.path)));
  for (const each of clients) await each.request({ command: 'status' });
  const socket = connect({ path: control.path, allowHalfOpen: true });
  await once(socket.resume(), 'end');
  clock.pass(2);
  socket.write('x');
  await expect(once(socket, 'close')).rejects.toMatchObject({ code: 'EPIPE' });
  for (const each of clients) each[Symbol.dispose]();
});

test('who is turned away is gone, even if it keeps its own side open', async () => {
  const path = await server();
  const clients = await Promise.all(Array.from({ length: 16 }, () => client(path)));
  for (const each of clients) await each.request({ command: 'status' });
  const socket = connect({ path, allowHalfOpen: true });
  const errors: unknown[] = [];
  socket.on('error', (error) => errors.push(error)).resume();
  await once(socket, 'end');
  await expect
    .poll(() => {
      socket.write('x');
      return errors;
    })
    .toMatchObject([{ code: 'EPIPE' }]);
  for (const each of clients) each[Symbol.dispose]();
});

describe('the socket', () => {
  test("is its user's alone, or a group's too", async () => {
    expect(statSync(await server()).mode & 0o777).toBe(0o600);
    await open.splice(0)[0]?.[Symbol.asyncDispose]();
    const path = await server(process.getegid?.() ?? 0);
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  test('that somebody listens on is in use', async () => {
    const path = await server();
    await expect(server()).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_IN_USE',
      line: `can't listen for control commands on ${path}: already in use, another process listens on it`,
    });
  });

  test('is gone with its server', async () => {
    await server();
    await open.splice(0)[0]?.[Symbol.asyncDispose]();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('is not used where everybody could have put it', async () => {
    const path = await server();
    chmodSync(folder, 0o777);
    await expect(client(path)).rejects.toMatchObject({ code: 'ERR_CONTROL_CONNECT' });
  });

  test('that nobody listens on says so', async () => {
    await expect(client(join(folder, 'none'))).rejects.toMatchObject({ hint: 'no such socket: is the agent running?' });
  });
});

describe('without a name of its own', () => {
  const environment = (): NodeJS.ProcessEnv => ({ XDG_RUNTIME_DIR: folder });

  async function listen(): Promise<string | undefined> {
    const control = await listenInFolder(environment(), SELF, { actions });
    if (control) open.push(control);
    return control?.path;
  }

  test('each agent of a folder has the first name that is free', async () => {
    const paths = [await listen(), await listen(), await listen()];
    const names = ['control.sock', 'control-2.sock', 'control-3.sock'];
    expect(paths).toEqual(names.map((name) => join(folder, 'pksigd', name)));
    expect(new Set(controlSocketsIn(join(folder, 'pksigd')))).toEqual(new Set(paths));
    await open.splice(0, 1)[0]?.[Symbol.asyncDispose]();
    expect(await listen()).toBe(join(folder, 'pksigd', 'control.sock'));
  });

  test('a folder that others can write gets none', async () => {
    mkdirSync(join(folder, 'pksigd'));
    chmodSync(join(folder, 'pksigd'), 0o777);
    expect(await listen()).toBeUndefined();
  });

  test("systemd's folder goes before the user's", () => {
    expect(controlFolder({ RUNTIME_DIRECTORY: '/run/a:/run/b', XDG_RUNTIME_DIR: '/run/user/1' })).toBe('/run/a');
    expect(controlFolder({ XDG_RUNTIME_DIR: '/run/user/1' })).toBe('/run/user/1/pksigd');
    expect(controlFolder({})).toBeUndefined();
  });
});

describe('a reply', () => {
  test.for<[line: string, code: string, message: string]>([
    ['{"version":1,"ok":false,"code":"ERR_NEW","error":"no"}', 'ERR_NEW', 'no'],
    ['{"version":1,"ok":false,"code":null,"error":"no"}', 'ERR_CONTROL_PROTOCOL', 'no'],
    ['{"version":1,"ok":false}', 'ERR_CONTROL_PROTOCOL', 'the agent refused, and did not say why'],
    ['{"version":1,"ok":false,"code":5,"error":{}}', 'ERR_CONTROL_PROTOCOL', 'the agent refused, and did not say why'],
    ['{"version":1}', 'ERR_CONTROL_PROTOCOL', "the agent's reply can't be read: is it of another release?"],
    ['{"version":1,"ok":"yes"}', 'ERR_CONTROL_PROTOCOL', "the agent's reply can't be read: is it of another release?"],
    ['[]', 'ERR_CONTROL_PROTOCOL', 'the reply is of another version: is the agent of another release?'],
    ['{', 'ERR_CONTROL_PROTOCOL', 'the reply is not JSON: is it a control socket of pksigd?'],
  ])('%s is an error', ([line, code, message]) => {
    expect(() => readResult(line)).toThrow(expect.objectContaining({ code, message }));
  });
});
