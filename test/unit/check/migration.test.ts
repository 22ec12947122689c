import { describe, expect, test } from 'vitest';
import { migrated, reportBuiltIn, reportMigration, type Migration } from '../../../src/check/migration.ts';
import { reported } from './reported.ts';

const MODULE = { file: '/m.so', isTypedAtToken: false, privateMode: 0, isCertificatePrivate: false };
const BUILT_IN: Migration = {
  id: { text: 'a/b/c/d/01', uri: 'pkcs11:token=d;id=%01' },
  module: MODULE,
  pinCache: undefined,
  asksForId: false,
  lines: [
    { path: 'x.ovpn', number: 3, words: ['pkcs11-providers', '/m.so'] },
    { path: 'x.ovpn', number: 4, words: ['dev', 'tun'] },
    { path: 'more', number: 1, words: ['pkcs11-id', 'a b/c'] },
    { path: 'more', number: 2, words: ['management-query-passwords'] },
  ],
  command: ['pksigd', 'run', '--key', "it's"],
  namesPinSource: true,
};
const DIRECTIVES = new Map([
  ['pkcs11-providers', ['/m.so']],
  ['dev', ['tun']],
  ['management-query-passwords', []],
]);
const LINES = ['management /run/x.sock unix', 'management-hold', 'cert "a b"', '# and more'];

function told(more: Partial<Migration>, directives = DIRECTIVES): string[] {
  const { report, lines } = reported();
  reportBuiltIn({ ...BUILT_IN, ...more }, directives, report);
  return lines;
}

describe('what becomes of', () => {
  test('id and module', () => {
    expect(told({}).slice(0, 2)).toEqual([
      'ok    pkcs11-id: a/b/c/d/01 is pkcs11:token=d;id=%01',
      'ok    pkcs11-providers: the URI names /m.so',
    ]);
  });

  test.each([
    [{ module: { ...MODULE, isTypedAtToken: true } }, /^ok {4}pkcs11-protected-authentication: goes: the token says/],
    [{ module: { ...MODULE, isCertificatePrivate: true } }, /^ok {4}pkcs11-cert-private: goes: pksigd logs in/],
    [{ module: { ...MODULE, privateMode: 3 } }, /^ok {4}pkcs11-private-mode: goes: pksigd signs with C_Sign$/],
    [{ module: { ...MODULE, privateMode: 4 } }, /^warn {2}pkcs11-private-mode: pksigd signs with C_Sign, and by no/],
    [{ pinCache: 0 }, /^warn {2}pkcs11-pin-cache: it was 0 seconds, .*: 'pksigd forget' has it let go of it$/],
    [{ asksForId: true }, /^ok {4}pkcs11-id-management: goes/],
  ] satisfies [Partial<Migration>, RegExp][])('its neighbours: %j', (more, line) => {
    expect(told(more)).toContainEqual(expect.stringMatching(line));
  });

  test('management-query-passwords: it goes, unless something else is asked for', () => {
    expect(told({})).toContainEqual(expect.stringMatching(/^ok {4}management-query-passwords: goes/));
    const directives = new Map([...DIRECTIVES, ['auth-user-pass', []]]);
    expect(told({}, directives).join()).not.toContain('management-query-passwords');
    expect(migrated(BUILT_IN, directives, []).directives.has('management-query-passwords')).toBe(true);
  });
});

describe('the steps', () => {
  test('take out, put in', () => {
    const { directives, steps } = migrated(BUILT_IN, DIRECTIVES, LINES);
    expect(steps.remove).toEqual([
      { path: 'x.ovpn', number: 3, text: 'pkcs11-providers /m.so' },
      { path: 'more', number: 1, text: 'pkcs11-id "a b/c"' },
      { path: 'more', number: 2, text: 'management-query-passwords' },
    ]);
    expect(steps.add).toEqual(LINES);
    expect(Object.fromEntries(directives)).toEqual({
      dev: ['tun'],
      management: ['/run/x.sock', 'unix'],
      'management-hold': [],
      cert: ['a b'],
    });
  });

  test('not what is there already, however the management interface is written', () => {
    const before = new Map([...DIRECTIVES, ['management', ['x.sock', 'unix']], ['management-hold', []]]);
    const { directives, steps } = migrated(BUILT_IN, before, LINES);
    expect(steps.add).toEqual(LINES.slice(2));
    expect(directives.get('management')).toEqual(['x.sock', 'unix']);
  });

  test('as a person reads them', () => {
    const { report, lines } = reported();
    reportMigration(migrated(BUILT_IN, DIRECTIVES, LINES).steps, { ...BUILT_IN, namesPinSource: false }, report);
    expect(lines).toEqual([
      expect.stringMatching(/^ok {4}migration: take out .*: <pin-at-terminal>$/),
      '- x.ovpn:3: pkcs11-providers /m.so',
      '- more:1: pkcs11-id "a b/c"',
      '- more:2: management-query-passwords',
      ...LINES.map((line) => `+ ${line}`),
      String.raw`$ pksigd run --key 'it'\''s'`,
    ]);
  });
});
