import type { Agent } from '../agent/agent.ts';
import { groupId } from '../config/account-id.ts';
import type { MonitorFlags } from '../config/monitor-flags.ts';
import { listenInFolder } from '../control/place.ts';
import { ControlServer, type ControlActions } from '../control/server.ts';
import { AgentError } from '../errors.ts';
import type { AgentStatus } from './agent-status.ts';
import type { Logger } from './standard-streams.ts';

interface ControlOptions {
  readonly flags: MonitorFlags;
  readonly agent: Agent;
  readonly status: AgentStatus;
  /** Reads the configuration anew; undefined where there is none. */
  readonly reload: (() => Promise<unknown>) | undefined;
  readonly log: Logger;
}

/**
 * Listens for `pksigd status` and its like.
 * @returns undefined if it was switched off, or where nothing says a private place for the socket
 * @throws AgentError if the socket that was asked for can't be made
 */
export async function openControl({
  flags: { control, controlGroup },
  agent,
  status,
  reload,
  log,
}: ControlOptions): Promise<ControlServer | undefined> {
  if (control === 'none') return undefined;
  const actions: ControlActions = {
    status: () => status.report(),
    forget: async () => ({ tokens: await agent.forget() }),
    lock: (passphrase) => agent.lock(passphrase),
    unlock: (passphrase) => agent.unlock(passphrase),
    reload: async () => {
      if (!reload)
        throw new AgentError('ERR_USAGE', 'there is no configuration file that could be read anew', {
          hint: 'SIGHUP has the certificates read anew',
        });
      return await reload();
    },
  };
  const group = controlGroup === undefined ? undefined : await groupId(controlGroup, '--control-group');
  const self = process.geteuid?.() ?? 0;
  const isAsked = control !== undefined || controlGroup !== undefined;
  try {
    const server =
      control === undefined
        ? await listenInFolder(process.env, self, { group, actions })
        : await ControlServer.listen({ path: control, group, actions });
    if (!server && isAsked)
      throw new AgentError('ERR_USAGE', 'there is no private folder for the control socket', {
        hint: 'give --control PATH',
      });
    if (server) log.debug({ control: server.path }, 'listening for pksigd status');
    return server;
  } catch (error) {
    if (isAsked) throw error;
    log.warn({ error: error instanceof AgentError ? error.line : String(error) }, 'there is no control socket');
    return undefined;
  }
}
