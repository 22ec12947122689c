import { ConfigurationError } from '../config/file/fault.ts';
import { readConfiguration } from '../config/file/configuration.ts';
import { formatDocument } from '../config/file/show.ts';
import { printable } from '../telemetry/printable.ts';
import { print } from './standard-streams.ts';

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** `pksigd config check`: each mistake is a line on standard error, and an .ovpn that is of no use is one too. */
export async function configCheck(given: string): Promise<void> {
  const { path, files, settings, faults } = await readConfiguration(given);
  if (faults.length > 0) throw new ConfigurationError(path, faults);
  const parts = [
    counted(files.length, 'file'),
    counted(Object.keys(settings.keys).length, 'key'),
    counted(Object.keys(settings.tunnels).length, 'tunnel'),
  ];
  print(`${printable(path)}: ok, ${parts.join(', ')}\n`);
}

/** `pksigd config show`: what holds, as TOML that can be given to `run` again. */
export async function configShow(given: string): Promise<void> {
  const { document, files, settings } = await readConfiguration(given);
  const tunnels = Object.keys(settings.tunnels);
  const comments = [`from ${files.join(', ')}`, `tunnels: ${tunnels.length === 0 ? 'none' : tunnels.join(', ')}`];
  print(`${comments.map((text) => `# ${printable(text)}\n`).join('')}\n${formatDocument(document)}`);
}
