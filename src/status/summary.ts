import type { AgentState } from './agent-state.ts';

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

/** How the agent is, in one line for people. */
export function summary(agent: AgentState): string {
  const tunnels = [...agent.tunnels];
  const connected = tunnels.filter(([, { daemons }]) => daemons > 0).length;
  const parts = [`${count(tunnels.length, 'tunnel')}, ${connected} connected`];
  if (agent.isLocked) parts.push('locked');
  const away = [...agent.tokens].filter(([, { isPresent }]) => !isPresent);
  if (away.length > 0) parts.push(`away: ${away.map(([label]) => `token '${label}'`).join(', ')}`);
  const [waiting] = [...agent.keys].filter(([, { state }]) => state === 'waiting');
  if (waiting) parts.push(`waiting for key '${waiting[0]}': ${waiting[1].error ?? 'it is not open'}`);
  const failed = tunnels.flatMap(([name, { failure }]) => (failure ? [{ name, failure }] : []));
  const [first] = failed;
  if (first) parts.push(`${count(failed.length, 'tunnel')} failed, '${first.name}': ${first.failure.error}`);
  return parts.join('; ');
}
