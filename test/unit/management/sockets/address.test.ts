import { describe, expect, test } from 'vitest';
import { formatManagementAddress, parseManagementAddress } from '../../../../src/management/index.ts';
import { MAX_UNIX_PATH } from '../../../../src/management/sockets/address.ts';

describe('the words of --management', () => {
  test.each([
    ['127.0.0.1', '7505', { kind: 'tcp', host: '127.0.0.1', port: 7505 }, '127.0.0.1:7505'],
    ['localhost', '1', { kind: 'tcp', host: 'localhost', port: 1 }, 'localhost:1'],
    ['::1', '65535', { kind: 'tcp', host: '::1', port: 65535 }, '[::1]:65535'],
    ['[::1]', '7505', { kind: 'tcp', host: '::1', port: 7505 }, '[::1]:7505'],
    ['fe80::1%lo', '7505', { kind: 'tcp', host: 'fe80::1%lo', port: 7505 }, '[fe80::1%lo]:7505'],
    ['/run/openvpn/x.sock', 'unix', { kind: 'unix', path: '/run/openvpn/x.sock' }, '/run/openvpn/x.sock'],
    ['relative sock', 'unix', { kind: 'unix', path: 'relative sock' }, 'relative sock'],
    ['tunnel', 'unix', { kind: 'unix', path: 'tunnel' }, 'tunnel'],
    ['[localhost]', '00080', { kind: 'tcp', host: 'localhost', port: 80 }, 'localhost:80'],
  ] as const)('%s %s', (address, port, parsed, name) => {
    expect(parseManagementAddress(address, port)).toEqual(parsed);
    expect(formatManagementAddress(parsed)).toBe(name);
  });

  test.each([
    ['', '7505', 'empty'],
    ['', 'unix', 'empty'],
    ['127.0.0.1', '0', '1 to 65535'],
    ['127.0.0.1', '65536', '1 to 65535'],
    ['127.0.0.1', '7505x', '1 to 65535'],
    ['127.0.0.1', '', '1 to 65535'],
    ['127.0.0.1', '000080', '1 to 65535'],
    ['127.0.0.1', ' 80', '1 to 65535'],
    ['127.0.0.1', 'UNIX', '1 to 65535'],
    ['tunnel', '7505', 'inside the tunnel'],
    ['127.0.0.1:7505', '7505', 'neither'],
    ['a b', '7505', 'neither'],
    ['/run/x.sock', '7505', 'neither'],
    ['[]', '7505', 'neither'],
    ['[::1', '7505', 'neither'],
    ['::1]', '7505', 'neither'],
    ['[[::1]]', '7505', 'neither'],
    ['a[b', '7505', 'neither'],
    ['a]b', '7505', 'neither'],
    ['a\tb', '7505', 'neither'],
    ['1:2%lo', '7505', 'neither'],
    ['x\0y', 'unix', 'control'],
    ['x\ny', 'unix', 'control'],
    ['x\ry', '7505', 'control'],
    [`/${'x'.repeat(107)}`, 'unix', '108'],
  ])('refuses %j %j', (address, port, hint) => {
    expect(() => parseManagementAddress(address, port)).toThrow(
      expect.objectContaining({ code: 'ERR_MANAGEMENT_ADDRESS', hint: expect.stringContaining(hint) as string }),
    );
  });
});

test('a path that is just long enough, in bytes', () => {
  const path = `/${'ä'.repeat((MAX_UNIX_PATH - 1) / 2)}`;
  expect(parseManagementAddress(path, 'unix')).toEqual({ kind: 'unix', path });
  expect(() => parseManagementAddress(`${path}x`, 'unix')).toThrow(
    expect.objectContaining({ code: 'ERR_MANAGEMENT_ADDRESS' }),
  );
});
