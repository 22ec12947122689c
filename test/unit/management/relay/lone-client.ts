import { Socket } from 'node:net';
import { RelayClient, type RelayClientOptions } from '../../../../src/management/relay/relay-client.ts';
import { FakeClock } from '../../agent/fake-clock.ts';

/** All that is under way has happened. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A client of the relay whose socket leads nowhere: what it writes is said here; what it is told is kept, and taken write by write. */
export function clientOf(options: Partial<RelayClientOptions> = {}): {
  client: RelayClient;
  socket: Socket;
  clock: FakeClock;
  told: string[];
  dropped: string[];
  say: (text: string) => void;
  take: () => void;
} {
  const [socket, clock] = [new Socket({ allowHalfOpen: true }), new FakeClock()];
  const [told, dropped]: string[][] = [[], []];
  let taken: (() => void) | undefined;
  Object.assign(socket, {
    _write: (chunk: string | Buffer, encoding: BufferEncoding, done: () => void) => {
      told?.push(
        typeof chunk === 'string' ? Buffer.from(chunk, encoding).toString('latin1') : chunk.toString('latin1'),
      );
      taken = done;
    },
    _writev: undefined,
    _final: (done: () => void) => {
      done();
    },
  });
  const client = new RelayClient(socket, {
    ...{ name: '#1', gate: undefined, clock, maxBuffered: 100 },
    onDropped: ({ name }, reason) => dropped?.push(`${name}: ${reason}`),
    ...options,
  });
  return {
    ...{ client, socket, clock, told: told ?? [], dropped: dropped ?? [] },
    say: (text) => {
      socket.emit('data', Buffer.from(text, 'latin1'));
    },
    take: () => {
      const done = taken;
      taken = undefined;
      done?.();
    },
  };
}
