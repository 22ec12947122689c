import { describe, expect, test } from 'vitest';
import {
  authPendingTimeout,
  encodeDynamicChallenge,
  encodeInfoMessage,
  encodeNotification,
  NotificationAssembler,
  parseDynamicChallenge,
  parseInfoMessage,
  parseNotification,
} from '../../../../src/management/index.ts';

// read as what they are not, such lines would be acted upon
describe('a line that lacks something, or has more, is of no known form', () => {
  test.for([
    ...['BYTECOUNT:1', 'BYTECOUNT:1,', 'BYTECOUNT:x,1', 'BYTECOUNT:1,2,3', 'BYTECOUNT'],
    ...[
      'BYTECOUNT_CLI:1,2',
      'BYTECOUNT_CLI:x,2,3',
      'BYTECOUNT_CLI:1,x,3',
      'BYTECOUNT_CLI:1,2,x',
      'BYTECOUNT_CLI:1,2,3,4',
    ],
    ...['CLIENT:CONNECT,1', 'CLIENT:CONNECT,x,1', 'CLIENT:CONNECT,1,x', 'CLIENT:REAUTH,1,2,3', 'CLIENT:CONNECT'],
    ...['CLIENT:ESTABLISHED,1,2', 'CLIENT:DISCONNECT,1,2', 'CLIENT:ESTABLISHED,', 'CLIENT:OTHER,1', 'CLIENT:'],
    ...[
      'CLIENT:ADDRESS,1',
      'CLIENT:ADDRESS,1,10.8.0.4',
      'CLIENT:ADDRESS,1,10.8.0.4,2',
      'CLIENT:ADDRESS,1,10.8.0.4,1,2',
    ],
    ...['CLIENT:CR_RESPONSE,1', 'CLIENT:CR_RESPONSE,1,2', 'CLIENT:CR_RESPONSE,1,x,SGFsbG8='],
    ...['ECHO:1', 'ECHO:x,text', 'LOG:1,I', 'LOG:x,I,text', 'LOG:1,i,text', 'LOG:1,I1,text'],
    ...["NEED-OK:Need 'x' string MSG:text", "NEED-OK:Need 'x' confirmation", "NEED-OK: Need 'x' confirmation MSG:text"],
    ...["NEED-STR:Need 'x' confirmation MSG:text", 'NEED-STR:Need x string MSG:text'],
    ...['NOTIFY:info', 'NOTIFY:info,notice', 'PKCS11ID-COUNT:x', 'PKCS11ID-COUNT:'],
    ...[
      "PKCS11ID-ENTRY:'x'",
      'PKCS11ID-ENTRY:0',
      "PKCS11ID-ENTRY:'0', ID:'x'",
      "PKCS11ID-ENTRY:'0' ",
      "PKCS11ID-ENTRY: '0'",
    ],
    ...['PROXY:1,UDP', 'PROXY:x,UDP,host', 'PROXY:1,udp,host', 'PROXY:1,SCTP,host', 'REMOTE:host', 'REMOTE:host,1194'],
    ...['STATE:1', 'STATE:x,CONNECTED', 'STATE:1,', 'STATE:1,CONNECTED,SUCCESS,10.8.0.2,1.2.3.4,port,,'],
    ...['STATE:1,CONNECTED,SUCCESS,10.8.0.2,1.2.3.4,1194,10.0.0.1,port', 'UPDOWN:LEFT', 'UPDOWN:up', 'UPDOWN:'],
    ...["PASSWORD:Need 'Auth' passwords", "PASSWORD:Need 'Auth' username/password SC:4,text"],
    ...["PASSWORD:Need 'Auth' username/password SC:1", "PASSWORD:Need 'Auth' username/password SC:01,text"],
    ...["PASSWORD:Need 'Auth' username/password SC:1x,text", "PASSWORD: Need 'Auth' password", 'PASSWORD:'],
    ...["PASSWORD:Verification Failed: 'Auth", "PASSWORD:Verification Failed: Auth'", 'PASSWORD:auth-token:x'],
    ...[
      "PASSWORD:A Verification Failed: 'Auth'",
      "PASSWORD:Verification Failed: 'Auth' ",
      "PASSWORD:Verification Failed: 'Auth' ['x'] ",
    ],
    ...["PASSWORD:A Verification Failed: 'Auth' ['x']"],
    ...['OTHER:text', '', ':', 'STATES:1,CONNECTED'],
  ])('%s', (line) => {
    expect(parseNotification([`>${line}`])).toEqual({ type: 'UNKNOWN', line });
  });

  test.for(['', 'SUCCESS: done', 'X>STATE:1,CONNECTED'])('no notification at all: %j', (line) => {
    expect(parseNotification([line])).toEqual({ type: 'STRAY', line });
  });
});

describe('numbers of more than one digit, and commas at the end', () => {
  test('entries of a token', () => {
    expect(parseNotification([">PKCS11ID-ENTRY:'12', ID:'a', BLOB:'b'"])).toEqual({
      type: 'PKCS11ID-ENTRY',
      index: 12,
      entry: { id: 'a', blob: 'b' },
    });
    expect(parseNotification([">PKCS11ID-ENTRY:'12'"])).toMatchObject({ index: 12, entry: undefined });
  });

  test('a hold', () => {
    expect(parseNotification(['>HOLD:Waiting:a:10'])).toEqual({ type: 'HOLD', text: 'Waiting:a', waitSeconds: 10 });
    expect(parseNotification(['>HOLD:Waiting:10s'])).toMatchObject({ text: 'Waiting:10s', waitSeconds: undefined });
    expect(parseNotification(['>HOLD:'])).toEqual({ type: 'HOLD', text: '', waitSeconds: undefined });
  });

  test('a client that is not on the primary address', () => {
    expect(parseNotification(['>CLIENT:ADDRESS,0,10.8.0.4,0'])).toMatchObject({ primary: false });
    expect(parseNotification(['>CLIENT:ADDRESS,0,10.8.0.4,1'])).toMatchObject({ primary: true });
  });

  test('a proxy by TCP or UDP', () => {
    expect(parseNotification(['>PROXY:1,UDP,host'])).toMatchObject({ protocol: 'UDP', host: 'host' });
    expect(parseNotification(['>PROXY:2,TCP,host,more'])).toEqual({
      ...{ type: 'PROXY', index: 2 },
      ...{ protocol: 'TCP', host: 'host,more' },
    });
  });
});

test('a state whose reason has commas in it', () => {
  const line = '>STATE:1700000000,EXITING,one,two,three,10.8.0.2,1.2.3.4,1194,10.0.0.1,5000,fd00::1';
  const notification = parseNotification([line]);
  expect(notification).toMatchObject({
    detail: 'one,two,three',
    tunIPv4: '10.8.0.2',
    localPort: 5000,
    tunIPv6: 'fd00::1',
  });
  expect(encodeNotification(notification)).toEqual([line]);
  const short = { ...notification, tunIPv6: undefined } as typeof notification;
  expect(parseNotification(encodeNotification(short))).toEqual(short);
});

test('an authentication token is told, whole', () => {
  const notification = parseNotification(['>PASSWORD:Auth-Token:SESS_ID:x']);
  if (!('form' in notification) || notification.form !== 'auth-token') throw new Error('no token');
  expect(notification.token.reveal()).toBe('SESS_ID:x');
  expect(encodeNotification(notification)).toEqual(['>PASSWORD:Auth-Token:SESS_ID:x']);
});

test('a block may have 4096 lines behind its first', () => {
  const assembler = new NotificationAssembler();
  const came: unknown[] = [];
  const push = (line: string): void => {
    assembler.push(line, false, (each) => came.push(each.notification));
  };
  for (const mode of ['CONNECT,0,1', 'CONNECT,1,1']) {
    push(`>CLIENT:${mode}`);
    const most = mode.includes('0,1') ? 4094 : 4096;
    for (let line = 0; line < most - 1; line++) push(`>CLIENT:ENV,v${line}=`);
    if (most === 4094) push('>CLIENT:ENV,END');
    else {
      expect(() => {
        push('>CLIENT:ENV,END');
      }).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_LIMIT' }));
    }
  }
  expect(came).toHaveLength(1);
});

describe('an environment', () => {
  test('ends at its END, and has no lines of others', () => {
    const lines = [
      '>UPDOWN:DOWN',
      '>UPDOWN:ENV,a=1',
      '>INFO:b=2',
      '>UPDOWN:ENV,bare',
      '>UPDOWN:ENV,END',
      '>UPDOWN:ENV,c=3',
    ];
    const notification = parseNotification(lines);
    expect(notification).toMatchObject({ type: 'UPDOWN', mode: 'DOWN' });
    expect('env' in notification && Object.entries(notification.env)).toEqual([
      ['a', '1'],
      ['bare', ''],
    ]);
    expect(encodeNotification({ type: 'TRUNCATED', of: 'X', line: 'X:y' })).toEqual(['>X:y']);
  });
});

describe('a state that waits for authentication', () => {
  const timeoutOf = (fields: string): number | undefined => {
    const notification = parseNotification([`>STATE:1700000000,${fields}`]);
    if (notification.type !== 'STATE') throw new Error('no state');
    return authPendingTimeout(notification);
  };
  test.for([
    ['AUTH_PENDING,timeout 120,,,,,', 120],
    ['AUTH_PENDING,timeout 5,,,,,', 5],
    ['AUTH_PENDING,timeout ,,,,,', undefined],
    ['AUTH_PENDING,timeout 5s,,,,,', undefined],
    ['AUTH_PENDING,a timeout 5,,,,,', undefined],
    ['AUTH_PENDING,,,,,,', undefined],
    ['CONNECTED,timeout 5,,,,,', undefined],
  ] as const)('%s: %s', ([fields, seconds]) => {
    expect(timeoutOf(fields)).toBe(seconds);
  });
});

describe('the flags of a challenge', () => {
  test.for([
    ['R', false, true],
    ['E', true, false],
    ['R,E', true, true],
    ['', false, false],
  ] as const)('%j', ([flags, echo, responseRequired]) => {
    const text = `CRV1:${flags}:state:Y3Ix:PIN?`;
    const challenge = parseDynamicChallenge(text);
    expect(challenge).toEqual({ echo, responseRequired, stateId: 'state', username: 'cr1', text: 'PIN?' });
    expect(challenge && encodeDynamicChallenge(challenge)).toBe(text);
    const both = `CR_TEXT:${flags.split(',').reverse().join(',')}:PIN?`;
    const message = parseInfoMessage(both);
    expect(message).toEqual({ kind: 'CR_TEXT', echo, responseRequired, text: 'PIN?' });
    expect(encodeInfoMessage(message)).toBe(both);
  });

  test('CR_TEXT without them is another message', () => {
    expect(parseInfoMessage('CR_TEXT:PIN?')).toEqual({ kind: 'OTHER', text: 'CR_TEXT:PIN?' });
  });
});

describe('a web authentication', () => {
  test.for([
    'WEB_AUTH:',
    'WEB_AUTH:external',
    'WEB_AUTH:[external:https://a',
    'WEB_AUTH:proxy=host:https://a',
    'WEB_AUTH:proxy=host;port:https://a',
    'WEB_AUTH:proxy=host;1;;;:https://a',
    'WEB_AUTH:proxy=[::1;1:https://a',
    'WEB_AUTH:proxy=x[::1];1:https://a',
    'WEB_AUTH:proxy=[::1]x;1:https://a',
  ])('that can not be read is passed on as it came: %s', (text) => {
    expect(parseInfoMessage(text)).toEqual({ kind: 'OTHER', text });
  });

  test('by a proxy, with flags beside it; a second one is a flag', () => {
    const text = 'WEB_AUTH:proxy=[::1];8080;dXNlcg==;,external,proxy=x:https://a:1/b';
    const message = parseInfoMessage(text);
    expect(message).toEqual({
      kind: 'WEB_AUTH',
      flags: ['external', 'proxy=x'],
      proxy: { host: '::1', port: 8080, user: 'user', password: undefined },
      url: 'https://a:1/b',
    });
    expect(encodeInfoMessage(message)).toBe(text);
    expect(encodeInfoMessage(parseInfoMessage('WEB_AUTH:proxy=host;1;;:u'))).toBe('WEB_AUTH:proxy=host;1;;:u');
  });
});

test('lines that are cut, and blocks that never end, are handed out as they came, and as such', () => {
  const assembler = new NotificationAssembler();
  const came: unknown[] = [];
  const push = (line: string, truncated = false): void => {
    assembler.push(line, truncated, (each) => came.push(each), `${line}!`);
  };
  const one = (line: string) => ({ lines: [line], bytes: [`${line}!`] });
  push('>INFO:text');
  push('>INFO:te', true);
  push('>CLIENT:ADDRESS,0,10.8.0.4,1');
  push('>CLIENT:ESTABLISHED,0');
  push('>CLIENT:ENV,a=1');
  // another one begins: the first never ended
  push('>CLIENT:ESTABLISHED,1');
  push('>CLIENT:ENV,END', true);
  assembler.end((each) => came.push(each));
  assembler.end((each) => came.push(each));
  expect(came).toEqual([
    { notification: { type: 'INFO', text: 'text' }, ...one('>INFO:text') },
    { notification: { type: 'TRUNCATED', of: 'INFO', line: 'INFO:te' }, ...one('>INFO:te') },
    {
      notification: { type: 'CLIENT', mode: 'ADDRESS', cid: 0, address: '10.8.0.4', primary: true },
      ...one('>CLIENT:ADDRESS,0,10.8.0.4,1'),
    },
    {
      notification: { type: 'TRUNCATED', of: 'CLIENT', line: 'CLIENT:ESTABLISHED,0' },
      lines: ['>CLIENT:ESTABLISHED,0', '>CLIENT:ENV,a=1'],
      bytes: ['>CLIENT:ESTABLISHED,0!', '>CLIENT:ENV,a=1!'],
    },
    {
      notification: { type: 'TRUNCATED', of: 'CLIENT', line: 'CLIENT:ESTABLISHED,1' },
      lines: ['>CLIENT:ESTABLISHED,1', '>CLIENT:ENV,END'],
      bytes: ['>CLIENT:ESTABLISHED,1!', '>CLIENT:ENV,END!'],
    },
  ]);
});
