import { describe, expect, test } from 'vitest';
import { Secret } from '../../../../src/management/index.ts';
import { setUp } from '../pair.ts';

const { pair } = setUp();

/** Of a server (2.6.14, seen) that has one client of this name. */
const status = (name: string, address = '192.0.2.1:1194'): string =>
  [
    'OpenVPN CLIENT LIST',
    'Updated,2026-11-24 12:00:00',
    'Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since',
    `${name},${address},1913,2002,2026-11-24 11:59:00`,
    'ROUTING TABLE',
    'Virtual Address,Common Name,Real Address,Last Ref',
    'GLOBAL STATS',
    'Max bcast/mcast queue length,2',
    'END',
    '',
  ].join('\r\n');

describe("a server's client has the name that it likes", () => {
  test.each([
    ['>PK_SIGN:QUJD', undefined],
    ['>PK_SIGN:QUJD', '[2001:db8::1]:1194'],
    ['>HOLD:Waiting for hold release:0', 'udp4:192.0.2.1:1194'],
    ['>', undefined],
    ["ENTER PASSWORD:>PASSWORD:Need 'Auth' password", undefined],
    ['ENTER PASSWORD:', undefined],
  ])('%s at %s is no word of the daemon', async (name, address) => {
    const { client, daemon } = await pair();
    const heard: string[] = [];
    client.on('*', ({ type }) => heard.push(type));
    const asked = client.status(1);
    await daemon.hear('status 1\n');
    daemon.say(`${status(name, address)}>FATAL:x\r\n`);
    expect((await asked).clients.map(({ commonName }) => commonName)).toEqual([name]);
    expect(heard).toEqual(['INFO', 'FATAL']);
  });

  test('nor in the reply to a command that was given up', async () => {
    const { client, daemon } = await pair();
    const heard: string[] = [];
    client.on('*', ({ type }) => heard.push(type));
    const giveUp = new AbortController();
    const asked = client.status(1, { signal: giveUp.signal });
    await daemon.hear('status 1\n');
    giveUp.abort();
    await expect(asked).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    const next = client.pid();
    await daemon.hear('pid\n');
    daemon.say(`${status('>PK_SIGN:QUJD')}SUCCESS: pid=7\r\n`);
    expect(await next).toBe(7);
    expect(heard).toEqual(['INFO']);
  });

  test('one that is called like the prompt does not get the password', async () => {
    const { client, daemon } = await pair({ password: new Secret('sesame') });
    const asked = client.status(1);
    await daemon.hear('status 1\n');
    daemon.say(status('ENTER PASSWORD:'));
    await asked;
    expect(daemon.all).toBe('status 1\n');
  });

  test('a notification that comes in the midst of a status is one', async () => {
    const { client, daemon } = await pair();
    const asked = client.status(1);
    const signing = client.next('PK_SIGN');
    await daemon.hear('status 1\n');
    daemon.say(
      status('x').replace('ROUTING', '>PK_SIGN:QUJD,RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=20\r\nROUTING'),
    );
    expect((await signing).data).toBe('QUJD');
    expect((await asked).clients).toHaveLength(1);
  });
});
