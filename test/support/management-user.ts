import { once } from 'node:events';
import { connect } from 'node:net';
import type { ManagementAddress } from '../../src/management/index.ts';
import { ManagementEnd } from './management-end.ts';

/** A management client of the plainest kind: bytes to and from a socket, as telnet would. */
export class ManagementUser extends ManagementEnd {
  static async open(address: ManagementAddress): Promise<ManagementUser> {
    const socket = connect(address);
    await once(socket, 'connect');
    return new ManagementUser(socket);
  }

  /** Sends a command, and gives all that comes up to and with `end`. */
  async ask(command: string, end: string | RegExp = /^(?:SUCCESS|ERROR):.*\r\n|^END\r\n/m): Promise<string> {
    this.say(`${command}\r\n`);
    return this.hear(end);
  }
}
