import { AgentError } from '../errors.ts';
import { isLocal, socketPathFault } from '../management/internal.ts';
import { commandLine } from './command-line.ts';
import { parseMetricsWords } from './management-words.ts';

/** Who may ask what the agent is doing, and how a person hears what is wanted of them. */
export interface MonitorFlags {
  /** Of the control socket: a path, or `none`. */
  readonly control?: string | undefined;
  readonly controlGroup?: string | undefined;
  /** ADDRESS PORT, or PATH unix. */
  readonly metrics?: readonly string[] | undefined;
  readonly metricsGroup?: string | undefined;
  /** `desktop`, or a command line for /bin/sh. */
  readonly notify?: string | undefined;
}

/**
 * What can be said of them before anything is listened at.
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS
 */
export function checkMonitorFlags({ control, controlGroup, metrics, metricsGroup, notify }: MonitorFlags): void {
  commandLine(notify, '--notify');
  if (controlGroup !== undefined && control === 'none')
    throw new AgentError('ERR_USAGE', '--control-group is for a control socket: --control none has none');
  if (metricsGroup !== undefined && metrics?.[1] !== 'unix')
    throw new AgentError('ERR_USAGE', '--metrics-group is for metrics on a unix socket', { hint: 'see --metrics' });
  const fault = control === undefined ? undefined : socketPathFault(control);
  if (fault !== undefined) throw new AgentError('ERR_MANAGEMENT_ADDRESS', `--control can't be used: ${fault}`);
  if (metrics && !isLocal(parseMetricsWords(metrics)))
    throw new AgentError('ERR_USAGE', '--metrics takes loopback addresses and unix sockets only', {
      hint: 'they name tunnels and tokens: put a proxy with TLS and a password before them',
    });
}
