import type { AgentSection } from '../config/file/document.ts';
import { commandLine } from '../config/command-line.ts';
import { AgentError } from '../errors.ts';

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

/** What the file says of it. */
export function monitorFlags(section: AgentSection): MonitorFlags {
  const { control, 'control-group': controlGroup, metrics, 'metrics-group': metricsGroup, notify } = section;
  return { control, controlGroup, metrics, metricsGroup, notify };
}

/** @throws AgentError ERR_USAGE */
export function checkMonitorFlags({ control, controlGroup, metrics, metricsGroup, notify }: MonitorFlags): void {
  commandLine(notify, '--notify');
  if (controlGroup !== undefined && control === 'none')
    throw new AgentError('ERR_USAGE', '--control-group is for a control socket: --control none has none');
  if (metricsGroup !== undefined && metrics?.[1] !== 'unix')
    throw new AgentError('ERR_USAGE', '--metrics-group is for metrics on a unix socket', { hint: 'see --metrics' });
}
