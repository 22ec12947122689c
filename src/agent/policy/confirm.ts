import { spawn } from 'node:child_process';
import { AgentError } from '../../errors.ts';
import { unlessAborted } from '../../promises.ts';
import { serverIn } from '../../signing/tls/server-name.ts';
import type { Asked } from './asked.ts';

/** What a command is told of a request, by names of variables. Nothing of it is secret. */
function describe({ request, context, key }: Asked, tunnel: string): Readonly<Record<string, string>> {
  const server = serverIn(context);
  return {
    PKSIGD_TUNNEL: tunnel,
    PKSIGD_KEY: key,
    PKSIGD_SCHEME: request.algorithmText,
    PKSIGD_CONTEXT: context.kind,
    ...('tls' in context && { PKSIGD_TLS: context.tls }),
    ...(server !== undefined && { PKSIGD_SERVER: server }),
  };
}

/** A command that says yes or no to each signature, as `ssh-add -c` asks. */
export class Confirmation {
  readonly #command: string;
  readonly #environment: NodeJS.ProcessEnv;
  /** One after the other: a daemon that asks a hundred times shall not open a hundred windows. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(command: string, environment: NodeJS.ProcessEnv) {
    this.#command = command;
    this.#environment = environment;
  }

  /** @param signal the deadline: whoever has not said yes by then has said no @throws AgentError ERR_POLICY_CONFIRM, ERR_ABORTED */
  async ask(asked: Asked, tunnel: string, signal: AbortSignal): Promise<void> {
    const turn = this.#last.then(async () => {
      if (!signal.aborted) await this.#run(describe(asked, tunnel), signal);
    });
    this.#last = turn.catch(() => undefined);
    await unlessAborted(turn, signal);
  }

  async #run(about: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const { PKSIGD_TUNNEL: tunnel, PKSIGD_KEY: key, PKSIGD_SERVER: server } = about;
    const question = `Sign with ${key} for tunnel ${tunnel}${server === undefined ? '' : `, at server ${server}`}?`;
    const refused = await new Promise<string | undefined>((resolve) => {
      const child = spawn('/bin/sh', ['-c', this.#command, 'pksigd', question], {
        // its output is nobody's: a person is asked in a window, or elsewhere
        stdio: 'ignore',
        env: { ...this.#environment, SSH_ASKPASS_PROMPT: 'confirm', ...about },
      });
      const kill = (): void => {
        child.kill();
      };
      signal.addEventListener('abort', kill, { once: true });
      child.once('error', () => {
        signal.removeEventListener('abort', kill);
        resolve('could not be started');
      });
      child.once('exit', (code, by) => {
        signal.removeEventListener('abort', kill);
        resolve(code === 0 ? undefined : `said no (${code ?? by})`);
      });
    });
    if (refused !== undefined) throw new AgentError('ERR_POLICY_CONFIRM', `the command that confirms ${refused}`);
  }
}
