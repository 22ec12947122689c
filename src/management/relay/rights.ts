import { COMMANDS, RELAY_RIGHTS, type RelayRights } from '../commands/table.ts';

/**
 * What becomes of a command: `unknown` if it is to be answered as the daemon answers what it doesn't know. Below `all`
 * nothing passes that isn't in the table: a later daemon may know it, and what it does there can't be known.
 *
 * @param words the command's words as they are sent, so that the daemon can't read them otherwise; none for a line that
 *   neither we nor the daemon can read
 */
export function judge(name: string, words: readonly string[], rights: RelayRights): 'allowed' | 'denied' | 'unknown' {
  if (rights === 'all') return 'allowed';
  const command = COMMANDS[name];
  if (command === undefined) return 'unknown';
  return includes(rights, command.right(words)) ? 'allowed' : 'denied';
}

/** Whether whoever has these rights has that one. */
export function includes(rights: RelayRights, needed: RelayRights): boolean {
  return RELAY_RIGHTS.indexOf(needed) <= RELAY_RIGHTS.indexOf(rights);
}

/**
 * Which right it takes to see a notification's line; the first that fits counts. What isn't here (a notification of a
 * later release, one that was cut in its first word) is for `all` only.
 */
const NEEDED: readonly (readonly [RegExp, RelayRights])[] = [
  // a session's token: for clients that answer when it is asked for again
  [/^>PASSWORD:Auth-Token:/, 'operate'],
  // with it goes the state of a dynamic challenge, to which the one-time code is the answer
  [/^>PASSWORD:Verification Failed: .*CRV1:/, 'operate'],
  // links that log in the person who opens them
  [/^>INFO(?:MSG)?:(?:WEB_AUTH|OPEN_URL)\b/, 'operate'],
  [/^>INFOMSG:CR_TEXT:/, 'read'],
  [/^>INFOMSG:/, 'operate'],
  // one-time codes of the server's clients: for programs that let those in
  [/^>CLIENT:CR_RESPONSE\b/, 'all'],
  [/^>CLIENT:(?:CONNECT|REAUTH|ESTABLISHED|DISCONNECT|ADDRESS),/, 'read'],
  [/^>(?:CLIENT|UPDOWN):ENV,END$/, 'read'],
  [/^>(?:BYTECOUNT|BYTECOUNT_CLI|ECHO|FATAL|HOLD|INFO|LOG|NOTIFY|STATE):/, 'read'],
  [/^>(?:NEED-CERTIFICATE|NEED-OK|NEED-STR|PASSWORD|PROXY|REMOTE):/, 'read'],
  [/^>UPDOWN:(?:UP|DOWN)$/, 'read'],
];

/**
 * Variables that `read` shows, by the names that OpenVPN itself gives (openvpn.8, "Environmental Variables"). All
 * others may hold whatever a configuration (`setenv`), a plug-in or a client (`UV_…`) put there.
 */
const SHOWN_VARIABLE = new RegExp(
  `^>(?:CLIENT|UPDOWN):ENV,(?:${[
    'bytes_(?:received|sent)',
    'common_name',
    'config',
    'daemon(?:_log_redirect|_pid|_start_time)?',
    'dev(?:_idx|_type)?',
    '(?:dhcp|dns|foreign_option|route|net_gateway|ifconfig|remote|local|proto|trusted|untrusted)_\\w+',
    'IV_\\w+',
    'link_mtu',
    'n_clients',
    'redirect_gateway',
    'script_(?:context|type)',
    'signal',
    'time_(?:ascii|duration|unix)',
    'tls_(?:digest|id|serial|version)\\w*',
    'tun_mtu',
    'username',
    'verb',
    'X509_\\w+',
  ].join('|')})=`,
);

const VARIABLE = /^>(?:CLIENT|UPDOWN):ENV,/;
/** A user's password: for programs that let the server's clients in. */
const PASSWORD_VARIABLE = /^>(?:CLIENT|UPDOWN):ENV,password=/;

/** The lines of a notification that a client with these rights may see; none if it is not for it. */
export function visible(lines: readonly string[], rights: RelayRights): readonly string[] {
  if (rights === 'all') return lines;
  const [first = '', ...rest] = lines;
  if (!maySee(first, rights)) return [];
  return [redactLog(first, rights), ...rest.filter((line) => maySee(line, rights))];
}

function maySee(line: string, rights: RelayRights): boolean {
  const needed = NEEDED.find(([form]) => form.test(line))?.[1];
  if (needed !== undefined) return includes(rights, needed);
  if (!VARIABLE.test(line)) return rights === 'all';
  return rights === 'read' ? SHOWN_VARIABLE.test(line) : !PASSWORD_VARIABLE.test(line);
}

/**
 * Where the daemon's log, at verb 3 and more, repeats what is kept from those clients elsewhere: commands that carried a
 * code or a link, and the control messages in which codes, links, challenges and tokens travel.
 */
const SECRET_IN_LOG = [
  /(MANAGEMENT: CMD '["' \\]*(?:client-deny|client-pending-auth|cr-response|needstr|password)\b).*/s,
  /(CR response was sent by client \(').*/s,
  /(\b(?:CR_RESPONSE|INFO|INFO_PRE),|\bS?CRV1:|\b(?:WEB_AUTH|OPEN_URL):|\bauth-token ).*/s,
];

/** A log line, as `log` prints it or as a LOG or FATAL has it, with `[...]` in place of secrets. */
export function redactLog(line: string, rights: RelayRights): string {
  if (rights === 'all' || (line.startsWith('>') && !/^>(?:LOG|FATAL):/.test(line))) return line;
  return SECRET_IN_LOG.reduce((text, form) => text.replace(form, '$1 [...]'), line);
}
