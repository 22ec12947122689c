import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readOpenVpnConfig } from '../config/openvpn-config.ts';
import { keysWithoutLogin } from './keys-command.ts';
import type { Sources } from './complete-words.ts';

/** Milliseconds that a module may take for one call: somebody waits at a shell. */
const DEADLINE = 10_000;
/** Where configurations of OpenVPN lie: Debian's units, the older ones, and here. */
const FOLDERS = ['/etc/openvpn/client', '/etc/openvpn', '.'];
const CONFIGURATION = /\.(?:conf|ovpn)$/;
/** Of a folder: whoever has more knows the address. */
const MOST_FILES = 50;

async function configurations(): Promise<string[]> {
  const lists = FOLDERS.map(async (folder) => {
    const names = await readdir(folder).catch((): string[] => []);
    const fitting = names.filter((name) => CONFIGURATION.test(name)).slice(0, MOST_FILES);
    return fitting.map((name) => join(folder, name));
  });
  return (await Promise.all(lists)).flat();
}

/** Words of this machine: of its tokens without a login, of its .ovpn. */
export const SOURCES: Sources = {
  keys: async (modules) => {
    const keys = await keysWithoutLogin(modules, DEADLINE).catch(() => []);
    return keys.map(({ uri, label, kind }) => ({ text: uri, about: [kind, label].filter(Boolean).join(' ') }));
  },
  explained: async () => {
    // as a whole: the build makes a file of its own of it
    const explanations = await import('./explanations/index.ts');
    const words = explanations.ENTRIES.filter(({ kind }) => kind !== 'line of OpenVPN');
    return words.map(({ name, what }) => ({ text: name, about: what }));
  },
  managementAddresses: async (given) => {
    const paths = given.length > 0 ? given : await configurations();
    const found = paths.map(async (path) => await readOpenVpnConfig(path).catch(() => undefined));
    return (await Promise.all(found)).flatMap((config) => (config?.management ? [config.management] : []));
  },
};
