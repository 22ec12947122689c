import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, test as plain } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { FakeListener, GREETING } from '../support/fake-daemon.ts';
import { MAIN, type Pksigd } from '../support/pksigd.ts';

const runs = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
/** Node has no unix datagrams. */
const missing = ['python3', 'systemd-notify'].filter((command) => !runs(command));
if (missing.length > 0) console.warn(`left out: the notify protocol, as there is no ${missing.join(', no ')}`);
const hasAnalyze = runs('systemd-analyze');
if (!hasAnalyze) console.warn('left out: the units, as there is no systemd-analyze');

/** Prints each message in a line. What comes with it (a descriptor, of systemd-notify that waits) is closed with the message. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(s.recv(4096).decode().strip().replace(chr(10), '|'), flush=True)
`;

/** In place of systemd: what it hears. */
class Manager {
  readonly #child: Child;
  readonly path: string;

  private constructor(bench: Bench) {
    this.path = bench.path('notify');
    this.#child = bench.adopt(new Child('manager', 'python3', ['-c', RECEIVER, this.path]));
  }

  static async start(bench: Bench): Promise<Manager> {
    const manager = new Manager(bench);
    await manager.#child.logged(/^bound$/);
    return manager;
  }

  /** Waits for a message. */
  async hears(pattern: RegExp, times = 1): Promise<string> {
    return await this.#child.logged(pattern, times);
  }

  /** The first words of what it has heard, but of those that come at any time. */
  get order(): string[] {
    return this.#child.stdout
      .map((line) => line.replace(/[|=].*/, ''))
      .filter((word) => ['READY', 'RELOADING', 'STOPPING'].includes(word));
  }
}

/** Of a process that may have ended by now. */
function environ(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
const names = (pid: number): string[] => environ(pid).map((variable) => variable.replace(/=.*/s, ''));

async function run(bench: Bench, manager: Manager, args: string[], env: Record<string, string> = {}): Promise<Pksigd> {
  return await bench.pksigd(['run', ...args], { env: { NOTIFY_SOCKET: manager.path, ...env } });
}

describe.skipIf(missing.length > 0)('the notify protocol', () => {
  test('ready, status, reload, stop', async ({ bench }) => {
    const manager = await Manager.start(bench);
    const listener = await FakeListener.start(bench.path('a.sock'));
    const text = `[key.k]\nkey = "${bench.recipe('p256.pem')}"\n[tunnel.a]\nmanagement = "a.sock unix"\n`;
    const path = await bench.write('p.toml', text);
    const pksigd = await run(bench, manager, ['--config', path]);
    await manager.hears(/^READY=1/);
    (await listener.next()).say(GREETING);
    await manager.hears(/STATUS=1 tunnel, 1 connected/);
    await bench.write('p.toml', `${text}[tunnel.b]\nmanagement = "b.sock unix"\n`);
    pksigd.kill('SIGHUP');
    await manager.hears(/^RELOADING=1\|MONOTONIC_USEC=\d+$/);
    await manager.hears(/^READY=1/, 2);
    await manager.hears(/STATUS=2 tunnels, 1 connected/);
    expect(await pksigd.stop()).toBe(0);
    await manager.hears(/^STOPPING=1$/);
    expect(manager.order).toEqual(['READY', 'RELOADING', 'READY', 'STOPPING']);
  });

  test('a reload that fails ends too', async ({ bench }) => {
    const manager = await Manager.start(bench);
    const text = `[key.k]\nkey = "${bench.recipe('p256.pem')}"\n[tunnel.a]\nmanagement = "a.sock unix"\n`;
    const pksigd = await run(bench, manager, ['--config', await bench.write('p.toml', text)]);
    await manager.hears(/^READY=1/);
    await bench.write('p.toml', 'x');
    pksigd.kill('SIGHUP');
    await manager.hears(/^READY=1/, 2);
    expect(manager.order).toEqual(['READY', 'RELOADING', 'READY']);
  });

  test('pings for the watchdog, and leaves nothing of it to module hosts and PIN commands', async ({ bench }) => {
    const manager = await Manager.start(bench);
    const key = bench
      .key('p256', 'SoftHSM', { 'pin-source': `file:${bench.pinFile}` })
      .replace(/[?&]pin-source=[^&]*/, '');
    const command = `env > ${bench.path('env')}; cat ${bench.pinFile}`;
    const pksigd = await run(
      bench,
      manager,
      ['--key', key, '--pin-source', `command:${command}`, '--management', bench.path('a.sock'), 'unix'],
      { WATCHDOG_USEC: '200000', LISTEN_FDS: '0' },
    );
    await manager.hears(/^WATCHDOG=1$/, 3);
    await manager.hears(/^READY=1/);
    const hosts = pksigd.children.filter((pid) => environ(pid).length > 1 && !names(pid).includes('NOTIFY_SOCKET'));
    expect(hosts).not.toEqual([]);
    const ofCommand = readFileSync(bench.path('env'), 'utf8');
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC']) {
      expect(ofCommand).not.toContain(name);
      for (const pid of hosts) expect(names(pid)).not.toContain(name);
    }
  });

  test('is ready while it waits for a token, and says so', async ({ bench }) => {
    const manager = await Manager.start(bench);
    const key = bench.key('p256', 'SoftHSM').replace('token=pksigd', 'token=away');
    await run(bench, manager, ['--key', key, '--wait-for-token', '--management', bench.path('a.sock'), 'unix']);
    await manager.hears(/^READY=1/);
    await manager.hears(/STATUS=.*waiting for key '.*': no token 'away'/);
  });

  test('is not ready with a key that can not be opened, and says why it ends', async ({ bench }) => {
    const manager = await Manager.start(bench);
    const pksigd = await run(bench, manager, [
      ...['--key', bench.path('none.pem'), '--management', bench.path('a.sock'), 'unix'],
    ]);
    expect(await pksigd.exited).toBe(3);
    await manager.hears(/^STOPPING=1\|STATUS=.*none\.pem/);
    expect(manager.order.at(-1)).toBe('STOPPING');
    expect(manager.order).not.toContain('READY');
  });

  test('goes on where nobody can be told', async ({ bench }) => {
    const listener = await FakeListener.start(bench.path('a.sock'));
    const args = ['--key', bench.recipe('p256.pem'), '--management', bench.path('a.sock'), 'unix'];
    const pksigd = await bench.pksigd(['run', ...args], { env: { NOTIFY_SOCKET: bench.path('nobody') } });
    (await listener.next()).say(GREETING);
    const warning = await pksigd.until('warning', () =>
      pksigd.log.find(({ msg }) => String(msg).startsWith("the service manager can't be told")),
    );
    expect(warning).toMatchObject({ level: 'warn' });
    expect(await pksigd.stop()).toBe(0);
  });
});

const UNITS = join(import.meta.dirname, '../../docs/systemd');

function verify(folder: string, scope: string[], units: string[]): string {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', [...scope, 'verify', '--man=no', ...units], {
    encoding: 'utf8',
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:`, XDG_RUNTIME_DIR: folder, SYSTEMD_LOG_TARGET: 'console' },
  });
  return status === 0 ? `${stdout}${stderr}` : `status ${status}: ${stdout}${stderr}`;
}

/** A copy of the units that names the command that was built; an instance of each template beside it. */
function copyOf(bench: Bench, change = (text: string): string => text): string {
  const folder = bench.path('units');
  mkdirSync(folder);
  cpSync(UNITS, folder, { recursive: true });
  for (const name of ['pksigd.service', 'pksigd@.service', 'user/pksigd.service']) {
    const text = readFileSync(join(folder, name), 'utf8');
    expect(text).toContain('ExecStart=pksigd run ');
    writeFileSync(join(folder, name), change(text.replace('ExecStart=pksigd ', `ExecStart=${MAIN} `)));
  }
  cpSync(join(folder, 'pksigd@.service'), join(folder, 'pksigd@office.service'));
  cpSync(join(folder, 'pksigd-management@.socket'), join(folder, 'pksigd-management@office.socket'));
  return folder;
}

describe.skipIf(!hasAnalyze)('the units', () => {
  test('systemd finds no fault with them', ({ bench }) => {
    const folder = copyOf(bench);
    expect(verify(folder, [], [join(folder, 'pksigd.service'), join(folder, 'pksigd@office.service')])).toBe('');
    expect(verify(join(folder, 'user'), ['--user'], [join(folder, 'user/pksigd.service')])).toBe('');
  });

  test('nor with the sockets', ({ bench }) => {
    const folder = copyOf(bench);
    for (const name of ['pksigd-metrics.socket', 'pksigd-management@office.socket']) {
      const unit = join(folder, name);
      expect(verify(folder, [], [unit])).toBe('');
      writeFileSync(unit, readFileSync(unit, 'utf8').replace('SocketMode=', 'Socketmode='));
      expect(verify(folder, [], [unit])).toContain('Socketmode');
    }
  });

  test('and it would find some', ({ bench }) => {
    const folder = copyOf(bench, (text) => text.replace('WatchdogSec=', 'WatchDogSec='));
    expect(verify(folder, [], [join(folder, 'pksigd.service')])).toContain('WatchDogSec');
  });

  test('the drop-in fits openvpn-client@.service', async ({ bench }) => {
    const folder = copyOf(bench);
    const unit = '[Service]\nType=notify\nExecStart=/bin/true %i.conf\n';
    const original = '/lib/systemd/system/openvpn-client@.service';
    const text = existsSync(original) ? readFileSync(original, 'utf8') : unit;
    for (const name of ['openvpn-client@.service', 'openvpn-client@office.service']) {
      await bench.write(`units/${name}`, text);
    }
    expect(verify(folder, [], [join(folder, 'openvpn-client@office.service')])).toBe('');
    const dropIn = join(folder, 'openvpn-client@.service.d/pksigd.conf');
    writeFileSync(dropIn, readFileSync(dropIn, 'utf8').replace('TimeoutStartSec=', 'TimeoutStart='));
    expect(verify(folder, [], [join(folder, 'openvpn-client@office.service')])).toContain('TimeoutStart');
  });

  test('docs name their exposure as systemd-analyze has it', () => {
    const version = Number(/\d+/.exec(execFileSync('systemd-analyze', ['--version'], { encoding: 'utf8' }))?.[0]);
    // other releases weigh otherwise
    if (version !== 252) return;
    const unit = join(UNITS, 'pksigd.service');
    const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=yes', unit], { encoding: 'utf8' });
    const [, score] = /exposure level for \S+: ([\d.]+)/.exec(stdout) ?? [];
    expect(readFileSync(join(UNITS, '../SYSTEMD.md'), 'utf8')).toContain(`exposure of ${score}`);
  });

  test('the URI that `pksigd keys` prints for one can be pasted there, the other can not', async ({ bench }) => {
    const env = { SOFTHSM2_CONF: await bench.token() };
    const listing = await bench.pksigd(['keys', '--module', inject('softhsmModule')], { env });
    expect(await listing.exited).toBe(0);
    const printed = (pattern: RegExp): string =>
      listing.stdout.map((line) => pattern.exec(line)?.[1]).find((uri) => uri !== undefined) ?? '';
    const plainUri = printed(/^ +('pkcs11:.*id=%01.*')$/);
    const ofUnit = printed(/^ +in a systemd unit: ('pkcs11:.*id=%%01.*')$/);
    expect(ofUnit.replaceAll('%%', '%')).toBe(plainUri);
    const folder = bench.path('pasted');
    mkdirSync(folder);
    const verdict = (uri: string): string => {
      const unit = `[Service]\nExecStart=${MAIN} run --key ${uri} --management /run/a.sock unix\n`;
      writeFileSync(join(folder, 'pasted.service'), unit);
      return verify(folder, [], [join(folder, 'pasted.service')]);
    };
    expect(verdict(ofUnit)).toBe('');
    expect(verdict(plainUri)).toContain('Failed to resolve unit specifiers');
  });
});

plain('the package has all units', () => {
  const { files } = JSON.parse(readFileSync(join(UNITS, '../../package.json'), 'utf8')) as { files: string[] };
  expect(files).toContain('docs');
  expect(readdirSync(UNITS).sort()).toEqual([
    'openvpn-client@.service.d',
    'pksigd-management@.socket',
    'pksigd-metrics.socket',
    'pksigd.service',
    'pksigd@.service',
    'user',
  ]);
});
