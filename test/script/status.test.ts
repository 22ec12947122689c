import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { mkdir, rename } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import type { StatusReport } from '../../src/status/report.ts';
import { freePort, test, type Bench } from '../support/bench.ts';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import type { Pksigd } from '../support/pksigd.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;
const KEEPS_PRESENT =
  'SUCCESS: real-time state notification set to ON\r\n1700000000,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1\r\nEND\r\n';

/** `run` with a control socket; `more` are further options. */
async function agent(bench: Bench, key: string, ...more: string[]): Promise<Pksigd> {
  const place = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...place, '--key', key, '--control', bench.path('control'), ...more]);
  await pksigd.message('key ready');
  await listens(bench);
  return pksigd;
}

/** The control socket may come behind the key. */
async function listens(bench: Bench): Promise<void> {
  await expect.poll(() => existsSync(bench.path('control'))).toBe(true);
}

interface Done {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** A command to that agent. */
async function tell(bench: Bench, command: string, ...more: string[]): Promise<Done> {
  const child = await bench.pksigd([command, '--control', bench.path('control'), ...more]);
  const status = await child.exited;
  return { status, output: child.stdout.join('\n'), errors: child.transcript };
}

async function statusOf(bench: Bench): Promise<StatusReport> {
  const { status, output } = await tell(bench, 'status', '--json');
  expect(status).toBe(0);
  return JSON.parse(output) as StatusReport;
}

async function daemonOf(bench: Bench): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  return daemon;
}

async function signs(daemon: FakeDaemon): Promise<boolean> {
  daemon.say(REQUEST);
  return (await daemon.hearsBlock('pk-sig')).length > 0;
}

describe('status', () => {
  test('tells of tunnel, daemon, key, certificate, token and module', async ({ bench }) => {
    await agent(bench, bench.key('p256', 'SoftHSM'));
    const daemon = await daemonOf(bench);
    expect(await signs(daemon)).toBe(true);
    daemon.say('SUCCESS: pk-sig command succeeded\r\n');
    await daemon.hears('state on 1');
    daemon.say(KEEPS_PRESENT);
    await expect.poll(async () => (await statusOf(bench)).tunnels[0]?.daemon?.state).toBe('CONNECTED');
    const report = await statusOf(bench);
    expect(report).toMatchObject({
      version: 1,
      locked: false,
      tunnels: [
        {
          connected: true,
          counts: { signed: 1, refused: 0, failed: 0, dropped: 0 },
          lastRequest: { outcome: 'signed', scheme: 'ECDSA', code: null },
          trouble: null,
        },
      ],
      keys: [{ state: 'open', certificate: { subject: expect.stringContaining('p256') as string } }],
      tokens: [{ label: 'pksigd', present: true, loggedIn: true, pin: 'ok', removals: 0 }],
      hosts: [{ restarts: 0 }],
    });
    expect(report.hosts[0]?.pids).toHaveLength(1);
    const { output } = await tell(bench, 'status');
    expect(output).toMatch(/CONNECTED .* ECDSA, \d+ ms +1\/0\/0\/0/);
    expect(output).toMatch(/^pksigd +logged in /m);
    daemon.close();
  });

  test('with --watch goes on, a document a line for programs', async ({ bench }) => {
    await agent(bench, bench.key('p256', 'file'));
    const watch = await bench.pksigd(['status', '--watch', '--json', '--control', bench.path('control')]);
    await watch.until('two documents', () => watch.stdout[1]);
    for (const line of watch.stdout.slice(0, 2)) expect(JSON.parse(line)).toMatchObject({ version: 1 });
  });

  test('is written to the log at SIGUSR1', async ({ bench }) => {
    const pksigd = await agent(bench, bench.key('p256', 'file'));
    process.kill(pksigd.pid, 'SIGUSR1');
    expect(await pksigd.message('status')).toMatchObject({ level: 'info', tunnels: 1, connected: 0, locked: false });
    expect(await pksigd.message('status of a tunnel')).toMatchObject({ tunnel: bench.path('management') });
    expect(await pksigd.message('status of a key')).toMatchObject({ state: 'open' });
  });

  test('without an agent says so', async ({ bench }) => {
    const { status, errors } = await tell(bench, 'status');
    expect(status).toBe(3);
    expect(errors).toContain('is the agent running?');
  });

  test('finds the only agent by itself; of several one must be named', async ({ bench }) => {
    const runtime = bench.path('runtime');
    await mkdir(runtime, { mode: 0o700 });
    const env = { XDG_RUNTIME_DIR: runtime };
    const start = async (name: string): Promise<Pksigd> => {
      const place = ['--management', bench.path(name), 'unix', '--management-client'];
      const pksigd = await bench.pksigd(['run', ...place, '--key', bench.key('p256', 'file')], { env });
      await pksigd.message('key ready');
      return pksigd;
    };
    const first = await start('one');
    await expect.poll(() => existsSync(`${runtime}/pksigd/control.sock`)).toBe(true);
    const alone = await bench.pksigd(['status'], { env });
    expect(await alone.exited).toBe(0);
    expect(alone.transcript).toContain(bench.path('one'));
    await start('other');
    await expect.poll(() => existsSync(`${runtime}/pksigd/control-2.sock`)).toBe(true);
    const both = await bench.pksigd(['status'], { env });
    expect(await both.exited).toBe(2);
    expect(both.transcript).toContain(`${runtime}/pksigd/control-2.sock`);
    await first.stop();
    expect(existsSync(`${runtime}/pksigd/control.sock`)).toBe(false);
  });
});

describe('lock', () => {
  test('refuses every request, until unlock', async ({ bench }) => {
    const pksigd = await agent(bench, bench.key('p256', 'file'));
    const daemon = await daemonOf(bench);
    expect((await tell(bench, 'lock')).status).toBe(0);
    expect(await signs(daemon)).toBe(false);
    expect(await pksigd.message('refused')).toMatchObject({ code: 'ERR_LOCKED' });
    expect((await tell(bench, 'status')).output).toContain('LOCKED');
    expect((await tell(bench, 'lock')).errors).toContain('locked');
    expect((await tell(bench, 'unlock')).status).toBe(0);
    daemon.say('SUCCESS: pk-sig command succeeded\r\n');
    expect(await signs(daemon)).toBe(true);
    daemon.close();
  });

  test('with a passphrase is opened by that one only, which stands in no log', async ({ bench }) => {
    const pksigd = await agent(bench, bench.key('p256', 'file'), '--log-level', 'trace');
    const right = await bench.write('right', 'correct horse\n');
    const wrong = await bench.write('wrong', 'battery staple\n');
    expect((await tell(bench, 'lock', '--passphrase-source', right)).status).toBe(0);
    const refused = await tell(bench, 'unlock', '--passphrase-source', wrong);
    expect(refused).toMatchObject({ status: 4, errors: expect.stringContaining('wrong passphrase') as string });
    // nobody can be asked for it here
    const hint = expect.stringContaining('give --passphrase-source') as string;
    expect(await tell(bench, 'unlock')).toMatchObject({ status: 4, errors: hint });
    expect((await statusOf(bench)).locked).toBe(true);
    expect((await tell(bench, 'unlock', '--passphrase-source', right)).status).toBe(0);
    expect((await statusOf(bench)).locked).toBe(false);
    expect(pksigd.transcript).not.toMatch(/correct horse|battery staple/);
  });
});

describe('forget', () => {
  test('ends the module host and logs out, until the next signature', async ({ bench }) => {
    const pksigd = await agent(bench, bench.key('p256', 'SoftHSM'));
    const daemon = await daemonOf(bench);
    const before = pksigd.children;
    expect((await tell(bench, 'forget')).status).toBe(0);
    await expect.poll(() => pksigd.children).toEqual([]);
    expect((await statusOf(bench)).tokens).toMatchObject([{ present: true, loggedIn: false }]);
    expect(await signs(daemon)).toBe(true);
    expect(pksigd.children).toHaveLength(1);
    expect(pksigd.children).not.toEqual(before);
    expect((await statusOf(bench)).tokens).toMatchObject([{ loggedIn: true }]);
    expect(pksigd.messages('the token is away')).toEqual([]);
    daemon.close();
  });
});

test('a PIN that can not be had is not the loss of the token: no daemon is told to end', async ({ bench }) => {
  const pin = await bench.write('pin', `${await bench.pin()}\n`);
  const key = bench.key('p256', 'SoftHSM', { 'pin-source': `file:${pin}` });
  const pksigd = await agent(bench, key, '--on-token-removal', 'disconnect');
  const daemon = await daemonOf(bench);
  expect(await signs(daemon)).toBe(true);
  await rename(pin, `${pin}.away`);
  expect((await tell(bench, 'forget')).status).toBe(0);
  for (let times = 0; times < 2; times += 1) expect(await signs(daemon)).toBe(false);
  await pksigd.message('failed', 2);
  expect((await statusOf(bench)).tokens).toMatchObject([
    { present: true, loggedIn: false, removals: 0, error: expect.stringContaining('pin') as string },
  ]);
  await rename(`${pin}.away`, pin);
  expect(await signs(daemon)).toBe(true);
  expect((await statusOf(bench)).tokens).toMatchObject([{ present: true, loggedIn: true, error: null }]);
  expect(pksigd.messages("the token can't be logged in to")).toHaveLength(1);
  expect(pksigd.messages('the token is away')).toEqual([]);
  expect(pksigd.messages('token lost: the daemon gets a signal')).toEqual([]);
  daemon.close();
});

describe('reload', () => {
  test('says what became of it', async ({ bench }) => {
    const tunnel = (name: string): string =>
      `[tunnel.${name}]\nmanagement = "${bench.path(name)} unix"\nmanagement-client = true\n`;
    const head = `[agent]\ncontrol = "${bench.path('control')}"\n[key.k]\nkey = "${bench.key('p256', 'file')}"\n`;
    const file = await bench.write('pksigd.toml', `${head}${tunnel('one')}`);
    const pksigd = await bench.pksigd(['run', '--config', file]);
    await pksigd.message('key ready');
    await listens(bench);
    await bench.write('pksigd.toml', `${head}${tunnel('one')}${tunnel('two')}`);
    expect((await tell(bench, 'reload')).status).toBe(0);
    expect((await statusOf(bench)).tunnels.map(({ name }) => name)).toEqual(['one', 'two']);
    await bench.write('pksigd.toml', `${head}${tunnel('two')}nonsense\n`);
    expect(await tell(bench, 'reload')).toMatchObject({ status: 2 });
    expect((await statusOf(bench)).tunnels.map(({ name }) => name)).toEqual(['one', 'two']);
    await bench.write('pksigd.toml', `${head}${tunnel('two')}`);
    expect((await tell(bench, 'reload')).status).toBe(0);
    expect((await statusOf(bench)).tunnels.map(({ name }) => name)).toEqual(['two']);
  });

  test('takes away a token that no key is in any more; one of a key whose lifetime is over is logged out of', async ({
    bench,
  }) => {
    const head = `[agent]\ncontrol = "${bench.path('control')}"\n`;
    const use = (key: string, more = ''): string =>
      `${head}[key.k]\nkey = "${key}"\n${more}[tunnel.t]\nmanagement = "${bench.path('m')} unix"\nmanagement-client = true\n`;
    const file = await bench.write('pksigd.toml', use(bench.key('p256', 'SoftHSM'), 'lifetime = 1\n'));
    const pksigd = await bench.pksigd(['run', '--config', file], { env: { SOFTHSM2_CONF: await bench.token() } });
    await pksigd.message('the lifetime of the key is over: requests are refused until a reload');
    await expect.poll(async () => (await statusOf(bench)).tokens).toMatchObject([{ present: true, loggedIn: false }]);
    await bench.write('pksigd.toml', use(bench.key('p256', 'SoftHSM')));
    expect((await tell(bench, 'reload')).status).toBe(0);
    await expect.poll(async () => (await statusOf(bench)).tokens).toMatchObject([{ present: true, loggedIn: true }]);
    await bench.write('pksigd.toml', use(bench.key('p256', 'file')));
    expect((await tell(bench, 'reload')).status).toBe(0);
    expect((await statusOf(bench)).tokens).toEqual([]);
  });

  test('without a configuration file is refused', async ({ bench }) => {
    await agent(bench, bench.key('p256', 'file'));
    expect(await tell(bench, 'reload')).toMatchObject({ status: 2 });
  });
});

describe('metrics', () => {
  /** What curl would print. */
  async function get(port: number, path: string): Promise<{ status: number; body: string }> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  }

  test('are served beside the tunnels', async ({ bench }) => {
    const port = await freePort();
    await agent(bench, bench.key('p256', 'SoftHSM'), '--metrics', '127.0.0.1', String(port));
    expect(await get(port, '/readyz')).toMatchObject({ status: 503 });
    const daemon = await daemonOf(bench);
    expect(await signs(daemon)).toBe(true);
    await expect
      .poll(async () => (await get(port, '/metrics')).body)
      .toContain('outcome="signed",scheme="ECDSA",code="none"} 1');
    const { body } = await get(port, '/metrics');
    expect(body).toMatch(/^pksigd_module_sign_duration_seconds_count\{module="[^"]*softhsm[^"]*"\} 1$/m);
    expect(body).toContain('pksigd_token_present{token="pksigd"} 1');
    expect(await get(port, '/readyz')).toMatchObject({ status: 200 });
    daemon.close();
  });

  test('an address that others reach is refused, and so is a group without a socket', async ({ bench }) => {
    const place = ['--management', bench.path('m'), 'unix', '--management-client', '--key', bench.key('p256', 'file')];
    for (const words of [
      ['--metrics', '0.0.0.0', '9187'],
      ['--metrics', '127.0.0.1', '9187', '--metrics-group', '0'],
    ]) {
      const pksigd = await bench.pksigd(['run', ...place, ...words]);
      expect(await pksigd.exited).toBe(2);
      expect(pksigd.log.at(-1)).toMatchObject({ level: 'fatal', code: 'ERR_USAGE' });
    }
  });

  test('and control socket can stand in the configuration file', async ({ bench }) => {
    const port = await freePort();
    const file = await bench.write(
      'pksigd.toml',
      `[agent]\ncontrol = "${bench.path('control')}"\nmetrics = "127.0.0.1 ${port}"\n` +
        `[key.k]\nkey = "${bench.key('p256', 'file')}"\n` +
        `[tunnel.t]\nmanagement = "${bench.path('m')} unix"\nmanagement-client = true\n`,
    );
    const pksigd = await bench.pksigd(['run', '--config', file]);
    await pksigd.message('key ready');
    await listens(bench);
    expect((await statusOf(bench)).tunnels.map(({ name }) => name)).toEqual(['t']);
    expect((await get(port, '/metrics')).body).toContain('pksigd_tunnel_connected{tunnel="t"} 0');
  });
});

describe('an agent of another release', () => {
  /** Stands in for it: replies so to whatever it is asked. */
  async function replying(bench: Bench, reply: unknown): Promise<Server> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(`${JSON.stringify(reply)}\n`));
    });
    await once(server.listen(bench.path('control')), 'listening');
    return server;
  }

  test('fails a command with a code that is not known here', async ({ bench }) => {
    await using other = await replying(bench, { version: 1, ok: false, code: 'ERR_NEW', error: 'no' });
    expect(other.listening).toBe(true);
    for (const command of ['reload', 'status', 'forget', 'lock', 'unlock']) {
      const { status, output, errors } = await tell(bench, command);
      expect({ command, status, output }).toEqual({ command, status: 1, output: '' });
      expect(errors).toMatch(/pksigd: no \[ERR_NEW\]$/);
    }
  });

  test('reports what can not be read', async ({ bench }) => {
    await using other = await replying(bench, { version: 1, ok: true, result: { tunnels: 5 } });
    expect(other.listening).toBe(true);
    for (const more of [[], ['--json']]) {
      const { status, output, errors } = await tell(bench, 'status', ...more);
      expect({ status, output }).toEqual({ status: 1, output: '' });
      expect(errors).toMatch(
        /pksigd: the agent's reply can't be read: is it of another release\? \[ERR_CONTROL_PROTOCOL\]$/,
      );
    }
  });
});
