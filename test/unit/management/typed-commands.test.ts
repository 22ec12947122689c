import { describe, expect, test } from 'vitest';
import type { ManagementClient } from '../../../src/management/index.ts';
import { Secret } from '../../../src/secret.ts';
import { coded, setUp } from './pair.ts';

const { pair } = setUp();

/** The call, what it sends, what manage.c answers, what the caller gets. */
const cases: [
  name: string,
  call: (client: ManagementClient) => Promise<unknown>,
  sends: string,
  answer: string,
  result: unknown,
][] = [
  ['authRetry', (c) => c.authRetry(), 'auth-retry', 'SUCCESS: auth-retry=none', 'none'],
  [
    'setAuthRetry',
    (c) => c.setAuthRetry('interact'),
    'auth-retry interact',
    'SUCCESS: auth-retry parameter changed',
    undefined,
  ],
  ['bytecount', (c) => c.bytecount(5), 'bytecount 5', 'SUCCESS: bytecount interval changed', undefined],
  ['echo', (c) => c.echo(true), 'echo on', 'SUCCESS: real-time echo notification set to ON', undefined],
  [
    'echoHistory',
    (c) => c.echoHistory('all'),
    'echo all',
    '1101519562,forget-passwords\r\nEND',
    [{ time: 1101519562, text: 'forget-passwords' }],
  ],
  [
    'echoHistory, following',
    (c) => c.echoHistory(3, { follow: true }),
    'echo on 3',
    'SUCCESS: real-time echo notification set to ON\r\n1,a\r\n>ECHO:2,b\r\nEND',
    [{ time: 1, text: 'a' }],
  ],
  ['envFilter', (c) => c.envFilter(2), 'env-filter 2', 'SUCCESS: env_filter_level=2', undefined],
  ['forgetPasswords', (c) => c.forgetPasswords(), 'forget-passwords', 'SUCCESS: Passwords were forgotten', undefined],
  [
    'help',
    (c) => c.help(),
    'help',
    'Management Interface for x\r\nCommands:\r\nEND',
    ['Management Interface for x', 'Commands:'],
  ],
  ['hold', (c) => c.hold(), 'hold', 'SUCCESS: hold=1', true],
  ['setHold', (c) => c.setHold(false), 'hold off', 'SUCCESS: hold flag set to OFF', undefined],
  [
    'loadStats',
    (c) => c.loadStats(),
    'load-stats',
    'SUCCESS: nclients=1,bytesin=2,bytesout=3',
    { clients: 1, bytesIn: 2, bytesOut: 3 },
  ],
  ['log', (c) => c.log(false), 'log off', 'SUCCESS: real-time log notification set to OFF', undefined],
  [
    'logHistory, a text that spans lines',
    (c) => c.logHistory(2),
    'log 2',
    '1,I,a, b\r\n2,W,two\r\nlines\r\nEND',
    [
      { time: 1, flags: 'I', text: 'a, b' },
      { time: 2, flags: 'W', text: 'two\nlines' },
    ],
  ],
  ['mute', (c) => c.mute(), 'mute', 'SUCCESS: mute=40', 40],
  ['setMute', (c) => c.setMute(40), 'mute 40', 'SUCCESS: mute level changed', undefined],
  ['nclients', (c) => c.nclients(), 'nclients', 'SUCCESS: nclients=2', 2],
  ['net', (c) => c.net(), 'net', 'adapters\r\nEND', ['adapters']],
  ['pid', (c) => c.pid(), 'pid', 'SUCCESS: pid=2345', 2345],
  ['state', (c) => c.state(), 'state', '1,WAIT,,,,,,\r\nEND', expect.objectContaining({ time: 1, name: 'WAIT' })],
  ['state, none yet', (c) => c.state(), 'state', 'END', undefined],
  [
    'stateNotifications',
    (c) => c.stateNotifications(true),
    'state on',
    'SUCCESS: real-time state notification set to ON',
    undefined,
  ],
  [
    'stateHistory',
    (c) => c.stateHistory('all', { follow: true }),
    'state on all',
    'SUCCESS: real-time state notification set to ON\r\n1,WAIT,,,,,,\r\n2,AUTH,,,,,,\r\nEND',
    [expect.objectContaining({ name: 'WAIT' }), expect.objectContaining({ name: 'AUTH' })],
  ],
  ['test', (c) => c.test(2), 'test 2', '[0] x\r\n[1] x', ['[0] x', '[1] x']],
  ['verb', (c) => c.verb(), 'verb', 'SUCCESS: verb=3', 3],
  ['setVerb', (c) => c.setVerb(4), 'verb 4', 'SUCCESS: verb level changed', undefined],
  [
    'version',
    (c) => c.version(),
    'version',
    'OpenVPN Version: OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]\r\nManagement Version: 5\r\nEND',
    { management: 5, title: 'OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]', release: '2.6.14' },
  ],
  ['announceVersion, to 2.6', (c) => c.announceVersion(4), 'version 4', '', undefined],
  ['signal', (c) => c.signal('SIGUSR1'), 'signal SIGUSR1', 'SUCCESS: signal SIGUSR1 thrown', undefined],
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
  [
    'clientAuth',
    (c) => c.clientAuth(1, 2, ['push "route 10.0.0.0 255.0.0.0"', '']),
    'client-auth 1 2\npush "route 10.0.0.0 255.0.0.0"\n\nEND',
    'SUCCESS: client-auth command succeeded',
    undefined,
  ],
  [
    'clientAuthNt',
    (c) => c.clientAuthNt(1, 2),
    'client-auth-nt 1 2',
    'SUCCESS: client-auth command succeeded',
    undefined,
  ],
  [
    'clientDeny',
    (c) => c.clientDeny(1, 2, 'not today'),
    'client-deny 1 2 "not today"',
    'SUCCESS: client-deny command succeeded',
    undefined,
  ],
  [
    'clientDeny, with a reason for the client',
    (c) => c.clientDeny(1, 2, 'a', 'b c'),
    'client-deny 1 2 a "b c"',
    'SUCCESS: client-deny command succeeded',
    undefined,
  ],
  ['clientKill', (c) => c.clientKill(1), 'client-kill 1', 'SUCCESS: client-kill command succeeded', undefined],
  [
    'clientKill, with a message',
    (c) => c.clientKill(1, 'HALT'),
    'client-kill 1 HALT',
    'SUCCESS: client-kill command succeeded',
    undefined,
  ],
  [
    'clientPendingAuth',
    (c) =>
      c.clientPendingAuth(
        1,
        2,
        { kind: 'WEB_AUTH', flags: ['external'], proxy: undefined, url: 'https://sso.example/' },
        60,
      ),
    'client-pending-auth 1 2 WEB_AUTH:external:https://sso.example/ 60',
    'SUCCESS: client-pending-auth command succeeded',
    undefined,
  ],
  [
    'killCommonName',
    (c) => c.killCommonName('Test Client'),
    'kill "Test Client"',
    "SUCCESS: common name 'Test Client' found, 2 client(s) killed",
    2,
  ],
  [
    'killAddress',
    (c) => c.killAddress('tcp', '1.2.3.4', 4000),
    'kill 1.2.3.4:4000',
    'SUCCESS: 1 client(s) at address 1.2.3.4:4000 killed',
    1,
  ],
  [
    'pushUpdateBroad',
    (c) => c.pushUpdateBroad('route 10.1.0.0 255.255.0.0, -dns'),
    'push-update-broad "route 10.1.0.0 255.255.0.0, -dns"',
    'SUCCESS: push-update command succeeded',
    [],
  ],
  [
    'pushUpdateCid',
    (c) => c.pushUpdateCid(3, '-dns'),
    'push-update-cid 3 -dns',
    'SUCCESS: push-update command succeeded',
    [],
  ],
];

/** Blocks are answered when they end, push-update in several lines: they have tests of their own. */
const refusable = cases.filter(([, , sends, answer]) => answer !== '' && !/\n|^push-update/.test(sends));

describe('each command: what it sends and what comes of the reply', () => {
  test.each(cases)('%s', async (_, call, sends, answer, result) => {
    const { client, daemon } = await pair();
    const stray: string[] = [];
    client.on('STRAY', ({ line }) => stray.push(line));
    const called = call(client);
    expect(await daemon.hear(`${sends}\n`)).toBe(`${sends}\n`);
    // without an answer, that the next command goes out shows that none was awaited
    if (answer !== '') daemon.say(`${answer}\r\n`);
    expect(await called).toEqual(result);
    const behind = client.pid();
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=1\r\n');
    await behind;
    expect(stray).toEqual([]);
  });

  test.each(refusable)('%s, refused', async (_, call, sends) => {
    const { client, daemon } = await pair();
    const called = call(client);
    await daemon.hear(`${sends}\n`);
    daemon.say(sends.includes(' on ') ? 'ERROR: no\r\nEND\r\n' : 'ERROR: no\r\n');
    await expect(called).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', ': no'));
  });
});

test('a daemon that explains itself before it refuses', async () => {
  // auth_retry_set in ssl.c
  const { client, daemon } = await pair();
  const called = client.exchange('auth-retry wrong');
  await daemon.hear('\n');
  const why = "--auth-retry method must be 'interact', 'nointeract', or 'none'";
  daemon.say(`${why}\r\nERROR: bad auth-retry parameter\r\n`);
  expect(await called).toMatchObject({
    raw: [why, 'ERROR: bad auth-retry parameter'],
    error: 'bad auth-retry parameter',
  });
});
