// Runs of the agent, one after the other, as a service manager starts them: each is told to end, or dies, and another follows.
import type { Agent } from '../../src/agent/agent.ts';
import type { AgentEvent } from '../../src/agent/events.ts';
import type { Surroundings } from '../../src/agent/surroundings.ts';
import type { Settings } from '../../src/config/settings.ts';
import { type AgentCode, forgetCode, loadAgent } from './agent-code.ts';
import { spawn } from './node/child-process.ts';
import { setTimeout as timer } from './node/globals.ts';
import { USER } from './disk.ts';
import { kernel, type Process } from './kernel.ts';

/** Milliseconds in which an agent ends that was told to, at most: module hosts, disks and daemons may all hang. */
const STOPS_WITHIN = 120_000;
/** Milliseconds from then on in which nothing of it is left. */
const RETURNS_WITHIN = 6_000;
const RESTART = 2_000;
/** Milliseconds after which a command is given up, instead of a minute: a daemon's late reply is then nobody's. */
const COMMAND_TIMEOUT = 2_500;

function surroundingsOf(code: AgentCode, process: Process, emit: (event: AgentEvent) => void): Surroundings {
  const { AgentError, connectManagement, listenManagement, PathWatches } = code;
  return {
    clock: {
      now: () => kernel().now,
      after: (milliseconds, call) => {
        const started = timer(call, milliseconds);
        return () => {
          started.clear();
        };
      },
    },
    network: {
      connect: (address, options) => connectManagement(address, { ...options, commandTimeout: COMMAND_TIMEOUT }),
      listen: (address, options) => listenManagement(address, { ...options, commandTimeout: COMMAND_TIMEOUT }),
      watchPath: new PathWatches().watch,
    },
    emit,
    pid: process.pid,
    release: 'simulation',
    uid: USER,
    environment: {},
    execPath: '/usr/bin/node',
    spawn: spawn as unknown as NonNullable<Surroundings['spawn']>,
    terminal: {
      person: { isWaiting: false, complain: () => undefined },
      ask: () => Promise.reject(new AgentError('ERR_PIN_REQUIRED', 'there is no terminal')),
      during: async (_asks, _notice, work) => await work(),
    },
  };
}

export interface AgentRunsOptions {
  readonly settings: () => Settings;
  readonly hear: (event: AgentEvent) => void;
  /** Each start runs the agent's code anew. */
  readonly runsCodeAnew: boolean;
  /** A run is over, however it ended. */
  readonly onOver: (manner: 'stopped' | 'killed' | 'power lost') => void;
}

/** Events whose text is a line of the log; the others are told by their type. */
function textOf(event: AgentEvent): string {
  const text = JSON.stringify(event, (_, value: unknown) => {
    if (value instanceof Error) return value.message;
    return Buffer.isBuffer(value) ? `${value.length} bytes` : value;
  });
  // signatures differ from run to run where a scheme leaves something to chance
  return text
    .replaceAll(/\{"type":"Buffer","data":\[[\d,]*\]\}/g, '"bytes"')
    .replaceAll(/"hash":"[0-9a-f]+"/g, '"hash":"…"');
}

export class AgentRuns {
  readonly #options: AgentRunsOptions;
  agent: Agent | undefined;
  process: Process | undefined;
  runs = 0;
  /** When it was last ready to serve. */
  upSince: number = Number.POSITIVE_INFINITY;
  /** Milliseconds since which nobody interferes. */
  #isHeldDown = false;

  constructor(options: AgentRunsOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.agent !== undefined && this.process?.isAlive === true && !this.process.isStopping;
  }

  start(): void {
    this.#isHeldDown = false;
    if (this.process?.isAlive === true) return;
    const world = kernel();
    const process = world.startProcess();
    this.process = process;
    this.agent = undefined;
    this.runs += 1;
    world.say('agent', `starts as process ${process.pid}`);
    void this.#run(process);
  }

  async #run(process: Process): Promise<void> {
    const world = kernel();
    // at any await
    const isToldToStop = (): boolean => process.isStopping;
    const code = loadAgent(this.#options.runsCodeAnew);
    const { Agent, AgentError, errorCode } = code;
    const surroundings = surroundingsOf(code, process, (event) => {
      if (!process.isAlive && !process.isStopping) world.violate(`a run that is over tells ${event.type}`);
      if (event.type === 'pin-record-failed') process.hasUnrecordedPins = true;
      world.say('agent', () => textOf(event));
      this.#options.hear(event);
    });
    try {
      const agent = await Agent.open(this.#options.settings(), surroundings, new AbortController().signal);
      this.agent = agent;
      this.upSince = world.now;
      world.say('agent', 'is open');
      await agent.ended();
      if (isToldToStop()) return;
      world.say('agent', 'has nothing to serve');
      await agent[Symbol.asyncDispose]();
    } catch (error) {
      if (isToldToStop()) return;
      world.say('agent', `fails: ${errorCode(error) ?? ''} ${error instanceof Error ? error.message : String(error)}`);
      if (!(error instanceof AgentError)) world.violate(`not an AgentError: ${String(error)}`);
      await this.agent?.[Symbol.asyncDispose]();
    }
    // told to stop while it gave all back: it ends when that is done
    if (isToldToStop()) return;
    this.#over('stopped');
    world.after(RESTART, () => {
      if (!this.#isHeldDown) this.start();
    });
  }

  #over(manner: 'stopped' | 'killed' | 'power lost'): void {
    const { process } = this;
    if (process?.isAlive !== true) return;
    this.agent = undefined;
    this.upSince = Number.POSITIVE_INFINITY;
    process.hasEnded = manner === 'stopped';
    if (!process.hasEnded || process.calls > 0) forgetCode();
    kernel().kill(process);
    kernel().say('agent', `is ${manner}`);
    this.#options.onOver(manner);
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    this.#isHeldDown = true;
    const { process, agent } = this;
    if (!process?.isAlive || process.isStopping) return;
    if (!agent) {
      this.#over('killed');
      return;
    }
    process.isStopping = true;
    kernel().say('agent', 'is told to stop');
    const callOff = kernel().after(STOPS_WITHIN, () => {
      if (process.isAlive) kernel().violate(`the agent did not stop within ${STOPS_WITHIN} ms`);
    });
    await agent[Symbol.asyncDispose]();
    callOff();
    await this.#returned(process);
    this.#over('stopped');
  }

  /** All that it took is given back: what was written to a connection may still be on its way. */
  async #returned(process: Process): Promise<void> {
    for (let waited = 0; ; waited += 500) {
      const left = [...process.held].filter(([, all]) => all.size > 0).map(([kind, all]) => `${all.size} ${kind}`);
      if (left.length === 0 || !process.isAlive) return;
      if (waited >= RETURNS_WITHIN) {
        kernel().violate(`the agent has ended, and still holds: ${left.join(', ')}`);
        return;
      }
      await new Promise<void>((resolve) => {
        kernel().after(500, resolve);
      });
    }
  }

  kill(isPowerLost = false): void {
    this.#isHeldDown = true;
    this.#over(isPowerLost ? 'power lost' : 'killed');
  }
}
