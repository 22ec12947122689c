import type { Clock } from '../../clock.ts';
import type { RateSettings } from '../../config/settings.ts';
import { AgentError } from '../../errors.ts';
import type { Limit } from './asked.ts';

const MINUTE = 60_000;

/** So many signatures a minute, of which some may come at once: a bucket that fills again evenly. */
export class Rate implements Limit {
  readonly #settings: RateSettings;
  readonly #whose: string;
  readonly #clock: Clock;
  #left: number;
  #since: number;

  /** @param whose as in `the key's` */
  constructor(settings: RateSettings, whose: string, clock: Clock) {
    this.#settings = settings;
    this.#whose = whose;
    this.#clock = clock;
    this.#left = settings.burst;
    this.#since = clock.now();
  }

  readonly check = (): void => {
    const { perMinute, burst } = this.#settings;
    const now = this.#clock.now();
    this.#left = Math.min(burst, this.#left + ((now - this.#since) * perMinute) / MINUTE);
    this.#since = now;
    if (this.#left < 1) {
      const text = `more than ${perMinute} signatures a minute and ${burst} at once, which is ${this.#whose} limit`;
      throw new AgentError('ERR_POLICY_RATE', text);
    }
  };

  readonly take = (): void => {
    this.check();
    this.#left -= 1;
  };
}

/** So many signatures until the daemon's state says that another try begins, or that it is connected. */
export class Uses implements Limit {
  readonly #most: number;
  #left: number;

  private constructor(most: number) {
    this.#most = most;
    this.#left = most;
  }

  /** @returns undefined if any number will do */
  static upTo(most: number | undefined): Uses | undefined {
    return most === undefined ? undefined : new Uses(most);
  }

  readonly check = (): void => {
    if (this.#left === 0) {
      const text = `more than ${this.#most} signatures without another state of the daemon's`;
      throw new AgentError('ERR_POLICY_USES', text);
    }
  };

  readonly take = (): void => {
    this.check();
    this.#left -= 1;
  };

  /** The daemon's state: those of a try's begin and end count. */
  tellState(state: string): void {
    if (state === 'CONNECTING' || state === 'RECONNECTING' || state === 'CONNECTED') this.#left = this.#most;
  }
}
