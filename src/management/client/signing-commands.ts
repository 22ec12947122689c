import { AgentError } from '../../errors.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import { ManagementConnection } from '../connection/connection.ts';
import { commandLine } from '../wire/words.ts';
import type { Reply } from '../commands/reply.ts';
import type { ReplyShape } from '../commands/table.ts';

/** The daemon's signals (management-notes "COMMAND -- signal"). */
export type DaemonSignal = 'SIGHUP' | 'SIGTERM' | 'SIGUSR1' | 'SIGUSR2';

/** Base64 characters in a line of a block. The daemon's buffer would take more; OpenSSL and PEM use 64. */
const BASE64_LINE = 64;

/** The commands that a signing agent needs: answers to the daemon's requests, hold and signals. */
export class AgentCommands extends ManagementConnection {
  /**
   * Sends a line as it is, and a block behind it if there is one.
   *
   * @throws AgentError ERR_MANAGEMENT_COMMAND with the daemon's words if it answers with an error; and as {@link exchange}
   */
  async raw(
    line: string,
    options: CommandOptions & { readonly body?: readonly string[]; readonly shape?: ReplyShape } = {},
  ): Promise<Reply> {
    return accepted(line.split(' ', 1)[0] ?? line, await this.exchange(line, options));
  }

  /**
   * Answers a PK_SIGN: one write, ahead of all that is queued.
   *
   * @param signature null for an empty block, by which the daemon's TLS handshake fails at once and is tried again
   * @returns when the daemon has taken the block; whether it can use the signature it doesn't say
   * @throws AgentError ERR_MANAGEMENT_COMMAND if the daemon asks for no signature (any more)
   */
  async pkSig(signature: Uint8Array | null, options?: CommandOptions): Promise<void> {
    await this.raw('pk-sig', { ...options, body: base64Lines(signature) });
  }

  /** Answers an RSA_SIGN, as {@link pkSig} does a PK_SIGN. */
  async rsaSig(signature: Uint8Array | null, options?: CommandOptions): Promise<void> {
    await this.raw('rsa-sig', { ...options, body: base64Lines(signature) });
  }

  /**
   * Answers a NEED-CERTIFICATE with certificates in PEM, the client's own first. Text around them isn't sent. The
   * daemon ends if it can't read them.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT if there is no certificate in `pem`, or more than the daemon's 10,000
   *   characters; ERR_MANAGEMENT_COMMAND if the daemon asks for none
   */
  async certificate(pem: string, options?: CommandOptions): Promise<void> {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    if (blocks.length === 0) throw new AgentError('ERR_MANAGEMENT_ARGUMENT', 'there is no PEM certificate to send');
    const body = blocks.flatMap((block) => block.split(/\r?\n/).map((line) => line.trim()));
    const length = body.reduce((sum, line) => sum + line.length + 1, 0);
    if (length > MAX_CERTIFICATES)
      throw new AgentError(
        'ERR_MANAGEMENT_ARGUMENT',
        `the certificates have ${length} characters: OpenVPN takes up to ${MAX_CERTIFICATES}`,
      );
    await this.raw('certificate', { ...options, body });
  }

  /**
   * Lets a daemon that waits in its hold go on. Wait for its HOLD first: released before it, with a password, a
   * daemon of 2.6 stays stuck until any further input.
   */
  async holdRelease(options?: CommandOptions): Promise<void> {
    await this.raw('hold release', options);
  }

  /** Sends the daemon a signal; while in hold it ignores SIGHUP and SIGUSR1 (ERR_MANAGEMENT_COMMAND). */
  async signal(signal: DaemonSignal, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['signal', signal]), options);
  }
}

/** management_query_cert in manage.c joins the lines to at most that many characters. */
const MAX_CERTIFICATES = 10_000;

function base64Lines(bytes: Uint8Array | null): string[] {
  if (bytes === null) return [];
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += BASE64_LINE) lines.push(text.slice(at, at + BASE64_LINE));
  return lines;
}

/** The reply, unless it is an error. */
export function accepted(name: string, reply: Reply): Reply {
  if (reply.error === undefined) return reply;
  throw new AgentError('ERR_MANAGEMENT_COMMAND', `OpenVPN refused the ${name} command: ${reply.error}`);
}
