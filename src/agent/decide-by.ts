import type { Clock } from '../clock.ts';
import type { TunnelSettings } from '../config/settings.ts';
import { Rate } from './policy/rate.ts';
import type { RunningKey } from './running-key.ts';
import type { ServiceOptions } from './service-options.ts';

/** How a tunnel's requests are decided on: by its key's policy and its own limit, which all its daemons share. */
export function decideBy(
  key: RunningKey,
  tunnel: string,
  { rate }: TunnelSettings,
  clock: Clock,
): ServiceOptions['decide'] {
  const own = rate ? [new Rate(rate, "the tunnel's", clock)] : [];
  return async (asked, limits, signal) => {
    return await (await key.policy()).decide(asked, { tunnel, limits: [...limits, ...own], signal });
  };
}
