import { describe, expect, test } from 'vitest';
import { commandOf, COMMANDS, parseReply, type Reply, replyShape } from '../../../../src/management/index.ts';

const said = (text: string): Reply => ({ text, lines: [], raw: [`SUCCESS: ${text}`], error: undefined });
const block = (...lines: string[]): Reply => ({ text: undefined, lines, raw: [...lines, 'END'], error: undefined });

const TABLES = [
  'HEADER,CLIENT_LIST,Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since',
  'HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref',
];

describe('a reply as data', () => {
  test.each([
    ['pid', said('pid=7'), { pid: 7 }],
    ['auth-retry', said('auth-retry=interact'), { 'auth-retry': 'interact' }],
    ['auth-retry', said('auth-retry parameter changed'), undefined],
    ['hold', said('hold=1'), { hold: 1 }],
    ['hold', said('hold release succeeded'), undefined],
    ['env-filter', said('env_filter_level=2'), { env_filter_level: 2 }],
    ['load-stats', said('nclients=1,bytesin=2,bytesout=3'), { nclients: 1, bytesin: 2, bytesout: 3 }],
    ['log', said('real-time log notification set to ON'), undefined],
    [
      'log',
      block('1,I,a', '2,W,two', 'lines'),
      [
        { time: 1, flags: 'I', text: 'a' },
        { time: 2, flags: 'W', text: 'two\nlines' },
      ],
    ],
    ['echo', block('1,x'), [{ time: 1, text: 'x' }]],
    [
      'version',
      block('OpenVPN Version: OpenVPN 2.6.14', 'Management Version: 5'),
      { title: 'OpenVPN 2.6.14', management: 5 },
    ],
    ['version', said('Management client version set to 4'), undefined],
    ['remote-entry-count', block('5'), 5],
    [
      'status',
      block('OpenVPN STATISTICS', 'Updated,now', 'TUN/TAP read bytes,5'),
      { kind: 'client', updated: 'now', counters: { 'TUN/TAP read bytes': 5 } },
    ],
    [
      'status',
      block('TITLE,x', 'TIME,now,7', ...TABLES, 'GLOBAL_STATS,x,0'),
      { kind: 'server', title: 'x', updated: 'now', updatedTime: 7, clients: [], routes: [], globals: { x: 0 } },
    ],
    ['remote-entry-get', block(), []],
    ['pkcs11-id-count', block('>PKCS11ID-COUNT:5'), { type: 'PKCS11ID-COUNT', count: 5 }],
    ['kill', said('1 client(s) at address 1.2.3.4:5 killed'), undefined],
    ['not-a-command', said('x=1'), undefined],
    ['constructor', said('x=1'), undefined],
  ] as const)('%s', (name, reply, data) => {
    expect(parseReply(name, reply)).toEqual(data);
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
});

describe('the shape of a reply', () => {
  const parts = (line: string, version = 5): string =>
    replyShape(line, version)
      .parts.map(({ kind }) => kind)
      .join(' ');
  test.each([
    ['pid', 'line'],
    ['status 3', 'block'],
    ['log', 'line'],
    ['log on', 'line'],
    ['log on all', 'line block'],
    ['log 20 off', 'block line'],
    // 5 to the daemon, whose int has 32 bits
    ['log -4294967291', 'block'],
    ['echo on -4294967291', 'line block'],
    ['state', 'block'],
    ['state on', 'line'],
    ['test', 'line'],
    ['test 3', 'lines'],
    ['test 0', ''],
    ['test 4294967296', ''],
    ['test -4294967295', 'lines'],
    ['test 18446744073709551621', ''],
    ['exit', ''],
    ['push-update-cid 1 x', 'verdict'],
    ['pkcs11-id-get 0', 'notification'],
    ['not-a-command', 'line'],
    ['status "', 'line'],
    ['# a comment', ''],
  ])('%s', (line, shape) => {
    expect(parts(line)).toBe(shape);
  });

  test.each([
    ['version', [1, 3, 5, 6], ['block', 'block', 'block', 'block']],
    ['version 3', [1, 3, 5, 6], ['block', '', '', '']],
    ['version 4', [1, 3, 5, 6], ['block', '', '', 'line']],
  ])('%s, by the daemon’s management version', (line, versions, shapes) => {
    expect(versions.map((version) => parts(line, version))).toEqual(shapes);
  });
});

test('answers to the daemon’s requests have a block, and claim how it is acknowledged and refused', () => {
  const answers = Object.entries(COMMANDS).filter(([, { claims }]) => claims !== undefined);
  expect(answers.map(([name]) => name)).toEqual(['certificate', 'pk-sig', 'rsa-sig']);
  for (const [name, { body, claims }] of answers) {
    expect(body).toBe(true);
    expect(`ERROR: The ${name} command is not currently available`).toMatch(claims ?? '');
    expect(`SUCCESS: ${name} command succeeded`).toMatch(claims ?? '');
    expect('SUCCESS: hold release succeeded').not.toMatch(claims ?? '');
  }
});

test('a line’s command, if the table has it', () => {
  expect(commandOf('pid')).toBe(COMMANDS['pid']);
  expect(commandOf('  log on  all')).toBe(COMMANDS['log']);
  for (const line of ['', '   ', 'not-a-command', 'constructor', '"pid', 'PID'])
    expect(commandOf(line)).toBe(undefined);
});

test('the identities of tokens come as notifications', () => {
  const word = (line: string): unknown => replyShape(line, 5).parts;
  expect(word('pkcs11-id-count')).toEqual([{ kind: 'notification', word: 'PKCS11ID-COUNT' }]);
  expect(word('pkcs11-id-get 0')).toEqual([{ kind: 'notification', word: 'PKCS11ID-ENTRY' }]);
});

test('a number of no lines is answered by an error, which a block can be too', () => {
  expect(replyShape('log 0', 5).parts).toEqual([{ kind: 'block' }]);
});
