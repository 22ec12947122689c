import { describe, expect, test } from 'vitest';
import {
  readEchoes,
  readIdentity,
  readIdentityCount,
  readKilled,
  readLog,
  readNumber,
  readRemoteCount,
  readRemotes,
  readStates,
  readValue,
  readValues,
  readVersion,
} from '../../../../src/management/commands/read-reply.ts';
import type { Reply } from '../../../../src/management/commands/reply.ts';
import { coded } from '../pair.ts';

const said = (text: string | undefined): Reply => ({ text, lines: [], raw: [], error: undefined });
const block = (...lines: string[]): Reply => ({ text: undefined, lines, raw: [...lines, 'END'], error: undefined });
const unreadable = coded('ERR_MANAGEMENT_PROTOCOL');

describe('values', () => {
  test('by name, numbers as numbers', () => {
    expect(readValues(said('hold=1'), 'hold')).toEqual({ hold: 1 });
    expect(readValues(said('nclients=3,bytesin=10,name=a=b,my-name=x1'), 'x')).toEqual({
      ...{ nclients: 3, bytesin: 10 },
      ...{ name: 'a=b', 'my-name': 'x1' },
    });
    expect(readValues(said('done'), 'x')).toBe(undefined);
    expect(readValues(said(undefined), 'x')).toBe(undefined);
    for (const text of ['a=1,b', 'a=1\nb', 'A=1', ' a=1', 'a=', '=1', 'a=1,']) {
      expect(() => readValues(said(text), 'x')).toThrow(unreadable);
    }
  });

  test('one of them', () => {
    expect(readValue(said('hold=0'), 'hold')).toBe(0);
    expect(readValue(said('mode=x'), 'mode')).toBe('x');
    for (const text of ['other=1', 'done', undefined]) expect(() => readValue(said(text), 'hold')).toThrow(unreadable);
    expect(readNumber(said('pid=12'), 'pid')).toBe(12);
    expect(readNumber(said('pid=12'), 'process', 'pid')).toBe(12);
    for (const text of ['pid=x', 'other=1', 'done', undefined])
      expect(() => readNumber(said(text), 'pid')).toThrow(unreadable);
  });

  test('an error repeats no more than a beginning', () => {
    expect(() => readValue(said('x'.repeat(300)), 'hold')).toThrow(
      `OpenVPN's reply to the hold command can't be read: "${'x'.repeat(200)}"`,
    );
    expect(() => readValue(said(undefined), 'hold')).toThrow(`can't be read: ""`);
  });
});

test('how many clients were killed', () => {
  expect(readKilled(said('12 client(s) killed'))).toBe(12);
  expect(readKilled(said("common name 'a' found, 23 client(s) killed"))).toBe(23);
  for (const text of ['client(s) killed', "common name 'a', 2 client(s) killed", 'x client(s) killed', undefined]) {
    expect(() => readKilled(said(text))).toThrow(unreadable);
  }
});

test('a log, whose texts may span lines', () => {
  expect(readLog(block('1,I,one', 'more', 'and more', '2,W,two'))).toEqual([
    { time: 1, flags: 'I', text: 'one\nmore\nand more' },
    { time: 2, flags: 'W', text: 'two' },
  ]);
  expect(readLog(block())).toEqual([]);
  expect(() => readLog(block('more', '1,I,one'))).toThrow(unreadable);
});

test('echoes and states', () => {
  expect(readEchoes(block('1,a', '2,b'))).toEqual([
    { time: 1, text: 'a' },
    { time: 2, text: 'b' },
  ]);
  expect(() => readEchoes(block('1,a', 'b'))).toThrow(unreadable);
  expect(readStates(block('1,CONNECTED,SUCCESS,,,,,'))).toMatchObject([{ time: 1, name: 'CONNECTED' }]);
  expect(() => readStates(block('1'))).toThrow(unreadable);
});

test('remotes', () => {
  expect(readRemotes(block('0,host,1194,udp,enabled', '12,other,443,tcp-client,disabled'))).toEqual([
    { index: 0, host: 'host', port: '1194', protocol: 'udp', enabled: true },
    { index: 12, host: 'other', port: '443', protocol: 'tcp-client', enabled: false },
  ]);
  for (const line of ['x,host,1194,udp,enabled', '0,host,1194,udp', '0,host,1194,udp,on', '0,host', '0', '']) {
    expect(() => readRemotes(block(line))).toThrow(unreadable);
  }
  expect(readRemoteCount(block('2'))).toBe(2);
  expect(() => readRemoteCount(block())).toThrow(unreadable);
});

test('identities of tokens', () => {
  expect(readIdentityCount(block('>PKCS11ID-COUNT:2'))).toMatchObject({ count: 2 });
  expect(() => readIdentityCount(block(">PKCS11ID-ENTRY:'0'"))).toThrow(unreadable);
  expect(readIdentity(block(">PKCS11ID-ENTRY:'0', ID:'a', BLOB:'b'"))).toMatchObject({ entry: { id: 'a', blob: 'b' } });
  expect(() => readIdentity(block('>PKCS11ID-COUNT:2'))).toThrow(unreadable);
  expect(() => readIdentity(block())).toThrow(unreadable);
});

test('the version', () => {
  for (const line of ['Management Version: 5', 'Management Interface Version: 5']) {
    expect(readVersion(block('OpenVPN Version: OpenVPN 2.6', line))).toEqual({ title: 'OpenVPN 2.6', management: 5 });
  }
  expect(readVersion(block('OpenVPN Version: x', 'Management Version: 12')).management).toBe(12);
  expect(() => readVersion(block('one', 'two'))).toThrow('"one two"');
  for (const lines of [
    [],
    ['OpenVPN Version: x'],
    ['OpenVPN Version: x\ny', 'Management Version: 5'],
    ['', 'Management Version: 5'],
    ['x OpenVPN Version: x', 'Management Version: 5'],
    ['OpenVPN Version: x', 'A Management Version: 5'],
    ['OpenVPN Version: x', 'Management Version: 5 or so'],
    ['Management Version: 5', 'OpenVPN Version: x'],
  ]) {
    expect(() => readVersion(block(...lines))).toThrow(unreadable);
  }
});
