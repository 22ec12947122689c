import { existsSync, rmSync, statSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import { ManagementUser } from '../support/management-user.ts';
import type { Pksigd } from '../support/pksigd.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

function configuration(bench: Bench, agent: string): string {
  const tunnel = '[tunnel.a]\nmanagement = "a.sock unix"\nmanagement-client = true\n';
  return `[key.k]\nkey = "${bench.recipe('p256.pem')}"\n${tunnel}[agent]\n${agent}`;
}

async function run(bench: Bench, agent: string, env: Record<string, string> = {}): Promise<Pksigd> {
  const config = await bench.write('p.toml', configuration(bench, agent));
  const pksigd = await bench.pksigd(['run', '--config', config], { env });
  await pksigd.listening();
  await pksigd.message('key ready');
  return pksigd;
}

async function command(bench: Bench, name: string, control: string): Promise<Pksigd> {
  const child = await bench.pksigd([name, '--control', bench.path(control)]);
  await child.exited;
  return child;
}

async function metrics(bench: Bench, place: string): Promise<string> {
  const socket = connect({ path: bench.path(place) });
  socket.write('GET /metrics HTTP/1.0\r\n\r\n');
  return await textOf(socket);
}

test('a reload moves metrics, which go on counting, and the control socket, which answers first', async ({ bench }) => {
  const at = (name: string): string => `control = "${bench.path(`${name}.sock`)}"\nmetrics = "${name}-m.sock unix"\n`;
  const pksigd = await run(bench, at('one'));
  await expect.poll(() => existsSync(bench.path('one.sock'))).toBe(true);
  const daemon = await FakeDaemon.open(bench.path('a.sock'));
  daemon.say(GREETING);
  daemon.say(REQUEST);
  expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
  daemon.say('SUCCESS: pk-sig command succeeded\r\n');
  await pksigd.signed(1);
  const signed = /pksigd_requests_total\{.*outcome="signed".*\} 1/;
  expect(await metrics(bench, 'one-m.sock')).toMatch(signed);

  await bench.write('p.toml', configuration(bench, at('two')));
  const reload = await command(bench, 'reload', 'one.sock');
  expect(await reload.exited).toBe(0);
  expect(existsSync(bench.path('one.sock'))).toBe(false);
  expect(existsSync(bench.path('one-m.sock'))).toBe(false);
  expect(await metrics(bench, 'two-m.sock')).toMatch(signed);
  const status = await command(bench, 'status', 'two.sock');
  expect(status.stdout.join('\n')).toContain('1 of 1 tunnel connected');

  await bench.write('p.toml', configuration(bench, 'control = "none"\n'));
  pksigd.kill('SIGHUP');
  await pksigd.message('reloaded: 0 added, 0 changed, 0 removed', 2);
  expect(existsSync(bench.path('two.sock'))).toBe(false);
  expect(existsSync(bench.path('two-m.sock'))).toBe(false);
  daemon.close();
});

test('what can not be made is an error, and the rest is reloaded; it is tried again', async ({ bench }) => {
  const good = `control = "${bench.path('c.sock')}"\nmetrics = "m.sock unix"\n`;
  const pksigd = await run(bench, good);
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  const bad = `control = "${bench.path('none/c.sock')}"\nmetrics = "none/m.sock unix"\n`;
  await bench.write('p.toml', `${configuration(bench, bad)}[log]\nlevel = "debug"\n`);
  const reload = await command(bench, 'reload', 'c.sock');
  expect(await reload.exited).toBe(1);
  expect(reload.transcript).toMatch(
    /reloaded, but not all of it: can't serve metrics as .* \(and 1 more: see the log\)/,
  );
  for (const text of ["can't serve metrics as the settings say", "can't listen for pksigd status as the settings say"])
    expect(await pksigd.message(text)).toMatchObject({ level: 'error', code: 'ERR_MANAGEMENT_LISTEN' });
  expect(await metrics(bench, 'm.sock')).toContain('pksigd_');
  await mkdir(bench.path('none'));
  const again = await command(bench, 'reload', 'c.sock');
  expect(await again.exited).toBe(0);
  expect(existsSync(bench.path('none/c.sock'))).toBe(true);
  expect(await metrics(bench, 'none/m.sock')).toContain('pksigd_');
  expect(pksigd.messages('reloaded: 0 added, 0 changed, 0 removed')).toHaveLength(2);
});

test('a control socket that could not be moved can stay, and the folder that it found by itself can be named', async ({
  bench,
}) => {
  await mkdir(bench.path('run'), { mode: 0o700 });
  const at = (path: string): string => `control = "${path}"\n`;
  const pksigd = await run(bench, '', { RUNTIME_DIRECTORY: bench.path('run') });
  await expect.poll(() => existsSync(bench.path('run/control.sock'))).toBe(true);
  for (const [path, status] of [
    ['run/control.sock', 0],
    ['none/c.sock', 1],
    ['run/control.sock', 0],
  ] as const) {
    await bench.write('p.toml', configuration(bench, at(bench.path(path))));
    const reload = await command(bench, 'reload', 'run/control.sock');
    expect(await reload.exited, reload.transcript).toBe(status);
  }
  expect((await command(bench, 'status', 'run/control.sock')).stdout).not.toEqual([]);
  expect(pksigd.messages("can't listen for pksigd status as the settings say")).toHaveLength(1);
});

test('sockets take the places of others that go elsewhere by the same reload', async ({ bench }) => {
  const places = (control: string, served: string, relay: string): string =>
    configuration(bench, `control = "${bench.path(control)}"\nmetrics = "${served} unix"\n`).replace(
      'management-client = true',
      `management-client = true\nrelay = "${relay} unix"`,
    );
  const config = await bench.write('p.toml', places('x.sock', 'y.sock', 'z.sock'));
  const pksigd = await bench.pksigd(['run', '--config', config]);
  await pksigd.message('key ready');
  await expect.poll(() => existsSync(bench.path('x.sock'))).toBe(true);
  for (const [before, control, served, relay] of [
    ['x.sock', 'y.sock', 'x.sock', 'z.sock'],
    ['y.sock', 'z.sock', 'x.sock', 'y.sock'],
    ['z.sock', 'z.sock', 'y.sock', 'x.sock'],
    ['z.sock', 'x.sock', 'z.sock', 'y.sock'],
  ] as const) {
    await bench.write('p.toml', places(control, served, relay));
    const reload = await command(bench, 'reload', before);
    expect(await reload.exited, reload.transcript).toBe(0);
    expect((await command(bench, 'status', control)).stdout).not.toEqual([]);
    expect(await metrics(bench, served)).toContain('pksigd_');
  }
  expect(await pksigd.stop()).toBe(0);
});

test('sockets that somebody has removed are there again after SIGHUP, and nobody loses a connection', async ({
  bench,
}) => {
  const agent = `control = "${bench.path('c.sock')}"\nmetrics = "m.sock unix"\n`;
  const relayed = configuration(bench, agent).replace('= true', '= true\nrelay = "r.sock unix"\nrelay-mode = "0660"');
  const pksigd = await bench.pksigd(['run', '--config', await bench.write('p.toml', relayed)]);
  await pksigd.message('key ready');
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  const first = await FakeDaemon.open(bench.path('a.sock'));
  first.say(GREETING);
  await pksigd.message('connected to the daemon');
  const sockets = ['a.sock', 'r.sock', 'c.sock', 'm.sock'];
  for (const name of sockets) rmSync(bench.path(name));

  pksigd.kill('SIGHUP');
  expect(await pksigd.message('reloaded: 0 added, 0 changed, 0 removed')).toMatchObject({
    unchanged: 1,
    renewed: expect.arrayContaining(sockets.map((name) => bench.path(name))),
  });
  const lines = pksigd.messages('the socket had gone: it is bound anew');
  expect(lines.map((line) => line['socket']).sort()).toEqual(sockets.map((name) => bench.path(name)).sort());
  first.say(REQUEST);
  expect(await first.hearsBlock('pk-sig')).not.toEqual([]);
  first.say('SUCCESS: pk-sig command succeeded\r\n');
  await pksigd.signed(1);
  first.close();
  await pksigd.message('disconnected from the daemon');

  const second = await FakeDaemon.open(bench.path('a.sock'));
  second.say(GREETING);
  await pksigd.message('connected to the daemon', 2);
  expect(statSync(bench.path('r.sock')).mode & 0o777).toBe(0o660);
  const user = await ManagementUser.open({ kind: 'unix', path: bench.path('r.sock') });
  expect(await user.hear('\r\n')).toContain('>INFO:');
  user.close();
  expect((await command(bench, 'status', 'c.sock')).stdout.join('\n')).toContain('1 of 1 tunnel connected');
  expect(await metrics(bench, 'm.sock')).toContain('pksigd_');
  second.close();
});

test('pksigd reload names the sockets that had gone, and fails where another process has taken one', async ({
  bench,
}) => {
  const pksigd = await run(bench, `control = "${bench.path('c.sock')}"\nmetrics = "m.sock unix"\n`);
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  rmSync(bench.path('m.sock'));
  const reload = await command(bench, 'reload', 'c.sock');
  expect(await reload.exited).toBe(0);
  expect(reload.stdout).toEqual([`the socket had gone, and is bound anew: ${bench.path('m.sock')}`]);
  expect(await metrics(bench, 'm.sock')).toContain('pksigd_');

  rmSync(bench.path('a.sock'));
  // who only looks whether it listens is gone before it is greeted
  const other = createServer((socket) => socket.on('error', () => undefined).end('mine'));
  await new Promise<void>((resolve) => other.listen(bench.path('a.sock'), resolve));
  const again = await command(bench, 'reload', 'c.sock');
  expect(await again.exited).not.toBe(0);
  expect(again.transcript).toMatch(
    /reloaded, but not all of it: can't listen for OpenVPN on .*another process listens/,
  );
  expect(
    await pksigd.message('the socket has gone, and can not be bound anew: nobody can connect there'),
  ).toMatchObject({ level: 'error', socket: bench.path('a.sock'), code: 'ERR_MANAGEMENT_IN_USE' });
  expect(await textOf(connect({ path: bench.path('a.sock') }))).toBe('mine');
  other.close();
});

test('without a file, SIGHUP binds a socket anew that had gone', async ({ bench }) => {
  const place = ['--management', bench.path('a.sock'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', '--key', bench.recipe('p256.pem'), ...place]);
  await pksigd.message('key ready');
  rmSync(bench.path('a.sock'));
  pksigd.kill('SIGHUP');
  await pksigd.message('the socket had gone: it is bound anew');
  (await FakeDaemon.open(bench.path('a.sock'))).close();
});

test('what contradicts itself changes nothing', async ({ bench }) => {
  const pksigd = await run(bench, `control = "${bench.path('c.sock')}"\n`);
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  await bench.write('p.toml', configuration(bench, 'control = "none"\ncontrol-group = 0\n'));
  pksigd.kill('SIGHUP');
  await pksigd.message('not reloaded: all stays as it is');
  expect(existsSync(bench.path('c.sock'))).toBe(true);
});

test('another state directory that can not be used changes nothing: no key is let go of for it', async ({ bench }) => {
  const agent = `control = "${bench.path('c.sock')}"\n`;
  const pksigd = await run(bench, agent);
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  await mkdir(bench.path('open'));
  await chmod(bench.path('open'), 0o777);
  await bench.write('p.toml', `${configuration(bench, agent)}[state]\ndirectory = "open"\n[log]\nlevel = "error"\n`);
  const reload = await command(bench, 'reload', 'c.sock');
  expect(await reload.exited).toBe(2);
  expect(reload.transcript).toContain('others can write the state directory');
  await pksigd.message('not reloaded: all stays as it is');
  await chmod(bench.path('open'), 0o700);
  expect(await (await command(bench, 'reload', 'c.sock')).exited).toBe(0);
  expect(await pksigd.stop()).toBe(0);
});

test('a tunnel that can not be served fails the command, until it can', async ({ bench }) => {
  const agent = `control = "${bench.path('c.sock')}"\n`;
  const pksigd = await run(bench, agent);
  await expect.poll(() => existsSync(bench.path('c.sock'))).toBe(true);
  const more = '[tunnel.b]\nmanagement = "none/b.sock unix"\nmanagement-client = true\n';
  await bench.write('p.toml', `${configuration(bench, agent)}${more}`);
  const reload = await command(bench, 'reload', 'c.sock');
  expect(await reload.exited).toBe(1);
  expect(reload.transcript).toContain(
    "pksigd: reloaded, but not all of it: tunnel 'b' failed: can't listen for OpenVPN",
  );
  await mkdir(bench.path('none'));
  const again = await command(bench, 'reload', 'c.sock');
  expect(await again.exited).toBe(0);
  expect(existsSync(bench.path('none/b.sock'))).toBe(true);
  expect(await pksigd.stop()).toBe(0);
});

test('a reload of a broken file says where its first mistake is', async ({ bench }) => {
  const good = configuration(bench, `control = "${bench.path('c.sock')}"\n`);
  const path = await bench.write('p.toml', good);
  const pksigd = await bench.pksigd(['run', '--config', path]);
  await pksigd.listening();
  await bench.write('p.toml', `${good}one = 1\ntwo = 2\n`);
  const line = good.split('\n').length;
  const reload = await command(bench, 'reload', 'c.sock');
  expect([await reload.exited, reload.stderr]).toEqual([
    2,
    [expect.stringMatching(`^pksigd: ${path} has 2 mistakes: ${path}:${line}:1: unknown key 'one' `)],
  ]);
  expect(await pksigd.stop()).toBe(0);
});
