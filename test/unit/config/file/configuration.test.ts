import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfiguration, type Configuration } from '../../../../src/config/file/configuration.ts';
import { formatDocument } from '../../../../src/config/file/show.ts';
import { settingsOf } from '../../../../src/config/flags.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

async function read(text: string): Promise<Configuration> {
  return await readConfiguration(write('p.toml', text));
}

const OVPN = 'management m.sock unix\nmanagement-external-key\n';

describe('a configuration', () => {
  test('becomes the settings that options would become', async () => {
    const { settings, logLevel } = await read(`
      [log]
      level = "debug"
      [state]
      directory = "state"
      [token]
      pin-source = "command:ask"
      deadline = 7.5
      module = "m.so"
      module-env = { A = "b=c" }
      [key.office]
      key = ["pkcs11:token=a", "k.pem"]
      cert = "c.pem"
      wait-for-token = true
      [tunnel.office]
      management = '"m sock" unix stdin'
      management-client = true
      on-token-removal = "restart"
      relay = "127.0.0.1 7000 file:pw"
      relay-allow = "operate"
      auth-user-pass = "file:login"
      challenge-command = "totp < seed"
      answer-needok = { card = "ok" }
      answer-remote = 'MOD "vpn.example.com" 443'
    `);
    const flags = await settingsOf({
      stateDirectory: join(folder, 'state'),
      authUserPass: join(folder, 'login'),
      challengeCommand: 'totp < seed',
      answerNeedok: ['card=ok'],
      answerRemote: ['MOD', 'vpn.example.com', '443'],
      pinSource: 'command:ask',
      deadline: 7_500,
      module: join(folder, 'm.so'),
      moduleEnv: ['A=b=c'],
      key: ['pkcs11:token=a', join(folder, 'k.pem')],
      cert: join(folder, 'c.pem'),
      waitForToken: true,
      management: [join(folder, 'm sock'), 'unix', 'stdin'],
      managementClient: true,
      onTokenRemoval: 'restart',
      relay: ['127.0.0.1', '7000', join(folder, 'pw')],
      relayAllow: 'operate',
    });
    const [tunnel] = Object.values(flags.tunnels);
    expect(settings).toEqual({
      ...flags,
      keys: { office: flags.keys['key'] },
      tunnels: { office: { ...tunnel, key: 'office' } },
    });
    expect(logLevel).toBe('debug');
  });

  test('without anything in it is one without keys and tunnels', async () => {
    const { settings, logLevel } = await read('');
    expect(settings).toMatchObject({ keys: {}, tunnels: {}, tokens: { deadline: 30_000 } });
    expect(logLevel).toBe('info');
  });

  test('has drop-ins, of which the later one goes before; each counts paths from its own folder', async () => {
    write('p.toml.d/10.toml', '[log]\nlevel = "warn"\n[key.b]\nkey = "b.pem"\n');
    write('p.toml.d/20.toml', '[log]\nlevel = "error"\n[key.a]\ncert = "a.crt"\n');
    write('p.toml.d/.hidden.toml', 'nonsense');
    write('p.toml.d/30.toml.bak', 'nonsense');
    const { settings, logLevel, files } = await read('[log]\nlevel = "info"\n[key.a]\nkey = "a.pem"\n');
    expect(logLevel).toBe('error');
    expect(settings.keys['a']).toMatchObject({
      copies: [join(folder, 'a.pem')],
      certificate: join(folder, 'p.toml.d/a.crt'),
    });
    expect(settings.keys['b']).toMatchObject({ copies: [join(folder, 'p.toml.d/b.pem')] });
    expect(files).toHaveLength(3);
  });
});

describe('an .ovpn', () => {
  test('is a tunnel; a pattern is one for each file, called as the file', async () => {
    write('one/client.conf', OVPN);
    write('many/b.conf', 'management b.sock unix');
    write('many/a.conf', 'management a.sock unix\nmanagement-client');
    write('many/c.ovpn', OVPN);
    write('many/.d.conf', OVPN);
    const { settings } = await read(`
      [key.k]
      key = "k.pem"
      [tunnel.office]
      openvpn-config = "one/client.conf"
      [tunnel.others]
      openvpn-config = "many/*.conf"
      on-token-removal = "restart"
    `);
    expect(Object.keys(settings.tunnels)).toEqual(['office', 'a', 'b']);
    expect(settings.tunnels['a']).toMatchObject({
      address: { path: join(folder, 'many/a.sock') },
      listen: true,
      key: 'k',
      onTokenRemoval: 'restart',
    });
  });

  test('that is of no use is told with its place, and leaves the other tunnels as they are', async () => {
    write('many/a.conf', OVPN);
    write('many/b.conf', 'dev tun\n');
    write('many/c.conf', 'management\n');
    write('many/d.conf', OVPN);
    const { settings, faults } = await read(`[key.k]
key = "k.pem"
[tunnel.missing]
openvpn-config = "none.conf"
[tunnel.others]
openvpn-config = "many/?.conf"
`);
    expect(Object.keys(settings.tunnels)).toEqual(['a']);
    expect(settings.broken?.map(({ name, error }) => [name, error.code])).toEqual([
      ['missing', 'ERR_CONFIG_NOT_FOUND'],
      ['b', 'ERR_CONFIG'],
      ['c', 'ERR_CONFIG'],
      ['d', 'ERR_USAGE'],
    ]);
    expect(faults.map(({ place: { line, column }, message }) => [line, column, message])).toEqual([
      [4, 18, expect.stringContaining('ENOENT')],
      [6, 18, expect.stringContaining('b.conf has no management directive')],
      [6, 18, expect.stringContaining('c.conf:1: management takes')],
      [6, 18, `${join(folder, 'many/m.sock')} is in use by tunnel 'a'`],
    ]);
  });

  test('by options: several, and patterns, are tunnels with one key; one of no use disturbs no other', async () => {
    const paths = ['a', 'b'].map((name) => write(`${name}.conf`, `management ${name}.sock unix`));
    write('c.conf', 'dev tun');
    const flags = { key: ['k.pem'], deadline: 1, onTokenRemoval: 'none' } as const;
    const { tunnels, broken } = await settingsOf({ ...flags, openvpnConfig: [join(folder, '[a-c].conf'), ...paths] });
    expect(Object.keys(tunnels)).toEqual([join(folder, 'a.sock'), join(folder, 'b.sock')]);
    expect(Object.values(tunnels).map(({ key }) => key)).toEqual(['key', 'key']);
    expect(broken).toEqual([{ name: join(folder, 'c.conf'), error: expect.objectContaining({ code: 'ERR_CONFIG' }) }]);
    await expect(settingsOf({ ...flags, openvpnConfig: [join(folder, '*.none')] })).rejects.toMatchObject({
      code: 'ERR_CONFIG_NOT_FOUND',
    });
    await expect(settingsOf({ ...flags, openvpnConfig: paths, relay: ['/r', 'unix'] })).rejects.toMatchObject({
      code: 'ERR_USAGE',
    });
  });
});

test('what is shown can be read again, and says the same', async () => {
  write('many/a.conf', OVPN);
  const first = await read(`
    [token]
    pin-source = '|printf "%s" \\x'
    module-env = { A = "ü \\u007f \\n", B = "" }
    [key.office]
    key = ['pkcs11:token=a?pin-source=file:/run/pin', "k.pem"]
    [tunnel.office]
    management = "\\"a b\\\\\\\\c.sock\\" unix"
    management-user = 33
    relay = "r.sock unix"
    relay-mode = "0660"
    [tunnel.others]
    openvpn-config = "many/*.conf"
  `);
  const shown = formatDocument(first.document);
  expect(shown).toContain('deadline = 30\n');
  const again = await readConfiguration(write('elsewhere/q.toml', shown));
  expect(again.document).toEqual(first.document);
  expect(again.settings).toEqual(first.settings);
  expect(formatDocument(again.document)).toBe(shown);
});
