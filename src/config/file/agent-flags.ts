import type { MonitorFlags } from '../monitor-flags.ts';
import type { AgentSection } from './document.ts';

/** What the file says of who may ask what the agent is doing. */
export function monitorFlags(section: AgentSection): MonitorFlags {
  const { control, 'control-group': controlGroup, metrics, 'metrics-group': metricsGroup, notify } = section;
  return { control, controlGroup, metrics, metricsGroup, notify };
}
