import { AgentError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import {
  readIdentity,
  readIdentityCount,
  readRemoteCount,
  readRemotes,
  type RemoteEntry,
} from '../commands/read-reply.ts';
import { accepted } from '../commands/reply.ts';
import { COMMANDS, replyShape } from '../commands/table.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import { challengeTextResponse } from '../notifications/challenge.ts';
import type { NotificationOf } from '../notifications/types.ts';
import { base64Lines } from '../wire/pem.ts';
import { checkBody, commandLine, MAX_PARAMETER, quoteParameter } from '../wire/words.ts';
import { send, type Sender } from './sender.ts';

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

export type QuestionCommands = typeof questionCommands;

/** The commands by which a daemon's questions are answered. All throw as {@link ManagementClient.raw} does. */
export const questionCommands = {
  /** Answers a PASSWORD that needs a username. The password follows with {@link password}. */
  async username(this: Sender, name: string, username: string, options?: CommandOptions): Promise<void> {
    await send(this, ['username', name, username], options);
  },

  /**
   * Answers a PASSWORD. For challenges pass what {@link staticChallengeResponse} and its kin make. The bytes that are
   * sent are zeroed; a Secret stays the caller's to destroy.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT for more than 256 bytes, which only daemons from 2.7 on take, from
   *   clients that announced version 5
   */
  async password(this: Sender, name: string, password: Secret | string, options?: CommandOptions): Promise<void> {
    const secret = new Secret(typeof password === 'string' ? password : password.bytes);
    try {
      await (secret.length > MAX_PARAMETER
        ? sendLong(this, name, secret, options)
        : sendShort(this, name, secret, options));
    } finally {
      secret.destroy();
    }
  },

  /** Answers a NEED-OK. */
  async needOk(this: Sender, name: string, answer: 'ok' | 'cancel', options?: CommandOptions): Promise<void> {
    await send(this, ['needok', name, answer], options);
  },

  /** Answers a NEED-STR. */
  async needStr(this: Sender, name: string, text: string, options?: CommandOptions): Promise<void> {
    await send(this, ['needstr', name, text], options);
  },

  /** Answers a CR_TEXT (2.5 on); takes the plain response and encodes it. */
  async crResponse(this: Sender, response: string, options?: CommandOptions): Promise<void> {
    await send(this, ['cr-response', challengeTextResponse(response)], options);
  },

  /** Answers a PROXY. */
  async proxy(this: Sender, choice: ProxyChoice, options?: CommandOptions): Promise<void> {
    const words =
      choice.type === 'NONE' ? [] : [choice.host, choice.port, ...(choice.nonCleartextAuth === true ? ['nct'] : [])];
    await send(this, ['proxy', choice.type, ...words], options);
  },

  /** Answers a REMOTE: connect there. */
  async remoteAccept(this: Sender, options?: CommandOptions): Promise<void> {
    await this.raw('remote ACCEPT', options);
  },

  /** Answers a REMOTE: connect elsewhere. */
  async remoteModify(this: Sender, host: string, port: number | string, options?: CommandOptions): Promise<void> {
    await send(this, ['remote', 'MOD', host, port], options);
  },

  /** Answers a REMOTE: try the next entry, or (2.6 on) the one so many further. */
  async remoteSkip(this: Sender, count?: number, options?: CommandOptions): Promise<void> {
    await send(this, ['remote', 'SKIP', ...(count === undefined ? [] : [count])], options);
  },

  /** How many `remote` entries there are (2.6 on). */
  async remoteEntryCount(this: Sender, options?: CommandOptions): Promise<number> {
    return readRemoteCount(await this.raw('remote-entry-count', options));
  },

  /** One `remote` entry, those from `start` to before `end`, or all (2.6 on). Counts from 0. */
  async remoteEntries(
    this: Sender,
    start: number | 'all',
    end?: number,
    options?: CommandOptions,
  ): Promise<RemoteEntry[]> {
    const words = end === undefined ? [start] : [start, end];
    return readRemotes(await send(this, ['remote-entry-get', ...words], options));
  },

  /**
   * How many PKCS#11 identities the daemon sees. Only for daemons with `--pkcs11-providers`: one without ends at this
   * command, by an assertion in its pkcs11-helper (seen on 2.6.14).
   */
  async pkcs11IdCount(this: Sender, options?: CommandOptions): Promise<number> {
    return readIdentityCount(await this.raw('pkcs11-id-count', options)).count;
  },

  /** The identity at an index, counted from 0; undefined if there is none. As {@link pkcs11IdCount}, with a provider only. */
  async pkcs11IdGet(
    this: Sender,
    index: number,
    options?: CommandOptions,
  ): Promise<NotificationOf<'PKCS11ID-ENTRY'>['entry']> {
    return readIdentity(await send(this, ['pkcs11-id-get', index], options)).entry;
  },
};

const PASSWORD_REPLY = { shape: replyShape('password', 0), says: COMMANDS['password']?.says ?? /^/ };

async function sendShort(to: Sender, name: string, secret: Secret, options?: CommandOptions): Promise<void> {
  const head = `password ${quoteParameter(name)} `;
  const word = quoteBytes(secret.bytes);
  const bytes = Buffer.concat([Buffer.from(`${head}"`), word, Buffer.from('"\n')]);
  word.fill(0);
  accepted('password', await to.submit({ name: 'password', bytes, secret: true, ...PASSWORD_REPLY }, options));
}

/** man_query_password_base64 in manage.c: base64 lines and END. */
async function sendLong(to: Sender, name: string, secret: Secret, options?: CommandOptions): Promise<void> {
  if (to.daemonVersion.management < 6 || (to.announcedVersion ?? 0) < 5)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a password has ${secret.length} bytes`, {
      hint: `OpenVPN takes up to ${MAX_PARAMETER}, more only from 2.7 on with client version 5`,
    });
  const body = base64Lines(secret.bytes);
  const line = commandLine(['password', name]);
  const bytes = Buffer.from([line, ...checkBody(body), 'END', ''].join('\n'));
  accepted('password', await to.submit({ name: 'password', bytes, secret: true, ...PASSWORD_REPLY, body }, options));
}

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
