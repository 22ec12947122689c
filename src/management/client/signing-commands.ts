import { AgentError } from '../../errors.ts';
import { accepted } from '../commands/reply.ts';
import { LINE } from '../commands/shape.ts';
import { COMMANDS } from '../commands/table.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import { base64Lines, certificateBlocks } from '../wire/pem.ts';
import { send, type Sender } from './sender.ts';

/** The daemon's signals (management-notes "COMMAND -- signal"). */
export type DaemonSignal = 'SIGHUP' | 'SIGTERM' | 'SIGUSR1' | 'SIGUSR2';

/** management_query_cert in manage.c joins the lines to at most that many characters. */
const MAX_CERTIFICATES = 10_000;

/** Made straight away, without the checks of what others wrote: a daemon stands still until it has this. */
async function sendSignature(
  to: Sender,
  name: 'pk-sig' | 'rsa-sig',
  signature: Uint8Array | null,
  options: CommandOptions | undefined,
): Promise<void> {
  const { says = /^/, claims } = COMMANDS[name] ?? {};
  const body = signature === null ? [] : base64Lines(signature);
  const bytes = Buffer.from([name, ...body, 'END', ''].join('\n'), 'latin1');
  accepted(name, await to.submit({ name, bytes, shape: LINE, says, claims, body }, options));
}

export type SigningCommands = typeof signingCommands;

/** The commands that a signing agent needs: answers to the daemon's requests, hold and signals. */
export const signingCommands = {
  /**
   * Answers a PK_SIGN: one write, ahead of all that is queued.
   *
   * @param signature null for an empty block, by which the daemon's TLS handshake fails at once and is tried again
   * @returns when the daemon has taken the block; whether it can use the signature it doesn't say
   * @throws AgentError ERR_MANAGEMENT_COMMAND if the daemon asks for no signature (any more)
   */
  async pkSig(this: Sender, signature: Uint8Array | null, options?: CommandOptions): Promise<void> {
    await sendSignature(this, 'pk-sig', signature, options);
  },

  /** Answers an RSA_SIGN, as {@link pkSig} does a PK_SIGN. */
  async rsaSig(this: Sender, signature: Uint8Array | null, options?: CommandOptions): Promise<void> {
    await sendSignature(this, 'rsa-sig', signature, options);
  },

  /**
   * Answers a NEED-CERTIFICATE with certificates in PEM, the client's own first. Text around them isn't sent. The
   * daemon ends if it can't read them.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT if there is no certificate in `pem`, a cut one, or more than the daemon's
   *   10,000 characters; ERR_MANAGEMENT_COMMAND if the daemon asks for none
   */
  async certificate(this: Sender, pem: string, options?: CommandOptions): Promise<void> {
    const body = certificateBlocks(pem.split('\n')).flat();
    if (body.length === 0) throw new AgentError('ERR_MANAGEMENT_ARGUMENT', 'there is no PEM certificate to send');
    const length = body.reduce((sum, line) => sum + line.length + 1, 0);
    if (length > MAX_CERTIFICATES)
      throw new AgentError(
        'ERR_MANAGEMENT_ARGUMENT',
        `the certificates have ${length} characters: OpenVPN takes up to ${MAX_CERTIFICATES}`,
      );
    await this.raw('certificate', { ...options, body });
  },

  /**
   * Lets a daemon that waits in its hold go on. Wait for its HOLD first: released before it, with a password, a
   * daemon of 2.6 stays stuck until any further input.
   */
  async holdRelease(this: Sender, options?: CommandOptions): Promise<void> {
    await this.raw('hold release', options);
  },

  /** Sends the daemon a signal; while in hold it ignores SIGHUP and SIGUSR1 (ERR_MANAGEMENT_COMMAND). */
  async signal(this: Sender, signal: DaemonSignal, options?: CommandOptions): Promise<void> {
    await send(this, ['signal', signal], options);
  },
};
