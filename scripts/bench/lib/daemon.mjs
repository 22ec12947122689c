// daemon.c, which asks an agent for signatures and takes the times.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { treeOf } from './processes.mjs';
import { logOf } from './workshop.mjs';

export class Daemon {
  #workshop;
  #process;
  #lines;
  #requests;
  #agent;

  /** @param listen whether the agent connects to the daemon's socket, or listens there itself */
  constructor(workshop, requests, { socket, listen = true, connections = 1 }) {
    this.#workshop = workshop;
    const file = workshop.fresh('requests');
    writeFileSync(file, `${requests.lines.join('\n')}\n`);
    const words = [listen ? 'listen' : 'connect', socket, `${connections}`, file];
    this.#process = workshop.start(workshop.path('daemon'), words, { stdio: ['pipe', 'pipe'] });
    this.#process.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#requests = requests;
  }

  /** Waits until its socket is there. */
  async listening() {
    await this.#until('listening');
  }

  /** Waits until all connections to this agent are there. */
  async ready(agent) {
    this.#agent = agent;
    await this.#until('ready');
  }

  /** Each of the first `connections` asks `each` times, all at once. Times in microseconds. */
  async run({ connections = 1, each, pause = 0 }) {
    this.#process.stdin.write(`run ${connections} ${each} ${pause}\n`);
    const answers = (await this.#until('done')).map((line) => {
      const [connection, request, asked, answered, base64] = line.split(' ');
      return {
        connection: Number(connection),
        request: Number(request),
        asked: Number(asked) / 1000,
        answered: Number(answered) / 1000,
        base64,
      };
    });
    this.#requests.verify(answers);
    return answers;
  }

  /** What the agent and its children have used so far, in microseconds. */
  async cpu() {
    this.#process.stdin.write(`cpu ${treeOf(this.#agent.pid).join(' ')}\n`);
    const line = (await this.#lines.next()).value ?? '';
    return line.split(' ').reduce((total, word) => total + Number(word) / 1000, 0);
  }

  async stop() {
    await this.#workshop.stop(this.#process);
  }

  async #until(end) {
    const lines = [];
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (value === end) return lines;
      if (!done) lines.push(value);
      else throw new Error(`the daemon ended: ${logOf(this.#process)}\n${this.#agent ? logOf(this.#agent) : ''}`);
    }
  }
}
