import { isIPv6 } from 'node:net';
import { platform } from 'node:os';
import { AgentError } from '../../errors.ts';

/** Where a management interface is: what OpenVPN's `--management` directive names. */
export type ManagementAddress =
  | {
      readonly kind: 'tcp';
      /** A host name, an IPv4 address, or an IPv6 address without brackets. */
      readonly host: string;
      /** 1–65535; 0 only to listen on a port that the system picks. */
      readonly port: number;
    }
  | {
      readonly kind: 'unix';
      /** Path of a unix domain socket. */
      readonly path: string;
    };

/** `sun_path` less its final NUL: 108 bytes on Linux, 104 on macOS and the BSDs. */
export const MAX_UNIX_PATH: number = platform() === 'linux' ? 107 : 103;

/**
 * Reads the words of `--management ADDRESS PORT` and `--management PATH unix`.
 *
 * @param address host name, IP address (IPv6 with or without brackets) or the socket's path
 * @param port `unix`, or a decimal port from 1 to 65535
 * @throws AgentError ERR_MANAGEMENT_ADDRESS if they name no place that a management client can reach
 */
export function parseManagementAddress(address: string, port: string): ManagementAddress {
  if (address === '') throw refused(address, port, 'the address is empty');
  if (/[\0\r\n]/.test(address)) throw refused(JSON.stringify(address), port, 'the address has control characters');
  if (port === 'unix') {
    const fault = socketPathFault(address);
    if (fault !== undefined) throw refused(address, port, fault);
    return { kind: 'unix', path: address };
  }
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535)
    throw refused(address, port, 'the port must be 1 to 65535, or the word unix after a path');
  // the daemon listens on its own address inside the tunnel, which the directive does not tell
  if (address === 'tunnel') throw refused(address, port, 'name the address inside the tunnel instead of "tunnel"');
  const host = /^\[(.*)\]$/.exec(address)?.[1] ?? address;
  if (host === '' || /[\s/[\]]/.test(host) || (host.includes(':') && !isIPv6(host.split('%')[0] ?? '')))
    throw refused(address, port, 'the address is neither a host name nor an IP address');
  return { kind: 'tcp', host, port: Number(port) };
}

/** Why nobody could connect to a socket of that path; libuv would cut it off without a word. */
export function socketPathFault(path: string): string | undefined {
  const length = Buffer.byteLength(path);
  return length > MAX_UNIX_PATH ? `a socket's path may have ${MAX_UNIX_PATH} bytes, this one has ${length}` : undefined;
}

/** The address as logs show it: `127.0.0.1:7505`, `[::1]:7505`, `/run/openvpn/client.sock`. */
export function formatManagementAddress(address: ManagementAddress): string {
  if (address.kind === 'unix') return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function refused(address: string, port: string, why: string): AgentError {
  return new AgentError('ERR_MANAGEMENT_ADDRESS', `address "${address} ${port}" can't be used`, {
    hint: why,
  });
}
