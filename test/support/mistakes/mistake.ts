import { createServer } from 'node:net';
import { inject } from 'vitest';
import { compileShim } from '../../tokens/setup/shim.ts';
import type { Bench } from '../bench.ts';

/** What people do wrong, and what they are told. */
export interface Mistake {
  readonly what: string;
  readonly command: (bench: Bench) => string[] | Promise<string[]>;
  /** The line that tells. */
  readonly says: RegExp;
  readonly code: string;
  /** `stays`: run goes on, and tries again. */
  readonly exit: number | 'stays';
  /** What to do, in the line, or in what `pksigd explain` says of its code. */
  readonly cure: RegExp;
}

export const NOWHERE = (bench: Bench): string[] => ['--management', bench.path('m.sock'), 'unix'];
export const run =
  (key: string, ...more: string[]) =>
  (bench: Bench): string[] => ['run', ...NOWHERE(bench), '--key', key, ...more];
/** `run` with the token's key, of whose URI something is changed. */
export const token =
  (change: (uri: string, bench: Bench) => string, ...more: string[]) =>
  (bench: Bench): string[] => ['run', ...NOWHERE(bench), '--key', change(bench.key('p256', 'SoftHSM'), bench), ...more];
export const withoutPin = (uri: string): string => uri.replace(/&pin-source=.*/, '');
/** `run` with the token's key behind the shim of test/tokens, which says of the token what these flags of CK_TOKEN_INFO say. */
export const tokenWithFlags =
  (flags: number) =>
  async (bench: Bench): Promise<string[]> => {
    const shim = await compileShim(bench, 'fault');
    const rules = await bench.write('rules', `C_GetTokenInfo id=1 set=0x${flags.toString(16)}\n`);
    const environment = [`FAULT_MODULE=${inject('softhsmModule')}`, `FAULT_RULES=${rules}`];
    return [
      ...token((uri) => uri.replace(/module-path=[^&]*/, `module-path=${shim}`))(bench),
      ...['--module-env', ...environment],
    ];
  };
export const module = (path: string): ((bench: Bench) => string[]) =>
  token((uri) => uri.replace(/module-path=[^&]*/, `module-path=${path}`));
/** `check` with a configuration of these lines, and this key. */
export const ovpn =
  (lines: string, key: 'rsa2048' | 'p256' = 'rsa2048') =>
  async (bench: Bench): Promise<string[]> => {
    const file = await bench.write(
      'office.conf',
      `client\ndev tun\nremote vpn.example.com\nca ${bench.recipe('ca.crt')}\n${lines}`,
    );
    return ['check', '--openvpn-config', file, '--key', bench.key(key, 'file')];
  };
export const MANAGEMENT = 'management m.sock unix\nmanagement-hold\n';

/**
 * Has the daemon's place, and says what the test says.
 * @param onData told whenever it was sent something
 */
export async function seat(
  bench: Bench,
  onConnection: (say: (text: string) => void) => void,
  onData: (say: (text: string) => void) => void = () => undefined,
): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const say = (text: string): void => {
      socket.write(text);
    };
    socket.on('data', () => {
      onData(say);
    });
    onConnection(say);
  });
  server.unref();
  await new Promise<void>((resolve) => server.listen(bench.path('m.sock'), resolve));
}
