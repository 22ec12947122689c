import type { KeySettings, Settings, TunnelSettings } from '../../src/config/settings.ts';
import { Disk } from './disk.ts';
import { AUDIT_FOLDER, STATE_FOLDER } from './audit-watch.ts';
import type { Plan, TunnelPlan } from './plan.ts';

const RUN_FOLDER = '/run/pksigd';

export const modulePath = (index: number): string => `/usr/lib/module${index}.so`;
export const pinPath = (index: number): string => `/pins/token${index}`;
export const keyPath = (name: string): string => `/keys/${name}.pem`;
export const tokenLabel = (index: number): string => `token${index}`;
export const relayPath = (name: string): string => `${RUN_FOLDER}/${name}.relay`;

export function placeOf({ name, isTcp }: TunnelPlan, index: number): { path?: string; port?: number } {
  return isTcp ? { port: 7505 + index } : { path: `${RUN_FOLDER}/${name}.sock` };
}

/** What of the plan a reload changes. */
const VARIANTS = {
  /** The first tunnel is gone. */
  noFirst: 1,
  /** All tokens are opened anew. */
  otherTokens: 2,
  otherDeadline: 4,
  otherAudit: 8,
  /** The last tunnel has another limit, and so is started anew. */
  otherTunnel: 16,
} as const;

export const logOf = (variant: number): string => ((variant & VARIANTS.otherAudit) === 0 ? 'audit.log' : 'other.log');

export const deadlineOf = ({ deadline }: Plan, variant: number): number =>
  (variant & VARIANTS.otherDeadline) === 0 ? deadline : deadline + 1500;

function keyOf(plan: Plan, index: number): KeySettings {
  const { name, token, waitsForToken = false } = plan.keys[index] ?? {};
  const where = token === undefined ? undefined : plan.tokens[token];
  const uri = `pkcs11:token=${tokenLabel(token ?? 0)}?pin-source=${pinPath(token ?? 0)}&module-path=${modulePath(where?.module ?? 0)}`;
  const copies = [where ? uri : keyPath(name ?? '')];
  return { copies, allowReadable: false, waitForToken: waitsForToken };
}

function tunnelOf(plan: Plan, index: number, isOther: boolean): TunnelSettings | undefined {
  const tunnel = plan.tunnels[index];
  if (!tunnel) return undefined;
  const { path, port = 0 } = placeOf(tunnel, index);
  return {
    address: path === undefined ? { kind: 'tcp', host: '127.0.0.1', port } : { kind: 'unix', path },
    listen: tunnel.isClient,
    password: tunnel.hasPassword ? '/keys/management-password' : undefined,
    key: plan.keys[tunnel.key]?.name ?? '',
    maxDaemons: isOther ? 2 : 1,
    onTokenRemoval: index % 2 === 0 ? 'none' : 'restart',
    relay:
      tunnel.relay === undefined
        ? undefined
        : {
            address: { kind: 'unix', path: relayPath(tunnel.name) },
            rights: tunnel.relay,
            keep: tunnel.keepsRelay,
          },
  };
}

export function settingsOf(plan: Plan, variant: number): Settings {
  const has = (flag: number): boolean => (variant & flag) !== 0;
  const tunnels: Record<string, TunnelSettings> = {};
  for (const [index, { name }] of plan.tunnels.entries()) {
    if (index === 0 && has(VARIANTS.noFirst) && plan.tunnels.length > 1) continue;
    const settings = tunnelOf(plan, index, has(VARIANTS.otherTunnel) && index === plan.tunnels.length - 1);
    if (settings) tunnels[name] = settings;
  }
  const used = new Set(Object.values(tunnels).map(({ key }) => key));
  const keys = Object.fromEntries(
    plan.keys.flatMap(({ name }, index) => (used.has(name) ? [[name, keyOf(plan, index)] as const] : [])),
  );
  return {
    keys,
    tunnels,
    tokens: {
      modules: { environment: {}, most: has(VARIANTS.otherTokens) ? 1 : 2, showOutput: false },
      pins: { allowCommand: false, stateDirectory: STATE_FOLDER, useFinalTry: false },
      deadline: deadlineOf(plan, variant),
    },
    audit: plan.audit && { file: `${AUDIT_FOLDER}/${logOf(variant)}`, ...plan.audit },
  };
}

/** The disk as an administrator leaves it. */
export function furnishedDisk(): Disk {
  const disk = new Disk();
  for (const path of [RUN_FOLDER, AUDIT_FOLDER, STATE_FOLDER, '/keys', '/pins', '/usr/lib', '/etc']) disk.folder(path);
  for (const path of [AUDIT_FOLDER, STATE_FOLDER]) disk.get(path, 'chmod').mode = 0o700;
  for (const path of ['/run', '/var', '/var/log', '/var/lib', '/usr', '/usr/lib', '/etc'])
    disk.get(path, 'chown').uid = 0;
  return disk;
}
