import { groupId } from '../config/account-id.ts';
import { parseMetricsWords } from '../config/management-words.ts';
import { AgentMetrics } from '../metrics/metrics.ts';
import { MetricsServer } from '../metrics/server.ts';
import type { AgentState } from '../status/agent-state.ts';
import { lostLines, type Logger } from './standard-streams.ts';
import { version } from './version.ts';

/** Metrics, which count from when they are made, and who serves them. */
export class ServedMetrics implements AsyncDisposable {
  readonly take: AgentMetrics['take'];
  readonly #metrics: AgentMetrics;
  readonly #state: AgentState;
  readonly #log: Logger;
  #served: { readonly place: string; readonly server: MetricsServer } | undefined;

  constructor(state: AgentState, log: Logger) {
    const memory = (): number => process.memoryUsage.rss();
    this.#metrics = new AgentMetrics({ state, release: version, lostLines, memory });
    this.take = this.#metrics.take;
    this.#state = state;
    this.#log = log;
  }

  /**
   * Serves them here from now on, and nowhere else. Where that fails, they are served as before, unless it is the same place.
   * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_LISTEN
   */
  async serve(words: readonly string[], group: string | undefined): Promise<void> {
    const address = parseMetricsWords(words);
    const id = group === undefined ? undefined : await groupId(group, '--metrics-group');
    const place = words.join(' ');
    if (this.#served?.place === place) await this.stop();
    const before = this.#served;
    const server = await MetricsServer.listen({ address, metrics: this.#metrics, state: this.#state, group: id });
    this.#served = { place, server };
    this.#log.info({ metrics: place }, 'serving metrics');
    await before?.server[Symbol.asyncDispose]();
  }

  /** Serves them no more. */
  async stop(): Promise<void> {
    const before = this.#served;
    this.#served = undefined;
    await before?.server[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
