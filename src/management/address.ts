import { isIPv6 } from 'node:net';
import { AgentError } from '../errors.ts';

/** Where a management interface is: what `--management ADDRESS PORT|unix` says. */
export type ManagementAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * Reads the two words of the directive (options.c: `--management`): ADDRESS PORT, or SOCKET `unix`.
 * @throws AgentError ERR_MANAGEMENT_ADDRESS
 */
export function parseManagementAddress(address: string, port: string): ManagementAddress {
  if (address === '') throw new AgentError('ERR_MANAGEMENT_ADDRESS', 'the management address is empty');
  if (port === 'unix') return { kind: 'unix', path: address };
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65535) {
    throw new AgentError('ERR_MANAGEMENT_ADDRESS', `'${port}' is no port`, { hint: 'give 1 to 65535, or unix' });
  }
  return { kind: 'tcp', host: address, port: number };
}

/** The address in log lines: `127.0.0.1:7505`, `[::1]:7505`, `/run/openvpn/office.sock`. */
export function formatManagementAddress(address: ManagementAddress): string {
  if (address.kind === 'unix') return address.path;
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}
