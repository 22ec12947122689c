import type { Settings, TunnelSettings } from '../config/settings.ts';
import { processLimit } from './limits.ts';

/** Beside tunnels: standard streams, Node's own, pipes to module hosts, files that are being read, the control socket. */
const SPARE = 64;
/** Of each listener. */
const LISTENER = 1;

/** How many file descriptors a tunnel takes at least. */
function ofTunnel({ listen, relay }: TunnelSettings): number {
  return 1 + (listen ? LISTENER : 0) + (relay ? LISTENER + 1 : 0);
}

/** What this process may have open, as far as that is known and has an end. Node has raised the soft limit to the hard one. */
function openFilesLimit(): number | undefined {
  const limit = Number(processLimit('Max open files')?.soft);
  return Number.isNaN(limit) ? undefined : limit;
}

/** A warning if these tunnels need more file descriptors than this process may have. */
export function descriptorShortage(
  { tunnels }: Pick<Settings, 'tunnels'>,
  limit: number | undefined = openFilesLimit(),
): string | undefined {
  const all = Object.values(tunnels);
  const needed = all.reduce((sum, tunnel) => sum + ofTunnel(tunnel), SPARE);
  if (limit === undefined || needed <= limit) return undefined;
  return (
    `${all.length} tunnels need ${needed} file descriptors, and the limit is ${limit}: some won't be served; ` +
    'raise it (LimitNOFILE= in the unit, or ulimit -n)'
  );
}
