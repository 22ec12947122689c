import { connect, createServer, type Socket } from 'node:net';
import type { Bench } from '../support/bench.ts';

/** Between agent and daemon: cuts the connection at a place of the next answer. */
export class CutProxy {
  /** How many bytes of the answer reach the daemon, by the answer; once. */
  #cut: ((answer: string) => number) | undefined;
  /** Cuts the connection when the daemon has asked; once. */
  #isCutAtRequest = false;

  /** @param path where the agent connects to @param daemon where the daemon listens */
  async open(bench: Bench, path: string, daemon: string): Promise<void> {
    const sockets = new Set<Socket>();
    const server = createServer((agent) => {
      const there = connect(daemon);
      for (const socket of [agent, there]) {
        sockets.add(socket);
        socket.on('error', () => undefined);
      }
      agent.on('close', () => there.destroy());
      there.on('close', () => agent.destroy());
      there.on('data', (chunk: Buffer) => {
        agent.write(chunk);
        if (!this.#isCutAtRequest || !chunk.includes('>PK_SIGN:')) return;
        this.#isCutAtRequest = false;
        there.end();
        agent.destroySoon();
      });
      agent.on('data', (chunk: Buffer) => {
        // the agent writes its answer in one piece
        const at = chunk.indexOf('pk-sig\n');
        if (!this.#cut || at < 0) {
          there.write(chunk);
          return;
        }
        const length = this.#cut(chunk.toString('latin1', at));
        this.#cut = undefined;
        there.end(chunk.subarray(0, at + length), () => agent.destroy());
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    bench.onEnd(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  /** @param length how many bytes of the next answer the daemon gets */
  cutAnswer(length: (answer: string) => number): void {
    this.#cut = length;
  }

  cutAtRequest(): void {
    this.#isCutAtRequest = true;
  }
}
