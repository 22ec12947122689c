import { describe, expect, test } from 'vitest';
import { Secret } from '../../../../src/secret.ts';
import {
  encodeNotification,
  type Environment,
  type Notification,
  NotificationAssembler,
  parseNotification,
} from '../../../../src/management/index.ts';

const env = (entries: Record<string, string>): Environment =>
  Object.assign(Object.create(null) as Record<string, string>, entries);

/** Lines from the management notes, from manage.c's own format strings, and as real daemons sent them. */
const cases: [lines: string | string[], notification: Notification][] = [
  ['>BYTECOUNT:1234,56', { type: 'BYTECOUNT', bytesIn: 1234, bytesOut: 56 }],
  ['>BYTECOUNT_CLI:3,1234,56', { type: 'BYTECOUNT_CLI', cid: 3, bytesIn: 1234, bytesOut: 56 }],
  [
    ['>CLIENT:CONNECT,0,1', '>CLIENT:ENV,n_clients=0', '>CLIENT:ENV,password=a=b', '>CLIENT:ENV,END'],
    { type: 'CLIENT', mode: 'CONNECT', cid: 0, kid: 1, env: env({ n_clients: '0', password: 'a=b' }) },
  ],
  [
    ['>CLIENT:REAUTH,7,2', '>CLIENT:ENV,__proto__=x', '>CLIENT:ENV,END'],
    {
      type: 'CLIENT',
      mode: 'REAUTH',
      cid: 7,
      kid: 2,
      env: Object.defineProperty(env({}), '__proto__', { value: 'x', enumerable: true }),
    },
  ],
  [
    ['>CLIENT:ESTABLISHED,0', '>CLIENT:ENV,common_name=alice', '>CLIENT:ENV,END'],
    { type: 'CLIENT', mode: 'ESTABLISHED', cid: 0, env: env({ common_name: 'alice' }) },
  ],
  [['>CLIENT:DISCONNECT,0', '>CLIENT:ENV,END'], { type: 'CLIENT', mode: 'DISCONNECT', cid: 0, env: env({}) }],
  [
    '>CLIENT:ADDRESS,0,10.8.0.4/255.255.255.252,1',
    { type: 'CLIENT', mode: 'ADDRESS', cid: 0, address: '10.8.0.4/255.255.255.252', primary: true },
  ],
  [
    ['>CLIENT:CR_RESPONSE,0,1,SGFsbG8=', '>CLIENT:ENV,END'],
    { type: 'CLIENT', mode: 'CR_RESPONSE', cid: 0, kid: 1, response: 'SGFsbG8=', env: env({}) },
  ],
  ['>ECHO:1101519562,forget-passwords', { type: 'ECHO', time: 1101519562, text: 'forget-passwords' }],
  ['>FATAL:Cannot load inline certificate file', { type: 'FATAL', text: 'Cannot load inline certificate file' }],
  ['>HOLD:Waiting for hold release:10', { type: 'HOLD', text: 'Waiting for hold release', waitSeconds: 10 }],
  ['>HOLD:Waiting for hold release', { type: 'HOLD', text: 'Waiting for hold release', waitSeconds: undefined }],
  [
    ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info",
    { type: 'INFO', text: "OpenVPN Management Interface Version 5 -- type 'help' for more info" },
  ],
  [
    '>INFOMSG:WEB_AUTH:hidden,external:https://sso.example/a:b?c=d,e',
    {
      type: 'INFOMSG',
      message: {
        kind: 'WEB_AUTH',
        flags: ['hidden', 'external'],
        proxy: undefined,
        url: 'https://sso.example/a:b?c=d,e',
      },
    },
  ],
  [
    '>INFOMSG:WEB_AUTH::https://sso.example/',
    { type: 'INFOMSG', message: { kind: 'WEB_AUTH', flags: [], proxy: undefined, url: 'https://sso.example/' } },
  ],
  [
    '>INFOMSG:WEB_AUTH:proxy=[2001:db8::1];8080;dQ==;cA==,hidden:https://sso.example/',
    {
      type: 'INFOMSG',
      message: {
        kind: 'WEB_AUTH',
        flags: ['hidden'],
        proxy: { host: '2001:db8::1', port: 8080, user: 'u', password: 'p' },
        url: 'https://sso.example/',
      },
    },
  ],
  [
    '>INFOMSG:OPEN_URL:https://sso.example/',
    { type: 'INFOMSG', message: { kind: 'OPEN_URL', url: 'https://sso.example/' } },
  ],
  [
    '>INFOMSG:CR_TEXT:E,R:Please enter: your TOTP',
    {
      type: 'INFOMSG',
      message: { kind: 'CR_TEXT', echo: true, responseRequired: true, text: 'Please enter: your TOTP' },
    },
  ],
  ['>INFOMSG:something else', { type: 'INFOMSG', message: { kind: 'OTHER', text: 'something else' } }],
  ['>LOG:1700000000,I,a, b', { type: 'LOG', time: 1700000000, flags: 'I', text: 'a, b' }],
  ['>LOG:1700000000,,', { type: 'LOG', time: 1700000000, flags: '', text: '' }],
  [
    ">NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert your cryptographic token",
    { type: 'NEED-OK', name: 'token-insertion-request', text: 'Please insert your cryptographic token' },
  ],
  [">NEED-STR:Need 'name' string MSG:Please specify", { type: 'NEED-STR', name: 'name', text: 'Please specify' }],
  [
    '>NEED-CERTIFICATE:macosx-keychain:subject:o=OpenVPN',
    { type: 'NEED-CERTIFICATE', hint: 'macosx-keychain:subject:o=OpenVPN' },
  ],
  ['>NOTIFY:info,remote-exit,EXIT', { type: 'NOTIFY', severity: 'info', notice: 'remote-exit', text: 'EXIT' }],
  [
    ">PASSWORD:Need 'Private Key' password",
    { type: 'PASSWORD', form: 'need', name: 'Private Key', wants: 'password', staticChallenge: undefined },
  ],
  [
    ">PASSWORD:Need 'Auth' username/password SC:1,Please enter token PIN",
    {
      type: 'PASSWORD',
      form: 'need',
      name: 'Auth',
      wants: 'username/password',
      staticChallenge: { echo: true, concat: false, text: 'Please enter token PIN' },
    },
  ],
  [
    ">PASSWORD:Need 'Auth' username/password SC:2,PIN, please",
    {
      type: 'PASSWORD',
      form: 'need',
      name: 'Auth',
      wants: 'username/password',
      staticChallenge: { echo: false, concat: true, text: 'PIN, please' },
    },
  ],
  [
    ">PASSWORD:Need 'Auth' username",
    { type: 'PASSWORD', form: 'need', name: 'Auth', wants: 'username', staticChallenge: undefined },
  ],
  [
    ">PASSWORD:Verification Failed: 'Private Key'",
    { type: 'PASSWORD', form: 'failed', name: 'Private Key', reason: undefined },
  ],
  [
    ">PASSWORD:Verification Failed: 'Auth' ['it's no good']",
    { type: 'PASSWORD', form: 'failed', name: 'Auth', reason: "it's no good" },
  ],
  [
    ">PASSWORD:Verification Failed: ['CRV1:R,E:Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l:Y3Ix:Please enter token PIN']",
    {
      type: 'PASSWORD',
      form: 'failed',
      name: undefined,
      reason: 'CRV1:R,E:Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l:Y3Ix:Please enter token PIN',
    },
  ],
  ['>PASSWORD:Auth-Token:foobar', { type: 'PASSWORD', form: 'auth-token', token: new Secret('foobar') }],
  ['>PK_SIGN:AAAA', { type: 'PK_SIGN', data: 'AAAA', algorithm: undefined }],
  [
    '>PK_SIGN:AAAA,RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest',
    { type: 'PK_SIGN', data: 'AAAA', algorithm: 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest' },
  ],
  ['>RSA_SIGN:AAAA', { type: 'RSA_SIGN', data: 'AAAA', algorithm: undefined }],
  ['>PKCS11ID-COUNT:5', { type: 'PKCS11ID-COUNT', count: 5 }],
  [
    ">PKCS11ID-ENTRY:'1', ID:'SoftHSM/x', BLOB:'MIIB'",
    { type: 'PKCS11ID-ENTRY', index: 1, entry: { id: 'SoftHSM/x', blob: 'MIIB' } },
  ],
  [">PKCS11ID-ENTRY:'9'", { type: 'PKCS11ID-ENTRY', index: 9, entry: undefined }],
  ['>PROXY:1,TCP,vpn.example.com', { type: 'PROXY', index: 1, protocol: 'TCP', host: 'vpn.example.com' }],
  ['>REMOTE:vpn.example.com,1194,udp', { type: 'REMOTE', host: 'vpn.example.com', port: '1194', protocol: 'udp' }],
  [
    '>STATE:1700000000,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,192.0.2.2,51234,fd00::6',
    {
      type: 'STATE',
      time: 1700000000,
      name: 'CONNECTED',
      detail: 'SUCCESS',
      tunIPv4: '10.8.0.6',
      remoteAddress: '203.0.113.1',
      remotePort: 1194,
      localAddress: '192.0.2.2',
      localPort: 51234,
      tunIPv6: 'fd00::6',
    },
  ],
  [
    '>STATE:1700000000,AUTH_PENDING,timeout 30,,,,,',
    {
      type: 'STATE',
      time: 1700000000,
      name: 'AUTH_PENDING',
      detail: 'timeout 30',
      tunIPv4: undefined,
      remoteAddress: undefined,
      remotePort: undefined,
      localAddress: undefined,
      localPort: undefined,
      tunIPv6: undefined,
    },
  ],
  [
    ['>UPDOWN:UP', '>UPDOWN:ENV,dev=tun0', '>UPDOWN:ENV,END'],
    { type: 'UPDOWN', mode: 'UP', env: env({ dev: 'tun0' }) },
  ],
  ['>SOMETHING-NEW:1,2', { type: 'UNKNOWN', line: 'SOMETHING-NEW:1,2' }],
  ['>no colon', { type: 'UNKNOWN', line: 'no colon' }],
  ['>BYTECOUNT:1', { type: 'UNKNOWN', line: 'BYTECOUNT:1' }],
  ['>BYTECOUNT:99999999999999999999,1', { type: 'UNKNOWN', line: 'BYTECOUNT:99999999999999999999,1' }],
  ['>CLIENT:CONNECT,x,1', { type: 'UNKNOWN', line: 'CLIENT:CONNECT,x,1' }],
  ['>constructor:x', { type: 'UNKNOWN', line: 'constructor:x' }],
  ['not a notification', { type: 'STRAY', line: 'not a notification' }],
];

describe.each(cases)('%s', (text, notification) => {
  const lines = typeof text === 'string' ? [text] : text;
  test('parses', () => {
    expect(parseNotification(lines)).toEqual(notification);
  });
  test('encodes back', () => {
    expect(encodeNotification(notification)).toEqual(lines);
  });
});

test('what is known of older forms', () => {
  // 2.3 prints five fields
  expect(parseNotification(['>STATE:1700000000,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1'])).toMatchObject({
    tunIPv4: '10.8.0.6',
    remoteAddress: '203.0.113.1',
    remotePort: undefined,
  });
  // the notes say "input" where every daemon says "string"
  expect(parseNotification([">NEED-STR:Need 'name' input MSG:Please specify your name"])).toMatchObject({
    type: 'NEED-STR',
    name: 'name',
  });
});

test('a token that is printed by mistake stays secret', () => {
  const notification = parseNotification(['>PASSWORD:Auth-Token:SESS_ID_abc']);
  expect(JSON.stringify(notification)).not.toContain('SESS_ID');
});

test('a user of a proxy who is nobody, however that is written, is none', () => {
  expect(parseNotification(['>INFOMSG:WEB_AUTH:proxy=h;1;=;:https://x/'])).toMatchObject({
    message: { proxy: { host: 'h', user: undefined, password: undefined } },
  });
});

test('a proxy whose brackets are no address is not read', () => {
  for (const host of ['0[::1]', '[[::1]', '[::1]0']) {
    const line = `>INFOMSG:WEB_AUTH:proxy=${host};1;;:https://x/`;
    expect(parseNotification([line])).toMatchObject({ message: { kind: 'OTHER' } });
  }
});

describe('assembling', () => {
  const assemble = (lines: string[], truncated: number[] = []): Notification[] => {
    const assembler = new NotificationAssembler();
    const found: Notification[] = [];
    const sink = ({ notification }: { notification: Notification }): number => found.push(notification);
    for (const [index, each] of lines.entries()) assembler.push(each, truncated.includes(index), sink);
    assembler.end(sink);
    return found;
  };

  test('an ENV block is one notification, whatever comes between its lines', () => {
    expect(
      assemble(['>CLIENT:CONNECT,1,2', '>CLIENT:ENV,a=1', '>LOG:1,I,between', '>CLIENT:ENV,b=2', '>CLIENT:ENV,END']),
    ).toEqual([
      { type: 'LOG', time: 1, flags: 'I', text: 'between' },
      { type: 'CLIENT', mode: 'CONNECT', cid: 1, kid: 2, env: env({ a: '1', b: '2' }) },
    ]);
  });

  test('a block that never ends is cut: by the next one, or by the end of the stream', () => {
    expect(assemble(['>CLIENT:CONNECT,1,0', '>CLIENT:ENV,a=1', '>CLIENT:CONNECT,2,0', '>CLIENT:ENV,b=1'])).toEqual([
      { type: 'TRUNCATED', of: 'CLIENT', line: 'CLIENT:CONNECT,1,0' },
      { type: 'TRUNCATED', of: 'CLIENT', line: 'CLIENT:CONNECT,2,0' },
    ]);
  });

  test.each([
    ['>CLIENT:CONNECT,1,0'],
    ['>CLIENT:REAUTH,1,0'],
    ['>CLIENT:ESTABLISHED,1'],
    ['>CLIENT:DISCONNECT,1'],
    ['>CLIENT:CR_RESPONSE,1,0,YQ=='],
    ['>UPDOWN:UP'],
  ])('%s comes whole or as TRUNCATED, wherever the stream ends', (first) => {
    const word = first.slice(1, first.indexOf(':'));
    const whole = [first, `>${word}:ENV,ENDED=1`, `>${word}:ENV,END`];
    const text = whole.map((line) => `${line}\n`).join('');
    for (let length = first.length + 1; length < text.length; length += 1) {
      const lines = text.slice(0, length).split('\n');
      // what is behind the last line end was cut in the middle
      const rest = lines.pop() ?? '';
      const found = assemble(rest === '' ? lines : [...lines, rest], rest === '' ? [] : [lines.length]);
      // only of the second block's beginning, `>CLIEN`, no more is known
      expect(found[0]?.type === 'TRUNCATED' && found.every(({ type }) => type === 'TRUNCATED')).toBe(true);
    }
    expect(assemble(whole)).toEqual([expect.objectContaining({ type: word, env: env({ ENDED: '1' }) })]);
  });

  test('a variable that the daemon cut stays in its block', () => {
    expect(assemble(['>CLIENT:ESTABLISHED,1', '>CLIENT:ENV,cert=AAAA', '>CLIENT:ENV,END'], [1])).toEqual([
      { type: 'CLIENT', mode: 'ESTABLISHED', cid: 1, env: env({ cert: 'AAAA' }) },
    ]);
  });

  test('a request that the daemon cut is told apart, so that nobody signs half of it', () => {
    expect(assemble(['>PK_SIGN:AAAA'], [0])).toEqual([{ type: 'TRUNCATED', of: 'PK_SIGN', line: 'PK_SIGN:AAAA' }]);
  });

  test('ENV lines without a beginning are kept as they came', () => {
    expect(assemble(['>CLIENT:ENV,a=1'])).toEqual([{ type: 'UNKNOWN', line: 'CLIENT:ENV,a=1' }]);
  });

  test('an endless block is an error', () => {
    const lines = ['>UPDOWN:UP', ...Array.from({ length: 5000 }, (_, index) => `>UPDOWN:ENV,x${index}=1`)];
    expect(() => assemble(lines)).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_LIMIT' }));
  });
});
