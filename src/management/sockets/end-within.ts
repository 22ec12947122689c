import type { Socket } from 'node:net';

/** Ends a connection. What was written still goes out, to whoever reads it within so many milliseconds. */
export function endWithin(socket: Socket, milliseconds: number): void {
  if (socket.destroyed) return;
  const late = setTimeout(() => socket.destroy(), milliseconds);
  socket.once('close', () => {
    clearTimeout(late);
  });
  // at once when it is written, even if the other end keeps its own side open
  socket.destroySoon();
}
