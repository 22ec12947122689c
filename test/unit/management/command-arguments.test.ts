import { expect, test } from 'vitest';
import { parseReply } from '../../../src/management/index.ts';
import { Secret } from '../../../src/secret.ts';
import { coded, greeting, setUp } from './pair.ts';

const { pair } = setUp();

test('exit ends the connection', async () => {
  const { client, daemon } = await pair();
  const exit = client.exit();
  await daemon.hear('exit\n');
  daemon.socket.end();
  await exit;
  expect((await client.closed).by).toBe('daemon');
});

test('client-pending-auth of 2.5 has neither key ID nor timeout', async () => {
  const { client, daemon } = await pair({}, greeting(3));
  const called = client.clientPendingAuth(1, 2, 'CR_TEXT:R:PIN', 60);
  expect(await daemon.hear('\n')).toBe('client-pending-auth 1 CR_TEXT:R:PIN\n');
  daemon.say('SUCCESS: client-pending-auth command succeeded\r\n');
  await called;
});

test('kill by address names the protocol from 2.7 on', async () => {
  const { client, daemon } = await pair({}, greeting(6));
  const called = client.killAddress('tcp', '1.2.3.4', 4000);
  expect(await daemon.hear('\n')).toBe('kill tcp:1.2.3.4:4000\n');
  daemon.say('SUCCESS: 1 client(s) at address tcp:1.2.3.4:4000 killed\r\n');
  expect(await called).toBe(1);
});

test('push-update: what happened to each client, then the verdict', async () => {
  const { client, daemon } = await pair({}, greeting(6));
  const partly = client.pushUpdateBroad('-dns');
  await daemon.hear('\n');
  daemon.say('ERROR: Peer ID: 1 has not been updated\r\nSUCCESS: 1 client(s) updated\r\n');
  daemon.say('SUCCESS: push-update command succeeded\r\n');
  expect(await partly).toEqual(['ERROR: Peer ID: 1 has not been updated', 'SUCCESS: 1 client(s) updated']);
  const none = client.pushUpdateCid(7, '-dns');
  await daemon.hear('\n');
  daemon.say('ERROR: no client updated\r\nERROR: push-update command failed\r\n');
  await expect(none).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', 'no client updated'));
});

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

test('arguments that no daemon would read', async () => {
  const { client, daemon } = await pair();
  const refused = coded('ERR_MANAGEMENT_ARGUMENT');
  for (const call of [
    client.password('Auth', 'a\nb'),
    client.username('Auth', 'x'.repeat(257)),
    client.bytecount(-1),
    client.bytecount(1.5),
    client.logHistory(0),
    client.clientAuth(0, 0, ['END']),
    client.clientDeny(0, 0, 'a\0b'),
  ]) {
    await expect(call).rejects.toEqual(refused);
  }
  expect(daemon.chunks).toEqual([]);
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

test.each([
  ['load-stats', { text: 'nclients=1,bytesin=', lines: [] }],
  ['state', { text: undefined, lines: ['x'] }],
  ['echo', { text: undefined, lines: ['1,x', '2'] }],
  ['status', { text: undefined, lines: ['OpenVPN STATISTICS', 'Updated,now'] }],
  ['version', { text: undefined, lines: ['OpenVPN Version: x'] }],
  ['remote-entry-count', { text: undefined, lines: [''] }],
  ['remote-entry-get', { text: undefined, lines: ['0,vpn.example.com,1194,udp'] }],
  ['pkcs11-id-count', { text: undefined, lines: ['>PKCS11ID-COUNT:'] }],
])('a reply to %s that is not whole is an error as data too', (name, { text, lines }) => {
  const reply = { text, lines, raw: [...lines, 'END'], error: undefined };
  expect(() => parseReply(name, reply)).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_PROTOCOL' }));
});
