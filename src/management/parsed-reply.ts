import { fieldsOf, readCount } from './fields.ts';
import { parseEchoEntry, parseLogEntry, parseStateEntry } from './history.ts';
import { parseNotification } from './notification.ts';
import type { Reply } from './reply.ts';
import { parseStatus } from './status.ts';

const entries =
  (parse: (line: string) => unknown) =>
  ({ lines }: Reply): unknown =>
    lines.map((line) => parse(line) ?? { text: line });

/** `NAME=VALUE`, and with commas several: numbers where they are numbers. */
function values({ text }: Reply): unknown {
  const pairs = (text ?? '').split(',').map((pair) => /^([a-z_-]+)=(.*)$/.exec(pair));
  if (pairs.some((pair) => pair === null)) return undefined;
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', readCount(pair?.[2]) ?? pair?.[2] ?? '']));
}

const readers: ReadonlyMap<string, (reply: Reply) => unknown> = new Map<string, (reply: Reply) => unknown>([
  ...['auth-retry', 'hold', 'load-stats', 'mute', 'nclients', 'pid', 'verb', 'env-filter'].map(
    (name) => [name, values] as const,
  ),
  ['echo', entries(parseEchoEntry)],
  ['log', entries(parseLogEntry)],
  ['state', entries(parseStateEntry)],
  ['status', ({ lines }) => parseStatus(lines)],
  [
    'version',
    ({ lines }) => ({
      title: /^OpenVPN Version: (.*)$/.exec(lines[0] ?? '')?.[1],
      management: readCount(/^Management (?:Interface )?Version: (\d+)$/.exec(lines[1] ?? '')?.[1]),
    }),
  ],
  ['remote-entry-count', ({ lines }) => readCount(lines[0])],
  [
    'remote-entry-get',
    entries((line) => {
      const [index, host, port, protocol, status] = fieldsOf(line, 5) ?? [];
      return status === undefined
        ? undefined
        : { index: readCount(index), host, port, protocol, enabled: status === 'enabled' };
    }),
  ],
  ['pkcs11-id-count', ({ lines }) => parseNotification(lines)],
  ['pkcs11-id-get', ({ lines }) => parseNotification(lines)],
]);

/**
 * A reply as data, for programs that show it as JSON: what the command's own method returns, or nearly.
 *
 * @param name the command's first word
 * @returns undefined where the reply says no more than its text
 * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a status that can't be read
 */
export function parseReply(name: string, reply: Reply): unknown {
  const hasBlock = reply.lines.length > 0;
  const isHistory = ['echo', 'log', 'state'].includes(name) && !hasBlock;
  return isHistory ? undefined : readers.get(name)?.(reply);
}
