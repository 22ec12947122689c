import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AnswerFlags } from '../../../../src/config/answers.ts';
import { Relay } from '../../../../src/management/index.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { PATIENTLY } from '../daemon-bed.ts';
import {
  type Asked,
  answered,
  asked,
  CONNECTED,
  folder,
  login,
  NEED,
  read,
  REFUSED,
  told,
  write,
} from './answers-bed.ts';

describe('other questions', () => {
  test.each<readonly [string, AnswerFlags, string]>([
    [
      ">NEED-OK:Need 'token-insertion-request' confirmation MSG:x",
      { answerNeedok: ['token-insertion-request=ok'] },
      'needok token-insertion-request ok',
    ],
    [">NEED-STR:Need 'name' input MSG:x", { answerNeedstr: ['name=John=Doe'] }, 'needstr name John=Doe'],
    ['>REMOTE:a,1,udp', { answerRemote: ['ACCEPT'] }, 'remote ACCEPT'],
    ['>REMOTE:a,1,udp', { answerRemote: ['SKIP', '2'] }, 'remote SKIP 2'],
    ['>REMOTE:a,1,udp', { answerRemote: ['MOD', 'vpn.example.com', '443'] }, 'remote MOD vpn.example.com 443'],
    ['>PROXY:1,TCP,a', { answerProxy: ['NONE'] }, 'proxy NONE'],
    ['>PROXY:1,TCP,a', { answerProxy: ['HTTP', 'p', '8080', 'nct'] }, 'proxy HTTP p 8080 nct'],
    ['>PROXY:1,TCP,a', { answerProxy: ['SOCKS', 'p', '1080'] }, 'proxy SOCKS p 1080'],
  ])('%s, %j', async (question, flags, command) => {
    const one = await asked(flags);
    one.daemon.say(`${question}\r\n`);
    await one.takes(command);
    await answered(one, 1);
  });

  test('that come again and again are answered slower and slower', async () => {
    const one = await asked({ answerNeedok: ['card=ok'] });
    const question = ">NEED-OK:Need 'card' confirmation MSG:x\r\n";
    for (let times = 1; times <= 5; times += 1) {
      one.daemon.say(question);
      await one.takes('needok card ok');
      await answered(one, times);
    }
    one.daemon.say(question);
    await read(one);
    expect(one.daemon.received).not.toContain('needok');
    one.clock.pass(1);
    await one.takes('needok card ok');
  });

  test.each([
    [
      'WEB_AUTH:external,hidden:https://sso.example/a?x=1:2',
      'https://sso.example/a?x=1:2\n',
      'web-auth external,hidden',
    ],
    ['OPEN_URL:http://sso.example/a', 'http://sso.example/a\n', 'open-url '],
    [
      'WEB_AUTH:proxy=[2001:db8::1];3128;dQ==;cDp3,external:https://a/',
      'https://a/\nhttp://u:p%3Aw@[2001:db8::1]:3128\n',
      'web-auth external',
    ],
  ])('a link is handed to the command: %s', async (message, input, variables) => {
    const seen = join(folder, 'link');
    const one = await asked({ openUrlCommand: `{ cat; echo "$PKSIGD_QUESTION $PKSIGD_FLAGS"; } > '${seen}'` });
    one.daemon.say(`>INFOMSG:${message}\r\n`);
    await answered(one, 1);
    expect(readFileSync(seen, 'utf8')).toBe(`${input}${variables}\n`);
    expect(JSON.stringify([one.logged, one.events])).not.toContain('://');
  });

  test.each(['file:///etc/passwd', '-e rm', 'javascript:x', 'https://a b'])('a link that is none: %s', async (url) => {
    const one = await asked({ openUrlCommand: `touch '${join(folder, 'opened')}'` });
    one.daemon.say(`>INFOMSG:OPEN_URL:${url}\r\n`);
    await told(one, 'the answer can not be had');
    expect(existsSync(join(folder, 'opened'))).toBe(false);
  });
});

describe('behind a relay', () => {
  const local = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const login2 = (): AnswerFlags => ({ authUserPass: write('login', 'al\npw\n') });

  /** The daemon asks, and the relay's client answers. */
  const logsIn = async (one: Asked, user: ManagementUser): Promise<void> => {
    one.daemon.say(NEED);
    await user.hear(NEED);
    user.say('username Auth joe\npassword Auth x\n');
    await one.takes('username Auth joe');
    await one.takes('password Auth x');
    await user.hear('password entered, but not yet verified\r\n');
  };

  test('a client that may answer goes first', async () => {
    await using relay = await Relay.listen({ address: local, rights: 'operate' });
    const one = await asked(login2(), { relay });
    const user = await ManagementUser.open(relay.address);
    await user.hear('info\r\n');
    await logsIn(one, user);
    one.clock.pass(60);
    one.daemon.say(">NEED-OK:Need 'a' confirmation MSG:x\r\n");
    await user.hear('MSG:x\r\n');
    expect(one.daemon.received).toBe('');
    user.close();
  });

  test.each([
    ['let us in', CONNECTED],
    ['asked for more', `>PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:s1:YWw=:Which colour?']\r\n`],
  ])('what a client answers wrong, where the server had %s before, is of that client alone', async (_, said) => {
    await using relay = await Relay.listen({ address: local, rights: 'operate' });
    const one = await asked({ ...login2(), challengeCommand: 'echo red' }, { relay });
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
    one.daemon.say(said);
    const user = await ManagementUser.open(relay.address);
    await user.hear('info\r\n');
    await logsIn(one, user);
    user.close();
    await expect.poll(() => relay.hasClient('operate'), PATIENTLY).toBe(false);
    one.daemon.say(`${REFUSED}${NEED}`);
    await login(one, 'al', 'pw');
  });

  test.each(['read', 'operate'] as const)('%s: a client that says nothing, or may not', async (rights) => {
    await using relay = await Relay.listen({ address: local, rights });
    const one = await asked(login2(), { relay });
    const user = await ManagementUser.open(relay.address);
    await user.hear('info\r\n');
    one.daemon.say(NEED);
    await user.hear(NEED);
    if (rights === 'operate') {
      await expect
        .poll(() => {
          one.clock.pass(5);
          return one.daemon.hasHeard('auth-retry interact');
        }, PATIENTLY)
        .toBe(true);
    }
    await login(one, 'al', 'pw');
    await answered(one, 1);
    expect(relay.isAsking(one.client, 'PASSWORD')).toBe(false);
    user.close();
  });

  test('a code that a client has given is not given twice', async () => {
    await using relay = await Relay.listen({ address: local, rights: 'operate' });
    const one = await asked({ challengeCommand: 'echo 1' }, { relay });
    const user = await ManagementUser.open(relay.address);
    await user.hear('info\r\n');
    one.daemon.say('>INFOMSG:CR_TEXT:R:code?\r\n');
    await user.hear('code?\r\n');
    user.say('cr-response eA==\n');
    await one.takes('cr-response eA==');
    await user.hear('cr-response command succeeded\r\n');
    one.clock.pass(60);
    one.daemon.say('>INFO:x\r\n');
    await user.hear('>INFO:x\r\n');
    expect(one.daemon.received).toBe('');
    user.close();
  });
});
