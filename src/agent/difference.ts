import { isDeepStrictEqual } from 'node:util';
import type { KeySettings, Settings, TunnelSettings } from '../config/settings.ts';

/** Names: what is new, what is to be made anew, what goes. */
export interface Difference {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What of a tunnel's settings counts: of its .ovpn that it is that one, since the daemon reads the rest. */
function essence({ openvpnConfig, ...settings }: TunnelSettings): unknown {
  return { ...settings, openvpnConfig: openvpnConfig?.path };
}

/** Addresses of our own unix sockets that had gone, and are bound anew; left out where none had. */
export interface Renewed {
  readonly renewed?: readonly string[];
}

function compare<Value>(
  now: ReadonlyMap<string, Value>,
  next: ReadonlyMap<string, Value>,
  isSame: (name: string, now: Value, next: Value) => boolean,
): Difference {
  const both = [...next].flatMap(([name, value]) => {
    const present = now.get(name);
    return present === undefined ? [] : [{ name, isSame: isSame(name, present, value) }];
  });
  return {
    added: [...next.keys()].filter((name) => !now.has(name)),
    changed: both.filter((each) => !each.isSame).map(({ name }) => name),
    removed: [...now.keys()].filter((name) => !next.has(name)),
  };
}

/** How keys differ. @param stale those to open anew whatever their settings say */
export function compareKeys(
  now: ReadonlyMap<string, KeySettings>,
  next: ReadonlyMap<string, KeySettings>,
  stale: ReadonlySet<string>,
): Difference {
  return compare(now, next, (name, one, other) => !stale.has(name) && isDeepStrictEqual(one, other));
}

/** How tunnels differ. @param stale those to start anew whatever their settings say */
export function compareTunnels(
  now: ReadonlyMap<string, TunnelSettings>,
  next: ReadonlyMap<string, TunnelSettings>,
  isStale: (name: string, settings: TunnelSettings) => boolean,
): Difference {
  return compare(
    now,
    next,
    (name, one, other) => !isStale(name, other) && isDeepStrictEqual(essence(one), essence(other)),
  );
}

/**
 * What is to run: the new settings, and what runs of those tunnels that can't be read at the moment, with their keys.
 */
export function wanted(
  settings: Settings,
  tunnels: ReadonlyMap<string, TunnelSettings>,
  keys: ReadonlyMap<string, KeySettings>,
): { readonly tunnels: Map<string, TunnelSettings>; readonly keys: Map<string, KeySettings> } {
  const next = {
    tunnels: new Map(Object.entries(settings.tunnels)),
    keys: new Map(Object.entries(settings.keys)),
  };
  for (const { name } of settings.broken ?? []) {
    const tunnel = tunnels.get(name);
    if (!tunnel || next.tunnels.has(name)) continue;
    next.tunnels.set(name, tunnel);
    const key = keys.get(tunnel.key);
    if (key && !next.keys.has(tunnel.key)) next.keys.set(tunnel.key, key);
  }
  return next;
}
