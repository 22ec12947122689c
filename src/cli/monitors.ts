import { isDeepStrictEqual } from 'node:util';
import type { Agent } from '../agent/agent.ts';
import type { AgentEvent } from '../agent/events.ts';
import { parseMetricsWords } from '../config/management-words.ts';
import { checkMonitorFlags, type MonitorFlags } from '../config/monitor-flags.ts';
import { placeOf } from '../config/tunnels.ts';
import type { ControlServer } from '../control/server.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { summary } from '../status/summary.ts';
import { AgentStatus } from './agent-status.ts';
import type { ServedMetrics } from './metrics-server.ts';
import type { PersonNotices } from './person-notices.ts';
import type { Reloader } from './reload.ts';
import { commandSurroundings } from './process-surroundings.ts';
import type { Logger } from './standard-streams.ts';

type MetricsFlags = Pick<MonitorFlags, 'metrics' | 'metricsGroup'>;
type ControlFlags = Pick<MonitorFlags, 'control' | 'controlGroup'>;

const metricsOf = ({ metrics, metricsGroup }: MetricsFlags): MetricsFlags => ({ metrics, metricsGroup });
const controlOf = ({ control, controlGroup }: MonitorFlags): ControlFlags => ({ control, controlGroup });

function placeOfControl(path: string | undefined): string | undefined {
  return path === undefined || path === 'none' ? undefined : placeOf({ kind: 'unix', path });
}

function placeOfMetrics({ metrics }: MetricsFlags): string | undefined {
  return metrics && placeOf(parseMetricsWords(metrics));
}

/**
 * Those who ask what the agent of this process is doing: by metrics, by the control socket, by SIGUSR1; and the person who
 * is told what is wanted of them.
 */
export class Monitors implements AsyncDisposable {
  readonly #log: Logger;
  readonly #status = new AgentStatus();
  #metrics: ServedMetrics | undefined;
  #control: ControlServer | undefined;
  #notices: PersonNotices | undefined;
  /** What holds; undefined where it could not be made to. */
  #metricsFlags: MetricsFlags | undefined;
  #controlFlags: ControlFlags | undefined;
  #notify: string | undefined;
  #served: { readonly agent: Agent; readonly reloader: Reloader | undefined } | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes all events of the agent. */
  readonly hear = (event: AgentEvent): void => {
    this.#status.take(event);
    this.#metrics?.take(event);
    this.#notices?.take(event);
  };

  /** How the agent is, in one line for people. */
  get summary(): string {
    return summary(this.#status.state);
  }

  /** Writes a report to the log. */
  readonly report = (): void => {
    this.#status.log(this.#log);
  };

  /**
   * Does what an agent needs before it opens its keys: serves metrics, and tells a person what is wanted, as far as that is
   * asked for.
   * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_*
   */
  async begin(flags: MonitorFlags): Promise<void> {
    checkMonitorFlags(flags);
    await this.#tellBy(flags.notify);
    await this.#serveMetrics(flags);
  }

  async #tellBy(notify: string | undefined): Promise<void> {
    if (notify === this.#notify) return;
    this.#notify = notify;
    const before = this.#notices;
    this.#notices = undefined;
    if (notify !== undefined) {
      const { PersonNotices } = await import('./person-notices.ts');
      const warn = (text: string): void => {
        this.#log.warn({}, text);
      };
      this.#notices = new PersonNotices({ notify, commands: commandSurroundings(), warn });
    }
    await before?.[Symbol.asyncDispose]();
  }

  async #serveMetrics(flags: MetricsFlags): Promise<void> {
    const { metrics, metricsGroup } = flags;
    this.#metricsFlags = undefined;
    if (metrics === undefined) {
      await this.#metrics?.stop();
    } else {
      const { ServedMetrics } = await import('./metrics-server.ts');
      this.#metrics ??= new ServedMetrics(this.#status.state, this.#log);
      await this.#metrics.serve(metrics, metricsGroup);
    }
    this.#metricsFlags = metricsOf(flags);
  }

  /**
   * Listens for `pksigd status` and its like, unless that is known to be in vain: the code for it takes its time to load.
   * @throws AgentError if the socket that was asked for can't be made
   */
  async listen(flags: MonitorFlags, agent: Agent, reloader: Reloader | undefined): Promise<void> {
    this.#served = { agent, reloader };
    await this.#listen(flags);
  }

  async #listen(flags: MonitorFlags): Promise<void> {
    const before = this.#control;
    const { control } = flags;
    const isSamePlace = before !== undefined && (control === this.#controlFlags?.control || control === before.path);
    if (isSamePlace) {
      before.retire();
      this.#control = this.#controlFlags = undefined;
    }
    // where that fails, the one from before goes on elsewhere, with what holds for it
    this.#control = await this.#open(flags);
    // whoever asked for this has the answer first
    if (!isSamePlace) before?.retire();
    this.#controlFlags = controlOf(flags);
  }

  async #open(flags: MonitorFlags): Promise<ControlServer | undefined> {
    const { control, controlGroup } = flags;
    const { RUNTIME_DIRECTORY, XDG_RUNTIME_DIR } = process.env;
    const places = [control, controlGroup, RUNTIME_DIRECTORY, XDG_RUNTIME_DIR];
    if (!this.#served || control === 'none' || places.every((each) => each === undefined)) return undefined;
    const { agent, reloader } = this.#served;
    const { openControl } = await import('./control-socket.ts');
    const reload = async (): Promise<unknown> => {
      const reloaded = this.#status.nextReload();
      reloader?.ask();
      return await reloaded;
    };
    return await openControl({
      ...{ flags, agent, status: this.#status, log: this.#log },
      reload: reloader && reload,
    });
  }

  /** A reload begins: whoever asks for one from now on asks for another. */
  beginReload(): void {
    this.#status.beginReload();
  }

  /**
   * Takes other settings. What can't be made so is tried again by the next change.
   * @param wanted where tunnels will listen: what can't be made so is not told yet, since one of them may have the address
   */
  async apply(flags: MonitorFlags, wanted?: ReadonlySet<string>): Promise<void> {
    await this.#tellBy(flags.notify);
    if (wanted) await this.#makeWay(flags, wanted);
    try {
      if (!isDeepStrictEqual(metricsOf(flags), this.#metricsFlags)) await this.#serveMetrics(flags);
    } catch (error) {
      if (!wanted) this.#lacks(error, "can't serve metrics as the settings say");
    }
    try {
      if (!isDeepStrictEqual(controlOf(flags), this.#controlFlags)) await this.#listen(flags);
    } catch (error) {
      if (!wanted) this.#lacks(error, "can't listen for pksigd status as the settings say");
    }
  }

  /** What goes elsewhere, and whose place somebody else is to have, goes first: that one may have to go for it, too. */
  async #makeWay(flags: MonitorFlags, wanted: ReadonlySet<string>): Promise<void> {
    const control = this.#control;
    const isWanted = (place: string | undefined, other: string | undefined): boolean =>
      place !== undefined && (place === other || wanted.has(place));
    if (control && !isDeepStrictEqual(controlOf(flags), this.#controlFlags)) {
      if (isWanted(placeOfControl(control.path), placeOfMetrics(flags))) {
        control.retire();
        this.#control = this.#controlFlags = undefined;
      }
    }
    const metrics = this.#metricsFlags;
    if (!metrics || isDeepStrictEqual(metricsOf(flags), metrics)) return;
    if (isWanted(placeOfMetrics(metrics), placeOfControl(flags.control))) await this.#metrics?.stop();
  }

  #lacks(error: unknown, text: string): void {
    const [code, why] = [errorCode(error), errorText(error)];
    this.#log.error({ code, error: why }, text);
    this.#status.reloadLacks(new AgentError(code ?? 'ERR_CONFIG', `${text}: ${why}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    await this.#metrics?.[Symbol.asyncDispose]();
    await this.#notices?.[Symbol.asyncDispose]();
  }
}
