import { expect, test } from 'vitest';
import { coded, greeting, setUp } from '../pair.ts';
import { type CommandCase, testEachCommand } from './each-command.ts';

const { pair } = setUp();

const cases: CommandCase[] = [
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

testEachCommand(cases, pair);

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

test.each([4, 5])('client-pending-auth of management version %i', async (version) => {
  const { client, daemon } = await pair({}, greeting(version));
  const called = client.clientPendingAuth(1, 2, 'CR_TEXT:R:PIN', 60);
  const sent = version === 4 ? 'client-pending-auth 1 CR_TEXT:R:PIN\n' : 'client-pending-auth 1 2 CR_TEXT:R:PIN 60\n';
  expect(await daemon.hear('\n')).toBe(sent);
  daemon.say('SUCCESS: client-pending-auth command succeeded\r\n');
  await called;
});
