import { expect, test } from 'vitest';
import { commandOf, parseLine, RELAY_RIGHTS } from '../../../../src/management/index.ts';
import { judge } from '../../../../src/management/relay/rights.ts';

/** The least right that lets a line pass. */
function needed(line: string): string | undefined {
  const words = parseLine(line) ?? [];
  const name = /^\S+/.exec(line)?.[0] ?? '';
  return RELAY_RIGHTS.find((rights) => judge(name, words, rights) === 'allowed');
}

test.each([
  ['read', ['bytecount 5', 'echo on all', 'help', 'load-stats', 'log 20', 'nclients', 'pid', 'state', 'status 3']],
  ['read', ['version', 'version 3', 'verb', 'exit', 'quit']],
  ['operate', ['cr-response x', 'hold', 'hold release', 'needok x ok', 'needstr x y', 'password Auth x']],
  ['operate', ['username Auth x', 'signal SIGHUP', 'signal SIGUSR1']],
  ['all', ['verb 4', 'signal', 'signal SIGTERM', 'signal SIGUSR2', 'signal SIGHUP x', 'kill x', 'net', 'test 5']],
  ['all', ['client-auth-nt 1 2', 'client-deny 1 2 x', 'env-filter', 'mute', 'auth-retry', 'forget-passwords']],
  ['all', ['remote ACCEPT', 'proxy NONE', 'pkcs11-id-get 0', 'remote-entry-get all', 'push-update-broad x']],
])('it takes %s for %j', (rights, lines) => {
  for (const line of lines) {
    expect(needed(line), line).toBe(rights);
    expect(commandOf(line), line).toBeDefined();
  }
});

test('a line that cannot be read needs what its name needs, or all where that depends on its words', () => {
  expect(needed('status "')).toBe('read');
  expect(needed('hold "')).toBe('operate');
  expect(needed('verb "')).toBe('all');
  expect(needed('signal "')).toBe('all');
});

test('what is not in the table passes for those who may do all, and is unknown to others', () => {
  expect(RELAY_RIGHTS.map((rights) => judge('new-command', ['new-command'], rights))).toEqual([
    'unknown',
    'unknown',
    'allowed',
  ]);
  expect(judge('kill', ['kill', 'x'], 'operate')).toBe('denied');
  expect(judge('constructor', ['constructor'], 'read')).toBe('unknown');
});
