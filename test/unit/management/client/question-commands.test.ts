import { afterEach, expect, test, vi } from 'vitest';
import { Secret } from '../../../../src/secret.ts';
import { coded, greeting, setUp } from '../pair.ts';
import { type CommandCase, testEachCommand } from './each-command.ts';

const { pair } = setUp();
afterEach(() => void vi.restoreAllMocks());

const cases: CommandCase[] = [
  [
    'username',
    (c) => c.username('Auth', 'a "b'),
    'username Auth "a \\"b"',
    "SUCCESS: 'Auth' username entered, but not yet verified",
    undefined,
  ],
  [
    'password',
    (c) => c.password('Private Key', new Secret('foo"bär\\')),
    'password "Private Key" "foo\\"b\xc3\xa4r\\\\"',
    "SUCCESS: 'Private Key' password entered, but not yet verified",
    undefined,
  ],
  [
    'password, empty',
    (c) => c.password('Auth', ''),
    'password Auth ""',
    "SUCCESS: 'Auth' password entered, but not yet verified",
    undefined,
  ],
  [
    'needOk',
    (c) => c.needOk('token-insertion-request', 'ok'),
    'needok token-insertion-request ok',
    "SUCCESS: 'token-insertion-request' needok-confirmation entered, but not yet verified",
    undefined,
  ],
  [
    'needStr',
    (c) => c.needStr('name', 'John D'),
    'needstr name "John D"',
    "SUCCESS: 'name' needstr-string entered, but not yet verified",
    undefined,
  ],
  [
    'crResponse',
    (c) => c.crResponse('Hallo Welt!'),
    'cr-response SGFsbG8gV2VsdCE=',
    'SUCCESS: command succeeded',
    undefined,
  ],
  ['proxy NONE', (c) => c.proxy({ type: 'NONE' }), 'proxy NONE', 'SUCCESS: proxy command succeeded', undefined],
  [
    'proxy HTTP',
    (c) => c.proxy({ type: 'HTTP', host: 'proxy.intranet', port: 8080, nonCleartextAuth: true }),
    'proxy HTTP proxy.intranet 8080 nct',
    'SUCCESS: proxy command succeeded',
    undefined,
  ],
  [
    'proxy HTTP, with a password that shows',
    (c) => c.proxy({ type: 'HTTP', host: 'proxy.intranet', port: 8080, nonCleartextAuth: false }),
    'proxy HTTP proxy.intranet 8080',
    'SUCCESS: proxy command succeeded',
    undefined,
  ],
  [
    'proxy SOCKS',
    (c) => c.proxy({ type: 'SOCKS', host: 'fe00::1', port: 1080 }),
    'proxy SOCKS fe00::1 1080',
    'SUCCESS: proxy command succeeded',
    undefined,
  ],
  ['remoteAccept', (c) => c.remoteAccept(), 'remote ACCEPT', 'SUCCESS: remote command succeeded', undefined],
  [
    'remoteModify',
    (c) => c.remoteModify('vpn.otherexample.com', 1234),
    'remote MOD vpn.otherexample.com 1234',
    'SUCCESS: remote command succeeded',
    undefined,
  ],
  ['remoteSkip', (c) => c.remoteSkip(), 'remote SKIP', 'SUCCESS: remote command succeeded', undefined],
  ['remoteSkip some', (c) => c.remoteSkip(3), 'remote SKIP 3', 'SUCCESS: remote command succeeded', undefined],
  ['remoteEntryCount', (c) => c.remoteEntryCount(), 'remote-entry-count', '5\r\nEND', 5],
  [
    'remoteEntries',
    (c) => c.remoteEntries(1, 3),
    'remote-entry-get 1 3',
    '1,vpn.example.com,1194,udp,enabled\r\n2,vpn.example.net,443,tcp-client,disabled\r\nEND',
    [
      { index: 1, host: 'vpn.example.com', port: '1194', protocol: 'udp', enabled: true },
      { index: 2, host: 'vpn.example.net', port: '443', protocol: 'tcp-client', enabled: false },
    ],
  ],
  ['remoteEntries, one', (c) => c.remoteEntries(2), 'remote-entry-get 2', 'END', []],
  ['remoteEntries, all', (c) => c.remoteEntries('all'), 'remote-entry-get all', 'END', []],
  ['pkcs11IdCount', (c) => c.pkcs11IdCount(), 'pkcs11-id-count', '>PKCS11ID-COUNT:5', 5],
  [
    'pkcs11IdGet',
    (c) => c.pkcs11IdGet(1),
    'pkcs11-id-get 1',
    ">PKCS11ID-ENTRY:'1', ID:'x', BLOB:'y'",
    { id: 'x', blob: 'y' },
  ],
  ['pkcs11IdGet, none', (c) => c.pkcs11IdGet(7), 'pkcs11-id-get 7', ">PKCS11ID-ENTRY:'7'", undefined],
];

testEachCommand(cases, pair);

test('a password over 256 bytes goes as base64, where the daemon takes that', async () => {
  const long = 'p'.repeat(300);
  const { client: old } = await pair({ clientVersion: 5 });
  await expect(old.password('Auth', long)).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT', '300'));
  const { client: quiet } = await pair({ clientVersion: 3 }, greeting(6));
  await expect(quiet.password('Auth', long)).rejects.toMatchObject({
    code: 'ERR_MANAGEMENT_ARGUMENT',
    hint: 'OpenVPN takes up to 256, more only from 2.7 on with client version 5',
  });
  const { client, daemon } = await pair({ clientVersion: 5 }, greeting(6));
  await daemon.hear('version 5\n');
  daemon.say('SUCCESS: Management client version set to 5\r\n');
  const called = client.password('Auth', new Secret(long));
  const [head, ...body] = (await daemon.hear('END\n')).split('\n').slice(0, -2);
  expect(head).toBe('password Auth');
  expect(Buffer.from(body.join(''), 'base64').toString()).toBe(long);
  daemon.say("SUCCESS: 'Auth' password entered, but not yet verified\r\n");
  await called;
});

test.each([
  ['as it is', 'sesame', 5],
  ['as base64', 'sesame'.repeat(50), 6],
])(
  'a password that comes to nothing is told of as one, and the next command is whole (%s)',
  async (_, text, version) => {
    const { client, daemon } = await pair({ clientVersion: 5 }, greeting(version));
    if (version > 5) daemon.say('SUCCESS: Management client version set to 5\r\n');
    await daemon.hear('version 5\n');
    const refused = client.password('Auth', text);
    await daemon.hear(version > 5 ? 'END\n' : '\n');
    daemon.say('ERROR: no\r\n');
    await expect(refused).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', 'the password command: no'));
    await expect(client.password('Auth', text, { signal: AbortSignal.abort() })).rejects.toEqual(
      coded('ERR_ABORTED', 'the password command'),
    );
    const behind = client.pid();
    expect(await daemon.hear('pid\n')).toBe('pid\n');
    daemon.say('SUCCESS: pid=1\r\n');
    expect(await behind).toBe(1);
  },
);

test('a password of 256 bytes still goes as it is', async () => {
  const { client, daemon } = await pair();
  const called = client.password('Auth', 'p'.repeat(256));
  expect(await daemon.hear('\n')).toBe(`password Auth "${'p'.repeat(256)}"\n`);
  daemon.say("SUCCESS: 'Auth' password entered, but not yet verified\r\n");
  await called;
});

test.each([
  ['as it is', 'sesame', 5],
  ['as base64', 'sesame'.repeat(50), 6],
])('no copy of a password is left behind, and it stays the caller’s (%s)', async (_, text, version) => {
  const { client, daemon } = await pair({ clientVersion: 5 }, greeting(version));
  if (version > 5) daemon.say('SUCCESS: Management client version set to 5\r\n');
  await daemon.hear('version 5\n');
  const secret = new Secret(text);
  // all that the call makes; what the daemon's end reads is its own
  const made: Buffer[] = [];
  const keep = (bytes: unknown): void => {
    if (Buffer.isBuffer(bytes)) made.push(bytes);
  };
  const spies = [vi.spyOn(Buffer, 'alloc'), vi.spyOn(Buffer, 'concat'), vi.spyOn(Buffer, 'from')];
  const called = client.password('Auth', secret);
  for (const spy of spies) {
    for (const { value } of spy.mock.results) keep(value);
    spy.mockRestore();
  }
  const isIn = (bytes: Buffer): boolean => bytes.includes('sesame') || bytes.includes(btoa('sesame'));
  expect(made.some(isIn)).toBe(true);
  await daemon.hear(version > 5 ? 'END\n' : '\n');
  daemon.say("SUCCESS: 'Auth' password entered, but not yet verified\r\n");
  await called;
  expect(made.filter(isIn)).toEqual([]);
  expect(secret.reveal()).toBe(text);
});

test('a password that can not be sent leaves no copy behind, either', async () => {
  const { client, daemon } = await pair();
  for (const character of ['\x1f', '\x7f', '\0', '\t']) {
    const alloc = vi.spyOn(Buffer, 'alloc');
    await expect(client.password('Auth', `sesame${character}`)).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT'));
    const made = alloc.mock.results.map(({ value }) => value as Buffer);
    alloc.mockRestore();
    expect(made.some((bytes) => bytes.length > 0)).toBe(true);
    expect(made.filter((bytes) => bytes.includes('sesame'))).toEqual([]);
  }
  expect(daemon.chunks).toEqual([]);
  const called = client.password('Auth', ' ~');
  expect(await daemon.hear('\n')).toBe('password Auth " ~"\n');
  daemon.say("SUCCESS: 'Auth' password entered, but not yet verified\r\n");
  await called;
});
