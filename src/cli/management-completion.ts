import { COMMANDS } from '../management/index.ts';

/** Words that a command's first argument can be. */
const ARGUMENTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['auth-retry', ['none', 'interact', 'nointeract']],
  ['echo', ['on', 'off', 'all']],
  ['hold', ['on', 'off', 'release']],
  ['log', ['on', 'off', 'all']],
  ['proxy', ['NONE', 'HTTP', 'SOCKS']],
  ['remote', ['ACCEPT', 'MOD', 'SKIP']],
  ['remote-entry-get', ['all']],
  ['signal', ['SIGHUP', 'SIGTERM', 'SIGUSR1', 'SIGUSR2']],
  ['state', ['on', 'off', 'all']],
  ['status', ['1', '2', '3']],
]);

/** What a line can go on with, for node:readline: the commands, or a command's words. */
export function completeCommand(line: string): [matches: string[], typed: string] {
  const [name = '', ...rest] = line.split(/\s+/);
  if (rest.length === 0) return [Object.keys(COMMANDS).filter((each) => each.startsWith(name)), name];
  const typed = rest.at(-1) ?? '';
  // `log on all`, `state on 3`
  const follows = rest.length === 2 && rest[0] === 'on' ? ['all'] : rest.length === 1 ? ARGUMENTS.get(name) : undefined;
  return [(follows ?? []).filter((each) => each.startsWith(typed)), typed];
}
