import type { Agent } from '../agent/agent.ts';
import type { AgentEvent } from '../agent/events.ts';
import { summary } from '../status/summary.ts';
import { AgentStatus } from './agent-status.ts';
import type { ServedMetrics } from './metrics-server.ts';
import { checkMonitorFlags, type MonitorFlags } from './monitor-flags.ts';
import type { Reloader } from './reload.ts';
import type { Logger } from './standard-streams.ts';

/** Those who ask what the agent of this process is doing: by metrics, by the control socket, by SIGUSR1. */
export class Monitors implements AsyncDisposable {
  readonly #log: Logger;
  readonly #status = new AgentStatus();
  #metrics: ServedMetrics | undefined;
  #control: AsyncDisposable | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes all events of the agent. */
  readonly hear = (event: AgentEvent): void => {
    this.#status.take(event);
    this.#metrics?.take(event);
  };

  /** How the agent is, in one line for people. */
  get summary(): string {
    return summary(this.#status.state);
  }

  /** Writes a report to the log. */
  readonly report = (): void => {
    this.#status.log(this.#log);
  };

  /** Serves metrics, if that is asked for. @throws AgentError ERR_USAGE, ERR_MANAGEMENT_* */
  async serveMetrics(flags: MonitorFlags): Promise<void> {
    checkMonitorFlags(flags);
    const { metrics, metricsGroup } = flags;
    if (metrics === undefined) return;
    const { serveMetrics } = await import('./metrics-server.ts');
    this.#metrics = await serveMetrics(metrics, metricsGroup, this.#status.state, this.#log);
  }

  /**
   * Listens for `pksigd status` and its like, unless that is known to be in vain: the code for it takes its time to load.
   * @throws AgentError if the socket that was asked for can't be made
   */
  async listen(flags: MonitorFlags, agent: Agent, reloader: Reloader | undefined): Promise<void> {
    const { control, controlGroup } = flags;
    const { RUNTIME_DIRECTORY, XDG_RUNTIME_DIR } = process.env;
    const places = [control, controlGroup, RUNTIME_DIRECTORY, XDG_RUNTIME_DIR];
    if (control === 'none' || places.every((each) => each === undefined)) return;
    const { openControl } = await import('./control-socket.ts');
    const reload = async (): Promise<unknown> => {
      const reloaded = this.#status.nextReload();
      reloader?.ask();
      return await reloaded;
    };
    this.#control = await openControl({
      ...{ flags, agent, status: this.#status, log: this.#log },
      reload: reloader && reload,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    await this.#metrics?.[Symbol.asyncDispose]();
  }
}
