import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settingsOf, tokenSettings, type TunnelFlags } from '../../../src/config/flags.ts';

const FLAGS: TunnelFlags = { key: ['k.pem'], deadline: 30_000, onTokenRemoval: 'none' };
const TCP = { management: ['127.0.0.1', '7505'] };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-flags-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('options', () => {
  test('become one key and one tunnel that uses it', async () => {
    const { keys, tunnels, tokens } = await settingsOf({ ...FLAGS, ...TCP, cert: 'c.pem', waitForToken: true });
    const [[name, tunnel] = []] = Object.entries(tunnels);
    expect(name).toBeDefined();
    expect(tunnel).toMatchObject({ address: { kind: 'tcp', port: 7505 }, listen: false, maxDaemons: 1 });
    expect(keys[tunnel?.key ?? '']).toMatchObject({ copies: ['k.pem'], certificate: 'c.pem', waitForToken: true });
    expect(tokens).toMatchObject({ deadline: 30_000, modules: { environment: {} } });
  });

  test('take the management directives of an .ovpn', async () => {
    const path = join(folder, 'client.ovpn');
    writeFileSync(path, 'management m.sock unix pw\nmanagement-client\n');
    const { tunnels } = await settingsOf({ ...FLAGS, openvpnConfig: [path] });
    expect(Object.values(tunnels)).toEqual([
      expect.objectContaining({
        address: { kind: 'unix', path: join(folder, 'm.sock') },
        password: join(folder, 'pw'),
        listen: true,
        maxDaemons: Infinity,
        openvpnConfig: expect.objectContaining({ path }) as object,
      }),
    ]);
  });

  test.each([
    ['neither daemon nor configuration', {}],
    ['both', { ...TCP, openvpnConfig: ['x.ovpn'] }],
    ['one word of an address', { management: ['127.0.0.1'] }],
    ['four words', { management: ['127.0.0.1', '7505', 'pw', 'x'] }],
    ["the relay's options without one", { ...TCP, relayKeep: true }],
    ["the rights of a relay's clients without one", { ...TCP, relayAllow: 'all' as const }],
    ['a mode that is not octal', { ...TCP, relay: ['/run/r', 'unix'], relayMode: '0888' }],
    ['a mode for TCP', { ...TCP, relay: ['127.0.0.1', '1'], relayMode: '0660' }],
    ['one address twice', { ...TCP, relay: ['127.0.0.1', '7505'] }],
    ['several daemons that do not connect', { ...TCP, maxDaemons: 2 }],
    ['several daemons with a relay', { ...TCP, managementClient: true, maxDaemons: 2, relay: ['/run/r', 'unix'] }],
    ['a variable without a value', { ...TCP, moduleEnv: ['PIN'] }],
    ['a username without a password', { ...TCP, authUser: 'al' }],
    ['a password that is typed, and no username', { ...TCP, authUserPass: 'prompt' }],
    ['a source without a command', { ...TCP, askpass: 'command:' }],
    ['a confirmation that is none', { ...TCP, answerNeedok: ['card=yes'] }],
    ['an answer without a name', { ...TCP, answerNeedstr: ['John'] }],
    ['a port that is none', { ...TCP, answerRemote: ['MOD', 'a', '65536'] }],
    ['a remote without a port', { ...TCP, answerRemote: ['MOD', 'a'] }],
    ['a proxy of another kind', { ...TCP, answerProxy: ['FTP', 'a', '1'] }],
    ['nct for SOCKS', { ...TCP, answerProxy: ['SOCKS', 'a', '1', 'nct'] }],
  ])('that make no sense are refused: %s', async (_, more) => {
    await expect(settingsOf({ ...FLAGS, ...more })).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test('about answers become answers, and none where there are none', async () => {
    const one = async (more: Partial<TunnelFlags>) =>
      Object.values((await settingsOf({ ...FLAGS, ...TCP, ...more })).tunnels)[0]?.answers;
    expect(await one({})).toBeUndefined();
    expect(
      await one({
        authUserPass: 'login',
        askpass: 'prompt',
        answerNeedok: ['card=ok'],
        answerNeedstr: ['name=a=b'],
        answerRemote: ['SKIP', '3'],
        answerProxy: ['HTTP', 'p', '8080', 'nct'],
        challengeCommand: 'totp',
      }),
    ).toEqual({
      logins: { Auth: { source: 'login', lines: 2 }, 'Private Key': { source: 'prompt', lines: 1 } },
      challengeCommand: 'totp',
      openUrlCommand: undefined,
      needOk: { card: 'ok' },
      needStr: { name: 'a=b' },
      remote: { action: 'SKIP', count: 3 },
      proxy: { type: 'HTTP', host: 'p', port: 8080, nonCleartextAuth: true },
    });
    expect(await one({ authUser: 'al', authUserPass: 'credential:pw' })).toMatchObject({
      logins: { Auth: { source: 'credential:pw', lines: 1, username: 'al' } },
    });
  });

  test('one unix socket by two names is one address', async () => {
    mkdirSync(join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    const management = [join(folder, 'a/s'), 'unix'];
    const relay = [join(folder, 'b/s'), 'unix'];
    await expect(settingsOf({ ...FLAGS, management, relay })).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test("where the agent itself listens is no tunnel's", async () => {
    await expect(settingsOf({ ...FLAGS, ...TCP, metrics: ['127.0.0.1', '7505'] })).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: '127.0.0.1:7505 is in use by metrics',
    });
    const [control, metrics] = [join(folder, 's'), [join(folder, 's'), 'unix']];
    await expect(settingsOf({ ...FLAGS, ...TCP, control, metrics })).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await expect(settingsOf({ ...FLAGS, ...TCP, control: 'none' })).resolves.toBeDefined();
  });

  test('variables of modules keep what stands behind the first =', () => {
    const { modules } = tokenSettings({ deadline: 1, moduleEnv: ['A=b=c', 'B='] });
    expect(modules.environment).toEqual({ A: 'b=c', B: '' });
  });
});
