import { readCount } from '../wire/fields.ts';
import { parseEchoEntry, parseLogEntry, parseStateEntry } from '../notifications/entries.ts';
import { parseNotification } from '../notifications/notification.ts';
import { parseRemoteEntry } from '../client/question-commands.ts';
import type { Reply } from './reply.ts';
import { parseVersion, refuse } from '../client/daemon-commands.ts';
import { parseStatus } from './status.ts';

type Reader = (reply: Reply, name: string) => unknown;

/** Every line in the form that `parse` reads. */
const entries =
  (parse: (line: string) => unknown): Reader =>
  ({ lines }, name) =>
    lines.map((line) => parse(line) ?? refuse(name, line));

/** `NAME=VALUE`, and with commas several: numbers where they are numbers. */
const values: Reader = ({ text }, name) => {
  // an answer in words, to a command that changed something
  if (text?.includes('=') !== true) return undefined;
  const pairs = text.split(',').map((pair) => /^([a-z_-]+)=(.+)$/.exec(pair) ?? refuse(name, text));
  return Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, readCount(value) ?? value]));
};

/** A reply that has the form of a notification. */
const notification: Reader = ({ lines }, name) => {
  const read = parseNotification(lines);
  return read.type === 'UNKNOWN' || read.type === 'STRAY' ? refuse(name, lines[0] ?? '') : read;
};

/** What this kind of daemon has. END goes with the lines: without, they would not be known to be whole. */
function statusOf(raw: readonly string[]): unknown {
  const { kind, title, updated, updatedTime, clients, routes, globals, counters } = parseStatus(raw);
  return kind === 'client'
    ? { kind, updated, counters }
    : { kind, title, updated, updatedTime, clients, routes, globals };
}

const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ...['auth-retry', 'hold', 'load-stats', 'mute', 'nclients', 'pid', 'verb', 'env-filter'].map(
    (name) => [name, values] as const,
  ),
  ['echo', entries(parseEchoEntry)],
  // some of the daemon's own log texts span lines
  ['log', ({ lines }) => lines.map((line) => parseLogEntry(line) ?? { text: line })],
  ['state', entries(parseStateEntry)],
  ['status', ({ raw }) => statusOf(raw)],
  ['version', ({ lines }, name) => parseVersion(lines) ?? refuse(name, lines.join(' '))],
  ['remote-entry-count', ({ lines }, name) => readCount(lines[0]) ?? refuse(name, lines[0] ?? '')],
  ['remote-entry-get', entries(parseRemoteEntry)],
  ['pkcs11-id-count', notification],
  ['pkcs11-id-get', notification],
]);

/**
 * A reply as data, for programs that show it as JSON: what the command's own method returns, or nearly.
 *
 * @param name the command's first word
 * @returns undefined where the reply says no more than its text
 * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a reply that can't be read
 */
export function parseReply(name: string, reply: Reply): unknown {
  const hasBlock = reply.lines.length > 0;
  const isHistory = ['echo', 'log', 'state'].includes(name) && !hasBlock;
  // a daemon that acknowledges `version N` prints no version
  if (isHistory || (name === 'version' && !hasBlock)) return undefined;
  return readers.get(name)?.(reply, name);
}
