import { describe, expect, test } from 'vitest';
import { RELAY_RIGHTS, type RelayRights } from '../../../../src/management/index.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();

/** What is sent, and who may see it: from which right on. */
const TABLE: readonly (readonly [from: RelayRights, lines: readonly string[]])[] = [
  ['all', ['>CLIENT:CR_RESPONSE,1,2,MTIzNDU2', '>CLIENT:ENV,common_name=x', '>CLIENT:ENV,END']],
  ['operate', ['>PASSWORD:Auth-Token:SESS_ID_x']],
  ['operate', [">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:state:dXNlcg==:code?']"]],
  ['read', [">PASSWORD:Verification Failed: 'Auth'"]],
  ['read', [">PASSWORD:Need 'Auth' username/password"]],
  ['operate', ['>INFOMSG:WEB_AUTH::https://vpn.example.com/?session=x']],
  ['operate', ['>INFOMSG:OPEN_URL:https://vpn.example.com/?session=x']],
  ['operate', ['>INFOMSG:SOMETHING:new']],
  ['operate', ['>INFO:OPEN_URL:https://vpn.example.com/?session=x']],
  ['read', ['>INFOMSG:CR_TEXT:R,E:Your code?']],
  ['read', ['>NOTIFY:info,remote-exit,EXIT']],
  ['read', [">NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert"]],
  ['read', ['>REMOTE:vpn.example.com,1194,udp']],
  ['read', ['>CLIENT:ADDRESS,1,10.8.0.6,1']],
  ['all', ['>WHAT-COMES-NEXT:x']],
  ['all', ['>CLIENT:WHAT-COMES-NEXT,1']],
  ['read', ['>FATAL:over']],
];

describe.each(RELAY_RIGHTS)('a client with the right %s', (rights) => {
  test('gets what it may know, and nothing that is new', async () => {
    const { daemon, user } = await relayed({ rights });
    const a = await user();
    daemon.say(`${TABLE.flatMap(([, lines]) => lines).join('\r\n')}\r\n>INFO:last\r\n`);
    const seen = TABLE.filter(([from]) => RELAY_RIGHTS.indexOf(from) <= RELAY_RIGHTS.indexOf(rights));
    expect((await a.hear('last\r\n')).split('\r\n').slice(0, -2)).toEqual(seen.flatMap(([, lines]) => lines));
  });

  test('gets the variables that it may know', async () => {
    const { daemon, user } = await relayed({ rights });
    const a = await user();
    const known = [
      'n_clients=1',
      'common_name=x',
      'IV_VER=2.6.14',
      'X509_0_CN=x',
      'untrusted_ip=127.0.0.1',
      'username=u',
    ];
    const others = ['UV_TOKEN=secret', 'MY_SETENV=secret', 'auth_pending=secret'];
    const block = [...known, ...others, 'password=secret', 'END'].map((each) => `>CLIENT:ENV,${each}\r\n`);
    daemon.say(`>CLIENT:CONNECT,0,0\r\n${block.join('')}`);
    const heard = await a.hear('ENV,END\r\n');
    for (const each of known) expect(heard).toContain(`ENV,${each}\r\n`);
    for (const each of others) expect(heard.includes(each)).toBe(rights !== 'read');
    expect(heard.includes('password=')).toBe(rights === 'all');
  });

  test('gets a log without what is kept from it elsewhere', async () => {
    const { daemon, user } = await relayed({ rights });
    const a = await user();
    const texts = [
      "MANAGEMENT: CMD 'cr-response c2VjcmV0'",
      `MANAGEMENT: CMD '"cr-response" c2VjcmV0'`,
      "MANAGEMENT: CMD 'needstr name c2VjcmV0'",
      "MANAGEMENT: CMD 'client-pending-auth 0 0 WEB_AUTH::https://c2VjcmV0 60'",
      "MANAGEMENT: CMD 'client-deny 0 0 no CRV1:R:c2VjcmV0:dTo=:code'",
      "CR response was sent by client ('c2VjcmV0')",
      "SENT CONTROL [x]: 'CR_RESPONSE,c2VjcmV0' (status=1)",
      "SENT CONTROL [x]: 'INFO_PRE,WEB_AUTH::https://c2VjcmV0' (status=1)",
      "Info command was pushed by server ('OPEN_URL:https://c2VjcmV0')",
      'AUTH: Received control message: AUTH_FAILED,CRV1:R,E:c2VjcmV0:dXNlcg==:code?',
    ];
    a.say('log on all\n');
    const history = texts.map((text) => `1,D,${text}\r\n`).join('');
    const live = texts.map((text) => `>LOG:1,D,${text}\r\n`).join('');
    await answer(
      daemon,
      'log on all',
      `SUCCESS: real-time log notification set to ON\r\n${history}END\r\n${live}>LOG:2,I,MANAGEMENT: CMD 'status 3'\r\n`,
    );
    const heard = await a.hear("'status 3'\r\n");
    expect(heard.split('\r\n')).toHaveLength(2 * texts.length + 4);
    if (rights === 'all') expect(heard).toContain(live);
    else expect(heard).not.toContain('c2VjcmV0');
  });
});
