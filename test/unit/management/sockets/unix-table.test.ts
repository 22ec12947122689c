import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readUnixRow, unixRow } from '../../../../src/management/sockets/unix-table.ts';

const HEAD = 'Num       RefCount Protocol Flags    Type St Inode Path\n';

test.each([
  ['one that listens', '00010000 0001 01 31 /run/a', { isListeningStream: true, path: '/run/a' }],
  ['one that listens, and has other flags', '00018000 0001 01 31 /run/a', { isListeningStream: true, path: '/run/a' }],
  ['one that does not', '00000000 0001 03 31 /run/a', { isListeningStream: false, path: '/run/a' }],
  ['one of datagrams', '00010000 0002 01 31 /run/a', { isListeningStream: false, path: '/run/a' }],
  ['one of packets', '00010000 0005 01 31 /run/a', { isListeningStream: false, path: '/run/a' }],
  ['one without a name', '00010000 0001 01 31', { isListeningStream: true, path: undefined }],
  // as the kernel fills the column up
  ['one with a short number', '00010000 0001 01    31 /run/a', { isListeningStream: true, path: '/run/a' }],
  ['one with blanks in its name', '00010000 0001 01 31 /run/a b', { isListeningStream: true, path: '/run/a b' }],
  ['one in the abstract namespace', '00010000 0001 01 31 @a', { isListeningStream: true, path: '@a' }],
  ['one of another number', '00010000 0001 01 131 /run/a', undefined],
])('%s', (_, columns, expected) => {
  expect(unixRow(`${HEAD}0000000000000000: 00000002 00000000 ${columns}\n`, 31)).toEqual(expected);
});

test('the right one of several', () => {
  const row = (number: number): string =>
    `0000000000000000: 00000002 00000000 00010000 0001 01 ${number} /run/${number}\n`;
  expect(unixRow(HEAD + row(30) + row(31) + row(310), 31)?.path).toBe('/run/31');
});

test('a name with a line in it that reads like another socket’s', () => {
  const name = '/run/a\n x: 00000002 00000000 00010000 0001 01 32 /run/b';
  expect(unixRow(`${HEAD}0: 00000002 00000000 00010000 0001 01 31 ${name}\n`, 32)).toBeUndefined();
});

test.each([0, 31])('none of no number: %d', (inode) => {
  expect(unixRow(HEAD, inode)).toBeUndefined();
  expect(unixRow('', inode)).toBeUndefined();
});

test('one of this system', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-unix-'));
  const path = join(folder, 'socket');
  const server = createServer().listen(path);
  await new Promise((resolve) => server.once('listening', resolve));
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const { ino } = statSync(`/proc/self/fd/${fd}`);
  expect(readUnixRow(ino)).toEqual({ isListeningStream: true, path });
  await new Promise((resolve) => server.close(resolve));
  expect(readUnixRow(ino)).toBeUndefined();
  rmSync(folder, { recursive: true });
});
