// daemon.c, which asks an agent for signatures and takes the times.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { treeOf } from './processes.mjs';
import { Requests } from './requests.mjs';
import { logOf } from './workshop.mjs';

export class Daemon {
  #workshop;
  #process;
  #lines;
  #requests;
  #agent;

  /**
   * @param subject the key's `home` and name, `data`; whether the agent listens, and for how many `connections`
   * @param command the agent's, if the daemon shall start it
   */
  constructor(workshop, subject, socket, command = []) {
    const { listen = false, connections = 1, cpu } = subject;
    this.#workshop = workshop;
    this.#requests = new Requests(workshop, subject);
    const file = workshop.fresh('requests');
    writeFileSync(file, `${this.#requests.lines.join('\n')}\n`);
    const words = [listen ? 'connect' : 'listen', socket, `${connections}`, file, ...command];
    this.#process = workshop.start([workshop.path('daemon'), ...words], { stdio: ['pipe', 'pipe'], cpu });
    this.#process.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** An agent with a daemon that has all its connections to it. */
  static async pair(workshop, agent, subject) {
    const socket = workshop.fresh('socket');
    const daemon = new Daemon(workshop, subject, socket);
    await daemon.#until('listening');
    daemon.#agent = workshop.start(agent(workshop, { ...subject, socket }), { cpu: subject.cpu });
    // else it would wait for ever for one that can't start
    daemon.#agent.gone.then(() => daemon.#process.kill());
    await daemon.#until('ready');
    return { daemon, agent: daemon.#agent };
  }

  /** From the start of an agent to its first signature, in microseconds: the daemon is there, and starts the agent. */
  static async firstSignature(workshop, agent, subject) {
    const socket = workshop.fresh('socket');
    const daemon = new Daemon(workshop, subject, socket, agent(workshop, { ...subject, socket }));
    // told ahead, so that it doesn't wait for us
    daemon.#ask({ each: 1 });
    const [, started] = (await daemon.#until('ready')).map((line) => line.split(' '));
    const [{ answered }] = await daemon.#answers();
    await daemon.stop();
    return answered - Number(started[2]) / 1000;
  }

  /** Each of the first `connections` asks `each` times, all at once. Times in microseconds. */
  async run({ connections, each, pause }) {
    this.#ask({ connections, each, pause });
    return this.#answers();
  }

  /** What the agent and its children have used so far, in microseconds. */
  async cpu() {
    this.#process.stdin.write(`cpu ${treeOf(this.#agent.pid).join(' ')}\n`);
    const line = (await this.#lines.next()).value ?? '';
    return line.split(' ').reduce((total, word) => total + Number(word) / 1000, 0);
  }

  /** Ends the daemon and its agent. */
  async stop() {
    if (this.#agent !== undefined) await this.#workshop.stop(this.#agent);
    await this.#workshop.stop(this.#process, () => this.#process.stdin.end());
  }

  #ask({ connections = 1, each, pause = 0 }) {
    this.#process.stdin.write(`run ${connections} ${each} ${pause}\n`);
  }

  async #answers() {
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

  /** The lines before the one that says `end`. */
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

/** How long a program takes from start to end, in microseconds. */
export async function timeOf(workshop, command) {
  const words = ['-c', workshop.cpu, ...workshop.ahead, workshop.path('daemon'), 'time', ...command];
  const { stdout } = await promisify(execFile)('taskset', words, { env: workshop.env });
  return Number(stdout) / 1000;
}
