import { mkdir, readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { FakeListener, GREETING, type FakeDaemon } from '../support/fake-daemon.ts';
import type { LogLine, Pksigd } from '../support/pksigd.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

/** Daemons that listen, each at a socket called as it is. */
async function listen<Name extends string>(bench: Bench, ...names: Name[]): Promise<Record<Name, FakeListener>> {
  const all = names.map(async (name) => [name, await FakeListener.start(bench.path(`${name}.sock`))] as const);
  return Object.fromEntries(await Promise.all(all)) as Record<Name, FakeListener>;
}

async function greeted(listener: FakeListener): Promise<FakeDaemon> {
  const daemon = await listener.next();
  daemon.say(GREETING);
  return daemon;
}

async function served(daemon: FakeDaemon): Promise<void> {
  daemon.say(REQUEST);
  expect((await daemon.hearsBlock('pk-sig')).join('')).not.toBe('');
  daemon.say('SUCCESS: pk-sign command succeeded\r\n');
}

const keySection = (bench: Bench, name = 'office', key = 'p256'): string =>
  `[key.${name}]\nkey = "${bench.recipe(`${key}.pem`)}"\n`;

const tunnelSection = (name: string, more = 'key = "office"'): string =>
  `[tunnel.${name}]\nmanagement = "${name}.sock unix"\n${more}\n`;

/** Writes the configuration anew and waits until it was taken, or refused. */
async function reload(bench: Bench, pksigd: Pksigd, text: string, msg: string): Promise<Record<string, unknown>> {
  await bench.write('p.toml', text);
  const times = pksigd.messages(msg).length + 1;
  pksigd.kill('SIGHUP');
  return await pksigd.message(msg, times);
}

describe('run --config', () => {
  test('serves the tunnels of a file and of its drop-ins, and ends on SIGTERM', async ({ bench }) => {
    const daemons = await listen(bench, 'a', 'b', 'c');
    await mkdir(bench.path('p.toml.d'));
    await bench.write('p.toml', `${keySection(bench)}${tunnelSection('a')}[log]\nlevel = "warn"\n`);
    await bench.write('p.toml.d/more.toml', '[log]\nlevel = "info"\n[tunnel.b]\nmanagement = "../b.sock unix"\n');
    await bench.write('c.conf', 'management c.sock unix\n');
    await bench.write('p.toml.d/ovpn.toml', '[tunnel.all]\nopenvpn-config = "../*.conf"\n');
    const pksigd = await bench.pksigd(['run', '--config', bench.path('p.toml')]);
    for (const listener of Object.values(daemons)) await served(await greeted(listener));
    await pksigd.message('signed', 3);
    expect(new Set(pksigd.messages('signed').map(({ tunnel }) => tunnel))).toEqual(new Set(['a', 'b', 'c']));
    expect(await pksigd.stop()).toBe(0);
  });

  test("says once of a key's certificate what there is to say, however many tunnels have the key", async ({
    bench,
  }) => {
    const key = `${keySection(bench)}cert = "${bench.recipe('p256.crt')}"\n`;
    await bench.write('p.toml', key + ['a', 'b', 'c'].map((name) => tunnelSection(name)).join(''));
    const daemons = await listen(bench, 'a');
    const pksigd = await bench.pksigd(['run', '--log-level', 'debug', '--config', bench.path('p.toml')]);
    await served(await greeted(daemons.a));
    await pksigd.signed(1);
    const told = (): LogLine[] => pksigd.log.filter(({ msg }) => String(msg).startsWith('certificate: '));
    await pksigd.until('what there is to say', () => told()[0]);
    // all of it comes at once: what is said twice is there by now, too
    await pksigd.stop();
    const verdicts = told();
    expect(new Set(verdicts.map(({ msg }) => msg)).size).toBe(verdicts.length);
    for (const verdict of verdicts) expect(verdict).toMatchObject({ key: 'office' });
  });

  test('says each mistake in a line with its place, and exits with 2', async ({ bench }) => {
    const path = await bench.write('p.toml', '[log]\nlevel = "inf"\n[token]\nmodul = "x"\n');
    const pksigd = await bench.pksigd(['run', '--config', path]);
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.log.map(({ level, msg, code }) => [level, msg, code])).toEqual([
      ['error', expect.stringContaining(`${path}:2:9: 'level' takes`), 'ERR_CONFIG'],
      ['error', `${path}:4:1: unknown key 'modul' in [token]: did you mean 'module'?`, 'ERR_CONFIG'],
      ['fatal', 'pksigd ends', 'ERR_CONFIG'],
    ]);
  });

  test('refuses options that the file is for, and lets --log-level go before it', async ({ bench }) => {
    const path = await bench.write('p.toml', keySection(bench));
    const refused = await bench.pksigd(['run', '--config', path, '--key', 'k.pem', '--deadline', '3']);
    expect(await refused.exited).toBe(2);
    expect(refused.transcript).toContain('--config says all that --key, --deadline would');
    const { a } = await listen(bench, 'a');
    await bench.write('p.toml', `[log]\nlevel = "debug"\n${keySection(bench)}${tunnelSection('a')}`);
    const pksigd = await bench.pksigd(['run', '--config', path, '--log-level', 'silent']);
    const daemon = await greeted(a);
    await served(daemon);
    pksigd.kill('SIGHUP');
    await served(daemon);
    expect(await pksigd.stop()).toBe(0);
    expect(pksigd.lines).toEqual([]);
  });

  test('without a tunnel waits for one', async ({ bench }) => {
    const { a } = await listen(bench, 'a');
    const path = await bench.write('p.toml', keySection(bench));
    const pksigd = await bench.pksigd(['run', '--config', path]);
    await pksigd.message('there is no tunnel to serve: waiting for a configuration that has one');
    await reload(bench, pksigd, `${keySection(bench)}${tunnelSection('a')}`, 'reloaded: 1 added, 0 changed, 0 removed');
    await served(await greeted(a));
    expect(await pksigd.stop()).toBe(0);
  });

  test('ends with the reason when no key is of use', async ({ bench }) => {
    const path = await bench.write(
      'p.toml',
      `[key.office]\nkey = "none.pem"\n${tunnelSection('a')}${tunnelSection('b')}`,
    );
    const pksigd = await bench.pksigd(['run', '--config', path]);
    expect(await pksigd.exited).toBe(3);
    expect(await pksigd.message('pksigd ends')).toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
  });

  test('says in its hints what the key of the file is called', async ({ bench }) => {
    await bench.write('open.pem', await readFile(bench.recipe('p256.pem')), 0o644);
    const path = await bench.write('p.toml', `[key.office]\nkey = "open.pem"\n${tunnelSection('a')}`);
    const pksigd = await bench.pksigd(['run', '--config', path]);
    expect(await pksigd.exited).toBe(2);
    expect((await pksigd.message('pksigd ends'))['error']).toMatch(/chmod 600 it, or give 'allow-readable-key'$/);
  });
});

describe('SIGHUP', () => {
  test('adds, changes and removes tunnels; those that stay keep their connections', async ({ bench }) => {
    const daemons = await listen(bench, 'a', 'b', 'c', 'd');
    const path = await bench.write(
      'p.toml',
      `${keySection(bench)}${tunnelSection('a')}${tunnelSection('b')}${tunnelSection('c')}`,
    );
    const pksigd = await bench.pksigd(['run', '--config', path]);
    const [a, b, c] = [await greeted(daemons.a), await greeted(daemons.b), await greeted(daemons.c)];
    for (const daemon of [a, b, c]) await served(daemon);

    const next = `${keySection(bench)}${tunnelSection('a')}${tunnelSection('b', 'on-token-removal = "restart"')}${tunnelSection('d')}`;
    const line = await reload(bench, pksigd, next, 'reloaded: 1 added, 1 changed, 1 removed');
    expect(line).toMatchObject({ level: 'info', added: 1, changed: 1, removed: 1, unchanged: 1, keys: 0 });
    await Promise.all([b.gone(), c.gone()]);
    await served(await greeted(daemons.b));
    await served(await greeted(daemons.d));
    await served(a);
    expect(a.ended).toBe(false);
    expect(pksigd.messages('connected to the daemon').filter(({ tunnel }) => tunnel === 'a')).toHaveLength(1);
    expect(pksigd.messages('key ready')).toHaveLength(1);
    expect(await pksigd.stop()).toBe(0);
  });

  test('on a broken file changes nothing, and says each mistake', async ({ bench }) => {
    const daemons = await listen(bench, 'a', 'b');
    const good = `${keySection(bench)}${tunnelSection('a')}`;
    const pksigd = await bench.pksigd(['run', '--config', await bench.write('p.toml', good)]);
    const a = await greeted(daemons.a);
    await served(a);
    const broken = `${keySection(bench)}${tunnelSection('b')}[log]\nlevel = "inf"\n[tunel]\n`;
    const line = await reload(bench, pksigd, broken, 'not reloaded: all stays as it is');
    expect(line).toMatchObject({ level: 'error', code: 'ERR_CONFIG' });
    const told = pksigd.log.filter(({ level }) => level === 'error').map(({ msg }) => String(msg));
    expect(told.filter((text) => text.includes('p.toml:'))).toEqual([
      expect.stringContaining("p.toml:7:9: 'level' takes"),
      expect.stringContaining("p.toml:8:2: unknown section 'tunel': did you mean 'tunnel'?"),
    ]);
    await served(a);
    await reload(bench, pksigd, 'x', 'not reloaded: all stays as it is');
    await served(a);
    await reload(bench, pksigd, `${good}${tunnelSection('b')}`, 'reloaded: 1 added, 0 changed, 0 removed');
    await served(await greeted(daemons.b));
    await served(a);
    expect(await pksigd.stop()).toBe(0);
  });

  test('on an emptied file changes nothing; sections without a tunnel end all', async ({ bench }) => {
    const daemons = await listen(bench, 'a');
    const good = `${keySection(bench)}${tunnelSection('a')}`;
    const pksigd = await bench.pksigd(['run', '--config', await bench.write('p.toml', good)]);
    const a = await greeted(daemons.a);
    await served(a);
    for (const empty of ['', '# soon\n']) {
      const line = await reload(bench, pksigd, empty, 'not reloaded: all stays as it is');
      expect(line).toMatchObject({
        code: 'ERR_CONFIG',
        error: expect.stringContaining('the file is empty: ') as string,
      });
      await served(a);
    }
    await reload(bench, pksigd, '[log]\n', 'reloaded: 0 added, 0 changed, 1 removed');
    // nothing is lost by it now
    await reload(bench, pksigd, '', 'reloaded: 0 added, 0 changed, 0 removed');
    await reload(bench, pksigd, good, 'reloaded: 1 added, 0 changed, 0 removed');
    await served(await greeted(daemons.a));
    expect(await pksigd.stop()).toBe(0);
  });

  test('reads a certificate and a key anew that changed, and changes the relay and the level of the log', async ({
    bench,
  }) => {
    const daemons = await listen(bench, 'a', 'b');
    const copy = async (name: string): Promise<void> => {
      await bench.write('k.pem', await readFile(bench.recipe(`${name}.pem`)));
      await bench.write('k.crt', await readFile(bench.recipe(`${name}.crt`)));
    };
    await copy('p256');
    const keys = `${keySection(bench)}[key.own]\nkey = "k.pem"\ncert = "k.crt"\n`;
    const text = `${keys}${tunnelSection('a')}${tunnelSection('b', 'key = "own"')}`;
    const pksigd = await bench.pksigd(['run', '--config', await bench.write('p.toml', text)]);
    const [a, b] = [await greeted(daemons.a), await greeted(daemons.b)];
    await served(a);
    await served(b);
    // a certificate of another key: the key stays as it is
    await bench.write('k.crt', await readFile(bench.recipe('p384.crt')));
    await reload(bench, pksigd, text, 'reloaded: 0 added, 0 changed, 0 removed');
    expect(pksigd.log.filter(({ code }) => code === 'ERR_CERTIFICATE_MISMATCH')).toHaveLength(1);
    await served(b);
    await copy('p384');
    await reload(bench, pksigd, text, 'reloaded: 0 added, 0 changed, 0 removed');
    await served(b);
    expect(pksigd.messages('another key pair is in its place: it is used from now on')).toHaveLength(1);
    expect(pksigd.messages('the key has another certificate').at(-1)).toMatchObject({
      certificate: expect.stringContaining('p384') as string,
    });
    // a relay of a, and more to say
    const more = `${keys}${tunnelSection('a', 'key = "office"\nrelay = "relay.sock unix"')}${tunnelSection('b', 'key = "own"')}[log]\nlevel = "debug"\n`;
    await reload(bench, pksigd, more, 'reloaded: 0 added, 1 changed, 0 removed');
    await pksigd.message('listening for management clients');
    const again = await greeted(daemons.a);
    await served(again);
    await pksigd.message('a signature is asked for');
    expect(await pksigd.stop()).toBe(0);
  });

  test("logs in anew where the source of a token's PIN changed", async ({ bench }) => {
    const daemons = await listen(bench, 'a');
    await bench.write('pin', await bench.pin());
    const env = { SOFTHSM2_CONF: await bench.token() };
    const sections = (key: string): string => `[key.office]\nkey = "${key}"\n${tunnelSection('a')}`;
    const path = await bench.write('p.toml', sections(bench.key('p256', 'SoftHSM')));
    const pksigd = await bench.pksigd(['run', '--config', path], { env });
    const a = await greeted(daemons.a);
    await served(a);
    const other = bench.key('p256', 'SoftHSM', { 'pin-source': `file:${bench.path('pin')}` });
    await reload(bench, pksigd, sections(other), 'reloaded: 0 added, 1 changed, 0 removed');
    await a.gone();
    await served(await greeted(daemons.a));
    expect(pksigd.messages('key ready')).toHaveLength(2);
    expect(await pksigd.stop()).toBe(0);
  });

  test('without a configuration file reads the certificate anew, and says so', async ({ bench }) => {
    const { a } = await listen(bench, 'a');
    const args = ['run', '--management', bench.path('a.sock'), 'unix', '--key', bench.recipe('p256.pem')];
    const pksigd = await bench.pksigd(args);
    const daemon = await greeted(a);
    await served(daemon);
    pksigd.kill('SIGHUP');
    const text = 'reading the certificates anew: there is no configuration file';
    expect(await pksigd.message(text)).toMatchObject({ signal: 'SIGHUP' });
    await served(daemon);
    expect(await pksigd.stop()).toBe(0);
  });
});

test('several --openvpn-config are tunnels beside each other', async ({ bench }) => {
  const daemons = await listen(bench, 'a', 'b', 'c');
  for (const name of ['a', 'b', 'c']) await bench.write(`${name}.conf`, `management ${name}.sock unix\n`);
  await bench.write('broken.conf', 'dev tun\n');
  const args = ['run', '--openvpn-config', bench.path('[ab].conf'), '--openvpn-config', bench.path('broken.conf')];
  const pksigd = await bench.pksigd([...args, bench.path('c.conf'), '--key', bench.recipe('p256.pem')]);
  for (const listener of Object.values(daemons)) await served(await greeted(listener));
  expect(await pksigd.message('the tunnel is not served')).toMatchObject({
    tunnel: bench.path('broken.conf'),
    code: 'ERR_CONFIG',
  });
  expect(pksigd.messages('key ready')).toHaveLength(1);
  expect(await pksigd.stop()).toBe(0);
});

describe('config', () => {
  test('check says ok, or each mistake', async ({ bench }) => {
    await bench.write('a.conf', 'management a.sock unix\n');
    const text = `${keySection(bench)}[tunnel.a]\nopenvpn-config = "a.conf"\n`;
    const path = await bench.write('p.toml', text);
    const good = await bench.pksigd(['config', 'check', '--config', path]);
    expect(await good.exited).toBe(0);
    expect(good.stdout).toEqual([`${path}: ok, 1 file, 1 key, 1 tunnel`]);
    await bench.write('a.conf', 'dev tun\n');
    await bench.write('p.toml', `${text}modul = "x"\n`);
    const bad = await bench.pksigd(['config', 'check', '--config', path]);
    expect(await bad.exited).toBe(2);
    expect(bad.stdout).toEqual([]);
    expect(bad.stderr).toEqual([
      expect.stringMatching(/p\.toml:5:1: unknown key 'modul' in \[tunnel\.a\]/),
      `pksigd: ${path} has a mistake [ERR_CONFIG]`,
    ]);
  });

  test('show prints what run takes', async ({ bench }) => {
    const { a } = await listen(bench, 'a');
    const pin = 'pin-source = "command:cat pin"';
    const path = await bench.write('p.toml', `[token]\n${pin}\n${keySection(bench)}${tunnelSection('a')}`);
    const shown = await bench.pksigd(['config', 'show', '--config', path]);
    expect(await shown.exited).toBe(0);
    expect(shown.stdout).toContain(pin);
    expect(shown.stdout).toContain('deadline = 30');
    const again = await bench.write('again.toml', `${shown.stdout.join('\n')}\n`);
    const pksigd = await bench.pksigd(['run', '--config', again]);
    await served(await greeted(a));
    expect(await pksigd.stop()).toBe(0);
  });
});
