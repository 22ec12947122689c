// In place of node:os.
import { USER } from '../disk.ts';

export const platform = (): string => 'linux';
export const machine = (): string => 'x86_64';
export const homedir = (): string => '/var/lib/agent';
export const userInfo = (): { uid: number; username: string; homedir: string } => ({
  uid: USER,
  username: 'agent',
  homedir: '/var/lib/agent',
});
export const availableParallelism = (): number => 4;
export const endianness = (): string => 'LE';
export const devNull = '/dev/null';
