import { describe, expect, test } from 'vitest';
import { parseStatus } from '../../../src/management/index.ts';

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

test.each([
  [[]],
  [['something']],
  [['TITLE,x', 'CLIENT_LIST,a']],
  [['OpenVPN CLIENT LIST', 'a,b,c']],
  [['OpenVPN STATISTICS', 'x,y']],
  // a comma in a name: read wrong it would move every column
  [table('2.6').map((line) => line.replace('alice,203', 'al,ice,203'))],
])('refuses %j', (lines) => {
  expect(() => parseStatus(lines)).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_PROTOCOL' }));
});
