import { Socket } from 'node:net';
import { ManagementConnection } from '../../../../src/management/connection/connection.ts';
import type { ManagementOptions } from '../../../../src/management/index.ts';
import { greeting } from '../pair.ts';

/** A connection whose socket leads nowhere: what the daemon says is said here, in one piece, and at once. */
export function connected(
  options: ManagementOptions = {},
  greet: string = greeting(5),
): { connection: ManagementConnection; socket: Socket; written: Buffer[]; say: (text: string) => void } {
  const socket = new Socket();
  const written: Buffer[] = [];
  Object.defineProperty(socket, 'write', { value: (bytes: Buffer) => written.push(bytes) });
  const connection = new ManagementConnection(socket, 'the daemon', options);
  const say = (text: string): void => {
    socket.emit('data', Buffer.from(text, 'latin1'));
  };
  if (greet !== '') say(greet);
  return { connection, socket, written, say };
}
