import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { canActivate, type GivenSocket } from '../support/activation.ts';
import { freePort, test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import { ManagementUser } from '../support/management-user.ts';
import { MAIN, type Pksigd } from '../support/pksigd.ts';

if (!canActivate) console.warn('left out: socket activation, as there is no python3 or no /proc');
const hasCommand = spawnSync('systemd-socket-activate', ['--version']).status === 0;
if (!hasCommand) console.warn('left out: a start by systemd-socket-activate, as there is none');

const NOBODY = 65534;
const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

/** pksigd with a configuration and sockets that are there before it. */
async function given(bench: Bench, text: string, sockets: readonly GivenSocket[], pid?: number): Promise<Pksigd> {
  const config = await bench.write('p.toml', text);
  const activation = { sockets, ...(pid !== undefined && { pid }) };
  return await bench.pksigd(['run', '--config', config], { activation });
}

function keyAnd(bench: Bench, rest: string, key = bench.recipe('p256.pem')): string {
  return `[key.k]\nkey = "${key}"\n${rest}`;
}

const TUNNEL = '[tunnel.a]\nmanagement = "a.sock unix"\nmanagement-client = true\n';

async function signs(place: string): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open(place);
  daemon.say(GREETING);
  daemon.say(REQUEST);
  expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
  return daemon;
}

/** What a connection gives that only asks to be ended. */
async function ofConnection(place: string, words: string): Promise<string> {
  const socket = connect({ path: place });
  socket.end(words);
  return await textOf(socket).catch((error: unknown) => String(error));
}

/** The sockets that a process has, as `socket:[NUMBER]`. */
function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const links = readdirSync(folder).map((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.startsWith('socket:'));
}

describe.skipIf(!canActivate)('sockets that pksigd is started with', () => {
  test('serve daemons, relay, metrics and commands, and stay', async ({ bench }) => {
    const [tunnel, relay, metrics, control] = ['a.sock', 'r.sock', 'm.sock', 'c.sock'].map((name) => bench.path(name));
    const text = keyAnd(
      bench,
      `${TUNNEL}relay = "r.sock unix"\n[agent]\nmetrics = "m.sock unix"\ncontrol = "${control}"\n`,
    );
    const all = [control, metrics, relay, tunnel].map((at = '') => ({ at }));
    const pksigd = await given(bench, text, all);
    await pksigd.logged(/^activated$/);
    // before pksigd may have begun
    const daemon = await signs(tunnel ?? '');
    const user = await ManagementUser.open({ kind: 'unix', path: relay ?? '' });
    expect(await user.hear('\r\n')).toBe(GREETING);
    expect(await ofConnection(metrics ?? '', 'GET /metrics HTTP/1.0\r\n\r\n')).toContain('pksigd_');
    const status = await bench.pksigd(['status', '--control', control ?? '', '--json']);
    expect(await status.exited).toBe(0);
    user.close();
    daemon.close();
    expect(pksigd.messages('every user of this host can use the relay')).toEqual([]);
    expect(await pksigd.stop()).toBe(0);
    for (const { at } of all) expect(statSync(at).mode & 0o777).toBe(0o600);
    expect(pksigd.log.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  test('are nothing that module hosts have', async ({ bench }) => {
    const key = bench.key('p256', 'SoftHSM');
    const config = await bench.write('p.toml', keyAnd(bench, TUNNEL, key));
    const sockets = [{ at: bench.path('a.sock') }, { at: bench.path('b.sock') }];
    const env = { SOFTHSM2_CONF: await bench.token() };
    const pksigd = await bench.pksigd(['run', '--config', config], { activation: { sockets }, env });
    await pksigd.message('key ready');
    const own = [3, 4].map((fd) => readlinkSync(`/proc/${pksigd.pid}/fd/${fd}`));
    expect(socketsOf(pksigd.pid)).toEqual(expect.arrayContaining(own));
    const hosts = pksigd.children.map((pid) => socketsOf(pid));
    expect(hosts).not.toEqual([]);
    for (const sockets of hosts) for (const socket of own) expect(sockets).not.toContain(socket);
  });

  test('outlive a tunnel that a reload changes', async ({ bench }) => {
    const text = keyAnd(bench, TUNNEL);
    const place = bench.path('a.sock');
    const pksigd = await given(bench, text, [{ at: place }]);
    await pksigd.listening();
    (await signs(place)).close();
    for (const round of [1, 2]) {
      await bench.write('p.toml', round === 1 ? `${text}on-token-removal = "restart"\n` : text);
      pksigd.kill('SIGHUP');
      await pksigd.message('reloaded: 0 added, 1 changed, 0 removed', round);
      (await signs(place)).close();
    }
  });

  test('that nobody wants turn people away, with a warning, until a reload gives them somebody', async ({ bench }) => {
    const place = bench.path('b.sock');
    const text = keyAnd(bench, '[tunnel.c]\nmanagement = "c.sock unix"\n');
    const pksigd = await given(bench, text, [{ at: place, name: 'office' }]);
    const unwanted = `descriptor 3 'office' (${place}), which pksigd was started with, belongs to nothing that is served: who connects there is turned away`;
    expect(await pksigd.message(unwanted)).toMatchObject({ level: 'warn' });
    expect(await ofConnection(place, '')).not.toContain('INFO');
    await bench.write('p.toml', `${text}[tunnel.b]\nmanagement = "b.sock unix"\nmanagement-client = true\n`);
    pksigd.kill('SIGHUP');
    await pksigd.message('listening for the daemon');
    (await signs(place)).close();
    await bench.write('p.toml', text);
    pksigd.kill('SIGHUP');
    await pksigd.message(unwanted, 2);
    expect(existsSync(place)).toBe(true);
  });

  test('on a port, whatever the host is called', async ({ bench }) => {
    const port = await freePort();
    const text = keyAnd(bench, `[tunnel.a]\nmanagement = "localhost ${port}"\nmanagement-client = true\n`);
    const pksigd = await given(bench, text, [{ at: port }]);
    await pksigd.message('listening for the daemon');
    const daemon = await FakeDaemon.open({ kind: 'tcp', host: '127.0.0.1', port });
    daemon.say(GREETING);
    daemon.say(REQUEST);
    expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
    daemon.close();
  });

  test.for([
    [
      { kind: 'datagram', name: 'd' },
      /descriptor 3 'd', which pksigd was started with, is no listening stream socket.*Accept=yes/,
    ],
    [{ kind: 'connected' }, /descriptor 3, which .* is no listening stream socket/],
  ] as const)('of another kind are refused: %o', async ([socket, said], { bench }) => {
    const at = bench.path('a.sock');
    const pksigd = await given(bench, keyAnd(bench, TUNNEL), [
      socket.kind === 'connected' ? socket : { ...socket, at },
    ]);
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr.at(-1)).toMatch(said);
  });

  test('that everybody can connect to are refused', async ({ bench }) => {
    const place = bench.path('a.sock');
    const folder = spawnSync('chmod', ['755', bench.folder]);
    expect(folder.status).toBe(0);
    const pksigd = await given(bench, keyAnd(bench, TUNNEL), [{ at: place, mode: 0o666 }]);
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr.at(-1)).toContain(`every user of this host can connect to ${place}`);
    expect(pksigd.stderr.at(-1)).toContain('SocketMode=0600');
  });

  test.skipIf(process.getuid?.() !== 0)(
    'of another user: refused, but where that user is insisted on',
    async ({ bench }) => {
      const place = bench.path('a.sock');
      const socket = { at: place, user: NOBODY };
      const stranger = await given(bench, keyAnd(bench, TUNNEL), [socket]);
      expect(await stranger.exited).toBe(1);
      expect(stranger.stderr.at(-1)).toContain(`user ${NOBODY} can connect to ${place}`);
      expect(stranger.stderr.at(-1)).toContain(`'management-user' ${NOBODY}`);
      const insisting = keyAnd(bench, `${TUNNEL}management-user = ${NOBODY}\n`);
      const friend = await given(bench, insisting, [{ ...socket, at: place }]);
      await friend.listening();
      (await signs(place)).close();
    },
  );

  test('are not ours if they are meant for another process', async ({ bench }) => {
    const pksigd = await given(bench, keyAnd(bench, TUNNEL), [{ at: bench.path('b.sock') }], 1);
    (await pksigd.listening(), await signs(bench.path('a.sock'))).close();
    expect(pksigd.transcript).not.toContain('was started with');
  });
});

describe.skipIf(!canActivate || !hasCommand)('systemd-socket-activate', () => {
  test('starts pksigd for a real OpenVPN, also after a reload', async ({ bench }) => {
    const server = await bench.server();
    const place = bench.path('a.sock');
    const text = keyAnd(bench, TUNNEL);
    const config = await bench.write('p.toml', text);
    const env = { HOME: bench.folder, XDG_STATE_HOME: bench.path('state') };
    const command = ['--fdname=office', `--listen=${place}`, MAIN, 'run', '--config', config];
    const pksigd = bench.adopt(new Child('pksigd', 'systemd-socket-activate', command, { env }));
    await pksigd.logged(/Listening on/);
    const management = { address: place, port: 'unix' };
    const options = { management, certificate: { file: 'p256' as const }, managementClient: true };
    const first = bench.client(server, options);
    await first.connected();
    await bench.write('p.toml', `${text}on-token-removal = "restart"\n`);
    pksigd.kill('SIGHUP');
    await pksigd.logged(/reloaded: .* 1 changed/);
    await first.exited;
    await bench.client(server, options).connected();
    await bench.write('p.toml', text);
    pksigd.kill('SIGHUP');
    await pksigd.logged(/reloaded: .* 1 changed/, 2);
    await bench.client(server, options).connected();
    await pksigd.logged(/"signed"/, 3);
    expect(existsSync(place)).toBe(true);
  });
});
