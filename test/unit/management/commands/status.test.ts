import { describe, expect, test } from 'vitest';
import { parseStatus } from '../../../../src/management/index.ts';

// the form of multi_print_status in multi.c, names and addresses made up
const headers = {
  '2.3': [
    'HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Bytes Received,Bytes Sent,Connected Since,Connected Since (time_t),Username',
    'CLIENT_LIST,alice,203.0.113.1:51234,10.8.0.6,100,200,Mon Nov 23 10:00:00 2026,1795428000,UNDEF',
  ],
  '2.4': [
    'HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,Bytes Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID',
    'CLIENT_LIST,alice,203.0.113.1:51234,10.8.0.6,fd00::6,100,200,2026-11-23 10:00:00,1795428000,al,3,0',
  ],
  '2.6': [
    'HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,Bytes Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID,Data Channel Cipher',
    'CLIENT_LIST,alice,203.0.113.1:51234,10.8.0.6,,100,200,2026-11-23 10:00:00,1795428000,UNDEF,3,0,AES-256-GCM',
  ],
} as const;

const table = (release: keyof typeof headers): string[] => [
  'TITLE,OpenVPN x',
  'TIME,2026-11-23 11:00:00,1795431600',
  ...headers[release],
  'HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref (time_t)',
  'ROUTING_TABLE,10.8.0.6C,alice,203.0.113.1:51234,2026-11-23 10:59:00,1795431540',
  'GLOBAL_STATS,Max bcast/mcast queue length,1',
  'END',
];

describe.each(['2.3', '2.4', '2.6'] as const)('a server of %s', (release) => {
  test.each([
    ['format 2', ','],
    ['format 3', '\t'],
  ])('%s', (_, separator) => {
    const status = parseStatus(table(release).map((line) => line.replaceAll(',', separator)));
    expect(status).toMatchObject({
      kind: 'server',
      title: 'OpenVPN x',
      updatedTime: 1795431600,
      clients: [
        {
          commonName: 'alice',
          realAddress: '203.0.113.1:51234',
          virtualAddress: '10.8.0.6',
          virtualIPv6Address: release === '2.4' ? 'fd00::6' : undefined,
          bytesReceived: 100,
          bytesSent: 200,
          connectedSinceTime: 1795428000,
          username: release === '2.4' ? 'al' : 'UNDEF',
          cid: release === '2.3' ? undefined : 3,
          peerId: release === '2.3' ? undefined : 0,
          dataChannelCipher: release === '2.6' ? 'AES-256-GCM' : undefined,
        },
      ],
      routes: [{ virtualAddress: '10.8.0.6C', commonName: 'alice', lastReferenceTime: 1795431540 }],
    });
    expect(status.kind === 'server' && { ...status.globals }).toEqual({ 'Max bcast/mcast queue length': 1 });
  });
});

test('a server in format 1', () => {
  expect(
    parseStatus([
      'OpenVPN CLIENT LIST',
      'Updated,2026-11-23 11:00:00',
      'Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since',
      'alice,203.0.113.1:51234,100,200,2026-11-23 10:00:00',
      'ROUTING TABLE',
      'Virtual Address,Common Name,Real Address,Last Ref',
      '10.8.0.6,alice,203.0.113.1:51234,2026-11-23 10:59:00',
      'GLOBAL STATS',
      'Max bcast/mcast queue length,0',
    ]),
  ).toMatchObject({
    kind: 'server',
    updated: '2026-11-23 11:00:00',
    clients: [{ commonName: 'alice', bytesSent: 200, cid: undefined }],
    routes: [{ virtualAddress: '10.8.0.6', lastReferenceTime: undefined }],
  });
});

test('a client', () => {
  const status = parseStatus(['OpenVPN STATISTICS', 'Updated,now', 'TUN/TAP read bytes,5', 'Auth read bytes,6', 'END']);
  expect(status).toMatchObject({ kind: 'client', updated: 'now' });
  expect(status.kind === 'client' && { ...status.counters }).toEqual({ 'TUN/TAP read bytes': 5, 'Auth read bytes': 6 });
});

const tabs = (lines: readonly string[]): string[] => lines.map((line) => line.replaceAll(',', '\t'));
const FORMAT_1 = [
  'OpenVPN CLIENT LIST',
  'Updated,2026-11-23 11:00:00',
  'Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since',
  'alice,203.0.113.1:51234,100,200,2026-11-23 10:00:00',
  'ROUTING TABLE',
  'Virtual Address,Common Name,Real Address,Last Ref',
  '10.8.0.6,alice,203.0.113.1:51234,2026-11-23 10:59:00',
  'GLOBAL STATS',
  'Max bcast/mcast queue length,0',
  'END',
];
const STATISTICS = [
  'OpenVPN STATISTICS',
  'Updated,2026-11-23 11:00:00',
  'TUN/TAP read bytes,50',
  'TUN/TAP write bytes,0',
  'TCP/UDP read bytes,3041',
  'TCP/UDP write bytes,3110',
  'Auth read bytes,160',
  'END',
];
const WHOLE: [string, string[]][] = [
  ['a client', STATISTICS],
  ['format 1', FORMAT_1],
  ['format 2', table('2.3')],
  ['format 3 of 2.4', tabs(table('2.4'))],
  ['format 3 of 2.6', tabs(table('2.6').toSpliced(-1, 0, 'GLOBAL_STATS,dco_enabled,0'))],
];

describe.each(WHOLE)('%s', (_, lines) => {
  const text = lines.join('\n');
  const read = (each: string): boolean | 'error' => {
    try {
      return parseStatus(each.split('\n')).complete;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MANAGEMENT_PROTOCOL' });
      return 'error';
    }
  };

  test('is complete with its END, as a reply or a file', () => {
    expect(read(text)).toBe(true);
    expect(read(`${text}\n`)).toBe(true);
  });

  test('is an error, or says that it is not complete, wherever it is cut', () => {
    for (let length = 0; length < text.length; length += 1)
      expect([length, read(text.slice(0, length))]).not.toEqual([length, true]);
    // only among the last numbers can it look whole
    for (const last of [1, 2]) expect(read(lines.slice(0, last).join('\n'))).toBe('error');
  });

  test('is an error with a line left out, twice or out of place', () => {
    // but for rows and numbers, of which there may be any
    const free = /^(?:CLIENT_LIST|ROUTING_TABLE|GLOBAL_STATS|alice,|10\.8|Max |TUN|TCP|Auth|END)/;
    for (const [index, line] of lines.entries()) {
      if (!free.test(line)) expect([line, read(lines.toSpliced(index, 1).join('\n'))]).toEqual([line, 'error']);
      expect([line, read([...lines, line].join('\n'))]).toEqual([line, 'error']);
    }
  });
});

test.each([
  [['TITLE\tx']],
  [['TITLE\tx', 'END']],
  [['OpenVPN CLIENT LIST', 'END']],
  [['OpenVPN STATISTICS', 'END']],
  [['OpenVPN STATISTICS', 'Updated,', 'TUN/TAP read bytes,1', 'END']],
  [tabs(table('2.6')).with(1, 'TIME\tfoo\tbar')],
  [tabs(table('2.6')).with(1, 'TIME\tfoo')],
  [tabs(table('2.6')).toSpliced(2, 0, 'HEADER\tUNKNOWN\tx')],
  [tabs(table('2.6')).toSpliced(3, 0, 'SOMETHING\tx')],
  [tabs(table('2.6')).map((line) => line.replace('1795428000', 'soon'))],
  [tabs(table('2.6')).map((line) => line.replace('1795431540', ''))],
  [[...table('2.6'), 'CLIENT_LIST,x']],
  [[...FORMAT_1, 'END']],
  [[]],
  [['something']],
  [['TITLE,x', 'CLIENT_LIST,a']],
  [['OpenVPN CLIENT LIST', 'a,b,c']],
  [['OpenVPN STATISTICS', 'x,y']],
  // a word, or a column, that is nearly the right one
  [table('2.6').with(0, 'TITLES,OpenVPN x')],
  [table('2.6').with(1, 'TIMES,2026-11-23 11:00:00,1795431600')],
  [table('2.6').with(1, 'TIME,,1795431600')],
  [table('2.6').map((line) => line.replace('HEADER,CLIENT_LIST', 'HEADER,CLIENT_LISP'))],
  [table('2.6').map((line) => line.replace(/^CLIENT_LIST/, 'CLIENT_LISP'))],
  [table('2.6').map((line) => line.replace('Real Address,Virtual', 'Virtual Address,Virtual'))],
  [table('2.6').map((line) => line.replace(',Real Address,Virtual', ',Virtual'))],
  // two of one name: the second one's value would be shown as the first one's
  [table('2.6').map((line) => line.replace('Username', 'Common Name'))],
  [table('2.6').map((line) => line.replace('CLIENT_LIST,alice', 'CLIENT_LIST'))],
  [table('2.6').map((line) => line.replace('GLOBAL_STATS,Max', 'GLOBAL_STAT,Max'))],
  [table('2.6').map((line) => line.replace('GLOBAL_STATS,Max bcast/mcast queue length', 'GLOBAL_STATS,'))],
  [FORMAT_1.map((line) => line.replace('Max bcast/mcast queue length,0', ',0'))],
  [FORMAT_1.map((line) => line.replace('alice,', 'alice,,'))],
  [FORMAT_1.map((line) => line.replace(',100,200', ',100'))],
  [STATISTICS.with(1, 'Update,2026-11-23 11:00:00')],
  [STATISTICS.with(1, 'Updated')],
  [STATISTICS.with(3, 'TUN/TAP read bytes,1')],
  [STATISTICS.with(3, 'TUN/TAP write bytes,1,2')],
  // a comma in a name: read wrong it would move every column
  [table('2.6').map((line) => line.replace('alice,203', 'al,ice,203'))],
])('refuses %j', (lines) => {
  expect(() => parseStatus(lines)).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_PROTOCOL' }));
});

test('an error says where the text ends, or which line it is', () => {
  const errorOf = (lines: string[]): unknown => {
    try {
      return parseStatus(lines);
    } catch (error) {
      return error;
    }
  };
  expect(errorOf([])).toMatchObject({ hint: 'it is empty' });
  expect(errorOf(['TITLE,x'])).toMatchObject({ hint: 'it ends behind "TITLE,x"' });
  const long = `TITLE,${'x'.repeat(300)}`;
  expect(errorOf([long])).toMatchObject({ hint: `it ends behind "${long.slice(0, 200)}"` });
  expect(errorOf(['something'])).toMatchObject({ hint: 'names with commas can be read in format 3 only' });
});

test.each([
  ['a time without words', 'TIME\t\t1', 'HEADER\tCLIENT_LIST\tCommon Name,Real Address'],
  ['a list without columns', 'TIME\t2026-11-23 11:00:00\t1', 'HEADER\tCLIENT_LIST\t'],
  ['a list without some of its columns', 'TIME\t2026-11-23 11:00:00\t1', 'HEADER\tCLIENT_LIST\tCommon Name'],
])('%s is not an empty server', (_, time, header) => {
  const rest = [
    'HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref',
    'GLOBAL_STATS\tx\t0',
    'END',
  ];
  expect(() => parseStatus(['TITLE\tx', time, header, ...rest])).toThrow("can't be read");
});
