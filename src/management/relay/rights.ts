import { COMMANDS } from '../reply-shape.ts';

/** What clients of a relay may do; each level includes the one before. */
export const RELAY_RIGHTS = ['read', 'operate', 'all'] as const;
export type RelayRights = (typeof RELAY_RIGHTS)[number];

/** They show something and change nothing but what the asking client itself gets. */
const READ = /^(?:bytecount|echo|exit|help|load-stats|log|nclients|pid|quit|state|status|version)(?: |$)|^verb$/;

/** They answer the daemon's questions, hold it and restart it. */
const OPERATE = /^(?:cr-response|hold|needok|needstr|password|username)(?: |$)|^signal (?:SIGHUP|SIGUSR1)$/;

/**
 * What becomes of a command: `unknown` if it is to be answered as the daemon answers what it doesn't know. Below `all`
 * nothing passes that isn't in the table: a later daemon may know it, and do with it who knows what.
 *
 * @param line the command as `commandLine` writes it, so that the daemon can't read it otherwise than we do
 */
export function judge(name: string, line: string, rights: RelayRights): 'allowed' | 'denied' | 'unknown' {
  if (rights === 'all' || READ.test(line) || (rights === 'operate' && OPERATE.test(line))) return 'allowed';
  return name in COMMANDS ? 'denied' : 'unknown';
}

/** Whether a line of a notification holds a secret, which those who may only read don't get. */
export function isSecret(line: string): boolean {
  return /^>(?:PASSWORD:Auth-Token:|CLIENT:ENV,password=)/.test(line);
}
