import { AgentError, errorText } from '../../errors.ts';
import { unlessAborted } from '../../promises.ts';
import { type CommandSurroundings, runCommand } from '../../shell-command.ts';
import { serverIn } from '../../signing/tls/server-name.ts';
import type { Asked, Decision } from './asked.ts';

/** What a command is told of a request, by names of variables. Nothing of it is secret. */
function describe(
  { request, context, key, isServerVerified }: Asked & Decision,
  tunnel: string,
): Readonly<Record<string, string>> {
  const server = serverIn(context);
  return {
    PKSIGD_TUNNEL: tunnel,
    PKSIGD_KEY: key,
    PKSIGD_SCHEME: request.algorithmText,
    PKSIGD_CONTEXT: context.kind,
    ...('tls' in context && { PKSIGD_TLS: context.tls }),
    ...(server !== undefined && { PKSIGD_SERVER: server, PKSIGD_SERVER_VERIFIED: isServerVerified ? 'yes' : 'no' }),
  };
}

/** A command that says yes or no to each signature, as `ssh-add -c` asks. */
export class Confirmation {
  readonly #command: string;
  readonly #around: CommandSurroundings;
  /** One after the other: a daemon that asks a hundred times shall not open a hundred windows. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(command: string, around: CommandSurroundings) {
    this.#command = command;
    this.#around = around;
  }

  /** @param signal the deadline: whoever has not said yes by then has said no @throws AgentError ERR_POLICY_CONFIRM, ERR_ABORTED */
  async ask(asked: Asked & Decision, tunnel: string, signal: AbortSignal): Promise<void> {
    const turn = this.#last.then(async () => {
      if (!signal.aborted) await this.#run(describe(asked, tunnel), signal);
    });
    this.#last = turn.catch(() => undefined);
    await unlessAborted(turn, signal);
  }

  async #run(about: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const { PKSIGD_TUNNEL: tunnel, PKSIGD_KEY: key, PKSIGD_SERVER: server, PKSIGD_SERVER_VERIFIED: verified } = about;
    const at = verified === 'yes' ? 'at server' : 'at what calls itself';
    const question = `Sign with ${key} for tunnel ${tunnel}${server === undefined ? '' : `, ${at} ${server}`}?`;
    const variables = { SSH_ASKPASS_PROMPT: 'confirm', ...about };
    // its output is nobody's: a person is asked in a window, or elsewhere
    const options = { words: [question], variables, deadline: 0, signal, isSilent: true };
    try {
      await runCommand(this.#command, options, this.#around);
    } catch (error) {
      throw new AgentError('ERR_POLICY_CONFIRM', `not confirmed: ${errorText(error)}`);
    }
  }
}
