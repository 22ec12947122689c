import { describe, expect, test } from 'vitest';
import { COMMANDS, RELAY_RIGHTS, type RelayRights } from '../../../../src/management/index.ts';
import { ReplyCollector } from '../../../../src/management/commands/reply.ts';

const rightOf = (line: string): RelayRights | undefined => {
  const words = line.split(' ');
  return COMMANDS[words[0] ?? '']?.right(words);
};

describe('what a client of a relay needs', () => {
  const READ = 'bytecount echo exit help load-stats log nclients pid quit state status verb version'.split(' ');
  const OPERATE = 'cr-response hold needok needstr password username'.split(' ');

  test.each(RELAY_RIGHTS)('%s: these commands and no others, as docs/RELAY.md has them', (right) => {
    const expected = { read: READ, operate: OPERATE, all: undefined }[right];
    const found = Object.keys(COMMANDS).filter((name) => rightOf(name) === right);
    expect(found).toEqual(expected ?? Object.keys(COMMANDS).filter((name) => ![...READ, ...OPERATE].includes(name)));
  });

  test.each([
    ['signal SIGUSR1', 'operate'],
    ['signal SIGHUP', 'operate'],
    ['signal SIGHUP x', 'all'],
    ['signal SIGTERM', 'all'],
    ['signal SIGUSR2', 'all'],
    ['signal', 'all'],
    ['verb 4', 'all'],
  ] as const)('%s: %s', (line, right) => {
    expect(rightOf(line)).toBe(right);
  });
});

/** A daemon's words of success, each with the commands that it answers. */
const SUCCESSES: readonly (readonly [text: string, ...names: string[]])[] = [
  ['auth-retry=none', 'auth-retry'],
  ['auth-retry parameter changed', 'auth-retry'],
  ['bytecount interval changed', 'bytecount'],
  ['certificate command succeeded', 'certificate'],
  ['client-auth command succeeded', 'client-auth', 'client-auth-nt'],
  ['client-deny command succeeded', 'client-deny'],
  ['client-kill command succeeded', 'client-kill'],
  ['client-pending-auth command succeeded', 'client-pending-auth'],
  ['client-pf command succeeded', 'client-pf'],
  ['command succeeded', 'cr-response'],
  ['real-time echo notification set to ON', 'echo'],
  ['env_filter_level=2', 'env-filter'],
  ['Passwords were forgotten', 'forget-passwords'],
  ['hold=1', 'hold'],
  ['hold flag set to OFF', 'hold'],
  ['hold release succeeded', 'hold'],
  ["common name 'x' found, 1 client(s) killed", 'kill'],
  ['1 client(s) at address 192.0.2.1:5 killed', 'kill'],
  ['nclients=1,bytesin=2,bytesout=3', 'load-stats'],
  ['real-time log notification set to OFF', 'log'],
  ['mute=3', 'mute'],
  ['mute level changed', 'mute'],
  ['nclients=1', 'nclients'],
  ["'x' needok-confirmation entered, but not yet verified", 'needok'],
  ["'x' needstr-string entered, but not yet verified", 'needstr'],
  ["'Auth' password entered, but not yet verified", 'password'],
  ['pid=7', 'pid'],
  ['pk-sign command succeeded', 'pk-sig', 'rsa-sig'],
  ['rsa-sign command succeeded', 'pk-sig', 'rsa-sig'],
  ['rsa-sig command succeeded', 'rsa-sig'],
  ['proxy command succeeded', 'proxy'],
  ['push-update command succeeded', 'push-update-broad', 'push-update-cid'],
  ['remote command succeeded', 'remote'],
  ['signal SIGUSR1 thrown', 'signal'],
  ['real-time state notification set to ON', 'state'],
  ["'Auth' username entered, but not yet verified", 'username'],
  ['verb=3', 'verb'],
  ['verb level changed', 'verb'],
  ['Management client version set to 4', 'version'],
];

test.each(SUCCESSES)('SUCCESS: %s answers no other command', (text, ...names) => {
  const said = Object.entries(COMMANDS).filter(([, { says }]) => says.test(text));
  expect(said.map(([name]) => name)).toEqual(names);
});

test.each([
  ['pk-sig', 'SUCCESS: pk-sign command succeeded', true],
  ['pk-sig', 'ERROR: rsa-sign command failed', true],
  ['rsa-sig', 'ERROR: The rsa-sig command is not currently available', true],
  ['certificate', 'SUCCESS: certificate command succeeded', true],
  ['certificate', 'ERROR: The certificate command is not currently available', true],
  ['certificate', 'ERROR: The pk-sig command is not currently available', false],
  ['pk-sig', 'ERROR: The certificate command is not currently available', false],
  ['pk-sig', 'SUCCESS: pid=7', false],
  ['pk-sig', 'LOG: SUCCESS: pk-sig command succeeded', false],
] as const)('%s: whether %j is the answer to its block, wherever it comes: %s', (name, line, isIts) => {
  expect(COMMANDS[name]?.claims?.test(line)).toBe(isIts);
});

describe('a reply in two halves', () => {
  const collect = (...lines: string[]): ReplyCollector => {
    const collector = new ReplyCollector({ parts: [{ kind: 'line' }, { kind: 'block' }] });
    for (const line of lines) collector.push(line);
    return collector;
  };

  test('whose first half fails still has its second', () => {
    const error = "log parameter must be 'on' or 'off' or some number n or 'all'";
    const half = collect(`ERROR: ${error}`);
    expect([half.done, half.open]).toEqual([false, false]);
    const whole = collect(`ERROR: ${error}`, '1,I,x', 'END');
    expect([whole.done, whole.reply()]).toEqual([
      true,
      { text: undefined, lines: ['1,I,x'], raw: [`ERROR: ${error}`, '1,I,x', 'END'], error },
    ]);
  });

  test('is over with any other error', () => {
    expect(collect('ERROR: no').done).toBe(true);
  });

  test('that is discarded keeps nothing, and is over at its end all the same', () => {
    const collector = collect('SUCCESS: on', '1,I,x');
    collector.discard();
    expect([collector.reply().lines, collector.reply().raw, collector.bytes]).toEqual([[], [], []]);
    collector.push('2,I,y');
    collector.push('END');
    expect([collector.done, collector.reply().lines, collector.bytes]).toEqual([true, [], []]);
  });
});
