import { describe, expect, it } from 'vitest';
import { parseOpenVpnConfig, splitWords } from '../../../src/config/openvpn-config.ts';

describe('splitWords', () => {
  it.each([
    ['management 127.0.0.1 7505', ['management', '127.0.0.1', '7505']],
    ['  a\tb  # comment', ['a', 'b']],
    ['; all comment', []],
    ['a#b c;d', ['a#b', 'c;d']],
    ['"a b" \'c "d\' e\\ f ""', ['a b', 'c "d', 'e f', '']],
    ['"a\\"b" \'a\\b\'', ['a"b', 'a\\b']],
  ])('%s', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });
  it('notices a quote that does not end', () => {
    expect(splitWords('a "b')).toBeUndefined();
  });
});

describe('parseOpenVpnConfig', () => {
  const parse = (text: string) => parseOpenVpnConfig(text, '/etc/openvpn/client/office.conf');

  it.each([
    ['management 127.0.0.1 7505', ['127.0.0.1', '7505']],
    ['management office.sock unix pw', ['/etc/openvpn/client/office.sock', 'unix', '/etc/openvpn/client/pw']],
    ['management /run/o.sock unix stdin', ['/run/o.sock', 'unix', 'stdin']],
    ['management ::1 1 /pw\r\nverb 3', ['::1', '1', '/pw']],
    ['management 127.0.0.1 1\nmanagement 127.0.0.1 2', ['127.0.0.1', '2']],
  ])('%j', (text, management) => {
    expect(parse(text)).toEqual({ management, managementClient: false });
  });

  it('passes over inline blocks, sees management-client', () => {
    const text = '<ca>\nmanagement 10.0.0.1 1\n"\n</ca>\nmanagement-client\nmanagement 127.0.0.1 2\n';
    expect(parse(text)).toEqual({ management: ['127.0.0.1', '2'], managementClient: true });
  });

  it.each([
    ['client', /no management directive/],
    ['\nmanagement 127.0.0.1', /office.conf:2: management takes/],
    ['remote "x', /office.conf:1: a quote/],
  ])('refuses %j', (text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringMatching(message) }),
    );
  });
});
