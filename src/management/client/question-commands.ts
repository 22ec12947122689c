import { AgentError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { accepted } from './signing-commands.ts';
import { challengeTextResponse } from '../notifications/challenge.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import { checkBody, commandLine, MAX_PARAMETER, quoteParameter } from '../wire/words.ts';
import { readCount } from '../wire/fields.ts';
import type { NotificationOf } from '../notifications/types.ts';
import { parseNotification } from '../notifications/notification.ts';
import { COMMANDS, replyShape } from '../commands/table.ts';
import { refuse, SessionCommands, whole } from './daemon-commands.ts';

/** Answer to a PROXY notification. */
export type ProxyChoice =
  | { readonly type: 'NONE' }
  | {
      readonly type: 'HTTP' | 'SOCKS';
      readonly host: string;
      readonly port: number;
      /** HTTP only: authenticate by methods that don't show the password. */
      readonly nonCleartextAuth?: boolean;
    };

/** A `remote` of the daemon's configuration (OpenVPN 2.6 on). */
export interface RemoteEntry {
  readonly index: number;
  readonly host: string;
  readonly port: string;
  readonly protocol: string;
  /** Not disabled by restrictions on protocol or proxy. */
  readonly enabled: boolean;
}

/** A line of the `remote-entry-get` command's reply (man_remote_entry_get in manage.c). */
export function parseRemoteEntry(line: string): RemoteEntry | undefined {
  const [indexText, host, port, protocol, status] = line.split(',');
  const index = readCount(indexText);
  if (index === undefined || host === undefined || port === undefined || protocol === undefined) return undefined;
  if (status !== 'enabled' && status !== 'disabled') return undefined;
  return { index, host, port, protocol, enabled: status === 'enabled' };
}

/** The commands by which a daemon's questions are answered. All throw as {@link AgentCommands.raw} does. */
export class QuestionCommands extends SessionCommands {
  /** Answers a PASSWORD that needs a username. The password follows with {@link password}. */
  async username(name: string, username: string, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['username', name, username]), options);
  }

  /**
   * Answers a PASSWORD. For challenges pass what {@link staticChallengeResponse} and its kin make. The bytes that are
   * sent are zeroed; a Secret stays the caller's to destroy.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT for more than 256 bytes, which only daemons from 2.7 on take, from
   *   clients that announced version 5
   */
  async password(name: string, password: Secret | string, options?: CommandOptions): Promise<void> {
    const secret = new Secret(typeof password === 'string' ? password : password.bytes);
    try {
      await (secret.length > MAX_PARAMETER
        ? this.#longPassword(name, secret, options)
        : this.#sendPassword(name, secret, options));
    } finally {
      secret.destroy();
    }
  }

  /** Answers a NEED-OK. */
  async needOk(name: string, answer: 'ok' | 'cancel', options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['needok', name, answer]), options);
  }

  /** Answers a NEED-STR. */
  async needStr(name: string, text: string, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['needstr', name, text]), options);
  }

  /** Answers a CR_TEXT (2.5 on); takes the plain response and encodes it. */
  async crResponse(response: string, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['cr-response', challengeTextResponse(response)]), options);
  }

  /** Answers a PROXY. */
  async proxy(choice: ProxyChoice, options?: CommandOptions): Promise<void> {
    const words =
      choice.type === 'NONE'
        ? ['NONE']
        : [choice.type, choice.host, whole(choice.port), ...(choice.nonCleartextAuth === true ? ['nct'] : [])];
    await this.raw(commandLine(['proxy', ...words]), options);
  }

  /** Answers a REMOTE: connect there. */
  async remoteAccept(options?: CommandOptions): Promise<void> {
    await this.raw('remote ACCEPT', options);
  }

  /** Answers a REMOTE: connect elsewhere. */
  async remoteModify(host: string, port: number | string, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['remote', 'MOD', host, port]), options);
  }

  /** Answers a REMOTE: try the next entry, or (2.6 on) the one so many further. */
  async remoteSkip(count?: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['remote', 'SKIP', ...(count === undefined ? [] : [whole(count)])]), options);
  }

  /** How many `remote` entries there are (2.6 on). */
  async remoteEntryCount(options?: CommandOptions): Promise<number> {
    const line = (await this.raw('remote-entry-count', options)).lines[0];
    return readCount(line) ?? refuse('remote-entry-count', line ?? '');
  }

  /** One `remote` entry, those from `start` to before `end`, or all (2.6 on). Counts from 0. */
  async remoteEntries(start: number | 'all', end?: number, options?: CommandOptions): Promise<RemoteEntry[]> {
    const words = [start === 'all' ? start : whole(start), ...(end === undefined ? [] : [whole(end)])];
    const reply = await this.raw(commandLine(['remote-entry-get', ...words]), options);
    return reply.lines.map((line) => parseRemoteEntry(line) ?? refuse('remote-entry-get', line));
  }

  /**
   * How many PKCS#11 identities the daemon sees. Only for daemons with `--pkcs11-providers`: one without ends at this
   * command, by an assertion in its pkcs11-helper (seen on 2.6.14).
   */
  async pkcs11IdCount(options?: CommandOptions): Promise<number> {
    const line = (await this.raw('pkcs11-id-count', options)).lines[0] ?? '';
    const notification = parseNotification([line]);
    return notification.type === 'PKCS11ID-COUNT' ? notification.count : refuse('pkcs11-id-count', line);
  }

  /** The identity at an index, counted from 0; undefined if there is none. As {@link pkcs11IdCount}, with a provider only. */
  async pkcs11IdGet(index: number, options?: CommandOptions): Promise<NotificationOf<'PKCS11ID-ENTRY'>['entry']> {
    const line = (await this.raw(commandLine(['pkcs11-id-get', whole(index)]), options)).lines[0] ?? '';
    const notification = parseNotification([line]);
    return notification.type === 'PKCS11ID-ENTRY' ? notification.entry : refuse('pkcs11-id-get', line);
  }

  async #sendPassword(name: string, secret: Secret, options: CommandOptions | undefined): Promise<void> {
    const head = `password ${quoteParameter(name)} `;
    const word = quoteBytes(secret.bytes);
    const bytes = Buffer.concat([Buffer.from(`${head}"`), word, Buffer.from('"\n')]);
    word.fill(0);
    const reply = await this.submit(
      { name: 'password', bytes, secret: true, shape: PASSWORD_SHAPE, says: PASSWORD_SAYS },
      options ?? {},
    );
    accepted('password', reply);
  }

  /** man_query_password_base64 in manage.c: base64 lines and END. */
  async #longPassword(name: string, secret: Secret, options: CommandOptions | undefined): Promise<void> {
    if (this.daemonVersion.management < 6 || (this.announcedVersion ?? 0) < 5)
      throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a password has ${secret.length} bytes`, {
        hint: `OpenVPN takes up to ${MAX_PARAMETER}, more only from 2.7 on with client version 5`,
      });
    const body = secret.bytes.toString('base64').match(/.{1,64}/g) ?? [];
    const line = commandLine(['password', name]);
    const bytes = Buffer.from([line, ...checkBody(body), 'END', ''].join('\n'));
    const reply = await this.submit(
      { name: 'password', bytes, secret: true, shape: PASSWORD_SHAPE, says: PASSWORD_SAYS, body },
      options ?? {},
    );
    accepted('password', reply);
  }
}

const PASSWORD_SHAPE = replyShape('password', 0);
const PASSWORD_SAYS = COMMANDS['password']?.says ?? /^/;

/** {@link quoteParameter} on bytes, so that no string of the secret is made. */
function quoteBytes(bytes: Buffer): Buffer {
  const quoted = Buffer.alloc(bytes.length * 2);
  let length = 0;
  for (const byte of bytes) {
    if (byte < 0x20 || byte === 0x7f) {
      quoted.fill(0);
      throw new AgentError('ERR_MANAGEMENT_ARGUMENT', 'a password holds a line end, NUL or another control character');
    }
    if (byte === 0x22 || byte === 0x5c) {
      quoted[length] = 0x5c;
      length += 1;
    }
    quoted[length] = byte;
    length += 1;
  }
  const exact = Buffer.from(quoted.subarray(0, length));
  quoted.fill(0);
  return exact;
}
