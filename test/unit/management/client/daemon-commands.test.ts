import { expect, test } from 'vitest';
import { coded, setUp } from '../pair.ts';
import { type CommandCase, testEachCommand } from './each-command.ts';

const { pair } = setUp();

const cases: CommandCase[] = [
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
  ['echo, off', (c) => c.echo(false), 'echo off', 'SUCCESS: real-time echo notification set to OFF', undefined],
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
  ['hold, off', (c) => c.hold(), 'hold', 'SUCCESS: hold=0', false],
  ['setHold, on', (c) => c.setHold(true), 'hold on', 'SUCCESS: hold flag set to ON', undefined],
  ['setHold', (c) => c.setHold(false), 'hold off', 'SUCCESS: hold flag set to OFF', undefined],
  [
    'loadStats',
    (c) => c.loadStats(),
    'load-stats',
    'SUCCESS: nclients=1,bytesin=2,bytesout=3',
    { clients: 1, bytesIn: 2, bytesOut: 3 },
  ],
  ['log', (c) => c.log(false), 'log off', 'SUCCESS: real-time log notification set to OFF', undefined],
  ['log, on', (c) => c.log(true), 'log on', 'SUCCESS: real-time log notification set to ON', undefined],
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
    'stateNotifications, off',
    (c) => c.stateNotifications(false),
    'state off',
    'SUCCESS: real-time state notification set to OFF',
    undefined,
  ],
  [
    'stateHistory, of one',
    (c) => c.stateHistory(1, { follow: false }),
    'state 1',
    '1,WAIT,,,,,,\r\nEND',
    [expect.objectContaining({ name: 'WAIT' })],
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
];

testEachCommand(cases, pair);

test('exit ends the connection', async () => {
  const { client, daemon } = await pair();
  const exit = client.exit();
  await daemon.hear('exit\n');
  daemon.socket.end();
  await exit;
  expect((await client.closed).by).toBe('daemon');
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

test('replies in no known form are errors, not guesses', async () => {
  const { client, daemon } = await pair();
  const wrong = coded('ERR_MANAGEMENT_PROTOCOL');
  for (const [call, answer] of [
    [client.pid(), 'SUCCESS: process 7'],
    [client.remoteEntryCount(), 'many\r\nEND'],
    [client.remoteEntries('all'), '1,vpn.example.com\r\nEND'],
    [client.state(), 'x\r\nEND'],
    [client.loadStats(), 'SUCCESS: fine'],
    [client.status(), 'x\r\nEND'],
    [client.status(), 'TITLE\tx\r\nEND'],
    [client.remoteEntries('all'), '0,vpn.example.com,1194,udp,enab\r\nEND'],
    [client.version(), 'OpenVPN Version: OpenVPN 2.6.14\r\nEND'],
  ] as const) {
    await daemon.hear('\n');
    daemon.say(`${answer}\r\n`);
    await expect(call).rejects.toEqual(wrong);
  }
});

test('a reply in no known form is told of by its command', async () => {
  const { client, daemon } = await pair();
  const called = client.loadStats();
  await daemon.hear('\n');
  daemon.say('SUCCESS: nclients=many\r\n');
  await expect(called).rejects.toEqual(coded('ERR_MANAGEMENT_PROTOCOL', 'load-stats'));
});

test('a status is asked for in the format that tells most, unless another is wanted', async () => {
  const { client, daemon } = await pair();
  for (const [call, command] of [
    [client.status(), 'status 3'],
    [client.status(1), 'status 1'],
  ] as const) {
    expect(await daemon.hear('\n')).toBe(`${command}\n`);
    daemon.say('OpenVPN STATISTICS\r\nUpdated,2026-11-24 12:00:00\r\nTUN/TAP read bytes,7\r\nEND\r\n');
    expect(await call).toMatchObject({ clients: [] });
  }
});
