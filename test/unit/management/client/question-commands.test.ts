import { expect, test } from 'vitest';
import { Secret } from '../../../../src/secret.ts';
import { coded, greeting, setUp } from '../pair.ts';
import { type CommandCase, testEachCommand } from './each-command.ts';

const { pair } = setUp();

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
  await expect(quiet.password('Auth', long)).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT', '300'));
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
