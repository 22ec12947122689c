import { groupId } from '../config/account-id.ts';
import { parseManagementWords } from '../config/management-words.ts';
import { AgentError } from '../errors.ts';
import { AgentMetrics } from '../metrics/metrics.ts';
import { MetricsServer } from '../metrics/server.ts';
import type { AgentState } from '../status/agent-state.ts';
import { lostLines, type Logger } from './standard-streams.ts';
import { version } from './version.ts';

/** Metrics, and who serves them. */
export interface ServedMetrics extends AsyncDisposable {
  readonly take: AgentMetrics['take'];
}

/** @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_LISTEN */
export async function serveMetrics(
  words: readonly string[],
  group: string | undefined,
  state: AgentState,
  log: Logger,
): Promise<ServedMetrics> {
  const { address, password } = parseManagementWords(words, '--metrics');
  if (password !== undefined)
    throw new AgentError('ERR_USAGE', '--metrics takes ADDRESS PORT or PATH unix, no password');
  const memory = (): number => process.memoryUsage.rss();
  const metrics = new AgentMetrics({ state, release: version, lostLines, memory });
  const server = await MetricsServer.listen({
    ...{ address, metrics, state },
    ...(group !== undefined && { group: await groupId(group, '--metrics-group') }),
  });
  log.info({ metrics: words.join(' ') }, 'serving metrics');
  return { take: metrics.take, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
