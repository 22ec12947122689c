// One world: made from a plan, run through its storm, then left in peace until all works again or something does not.
import type { AgentEvent } from '../../src/agent/events.ts';
import { AgentRuns } from './agent-run.ts';
import { AuditWatch } from './audit-watch.ts';
import { Daemon } from './daemon.ts';
import type { Asked } from './daemon-options.ts';
import { type Disk, mount } from './disk.ts';
import { enter, Kernel } from './kernel.ts';
import { type SimulatedKey, simulatedKeys } from './keys.ts';
import { mishaps as hostMishaps, hosts } from './module-host.ts';
import { befall, forgetOpened } from './mishaps.ts';
import { type Plan, STORM } from './plan.ts';
import { Random } from './random.ts';
import {
  deadlineOf,
  furnishedDisk,
  keyPath,
  logOf,
  modulePath,
  pinPath,
  placeOf,
  settingsOf,
  tokenLabel,
} from './settings.ts';
import { ModuleFile, modules } from './module.ts';
import { bearsOut, isRemembered, Token } from './token.ts';
import { Network, plug } from './wire.ts';

const PASSWORD = 'correct horse';
/** Milliseconds that a request has beside its key's deadline. */
const MARGIN = 1_500;
/** Milliseconds of calm within which all works again that can. */
const RECOVERY = 150_000;
/** Codes of failures that a person has to mend: they don't pass by themselves. */
const OF_A_PERSON = /^ERR_PIN_(?!SOURCE)/;
/** So many signatures prove it. */
const PROOF = 2;

export interface Outcome {
  readonly violations: readonly string[];
  readonly lines: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly events: number;
}

export class World {
  readonly plan: Plan;
  readonly kernel: Kernel;
  readonly disk: Disk;
  readonly tokens: Token[];
  readonly spares: Token[];
  readonly daemons: Daemon[];
  readonly runs: AgentRuns;
  readonly audit: AuditWatch;
  /** Which settings are the agent's. */
  variant = 0;
  /** Since when the agent refuses all, if it does. */
  lockedAt: number = Number.POSITIVE_INFINITY;
  isCalm = false;
  /** All has been looked at: nothing begins any more. */
  isOver = false;
  /** When something last was of a kind that keeps signatures from being made. */
  troubledUntil = 0;
  readonly logs: Set<string> = new Set<string>();
  /** When the agent is to be stopped by what its audit log has. */
  stopAt: { readonly uncovered: number; readonly lasts: number } | undefined;
  /** The number of the last checkpoint of the audit log. */
  #checkpoint = 0;
  /** Keys that the agent can't open, and why. */
  readonly #failed = new Map<string, string>();
  /** Of each tunnel's last request that its key was asked for, and of each key. */
  readonly #codes = new Map<string, string | undefined>();

  constructor(plan: Plan, isLogged: boolean) {
    this.plan = plan;
    this.kernel = new Kernel(plan.seed, isLogged);
    enter(this.kernel);
    this.disk = furnishedDisk();
    mount(this.disk);
    plug(new Network());
    hostMishaps.length = 0;
    hosts.clear();
    modules.clear();
    const keys = simulatedKeys();
    const key = (index: number): SimulatedKey => {
      const found = keys[index];
      if (!found) throw new RangeError(`no key ${index}`);
      return found;
    };
    this.tokens = plan.tokens.map(
      (token, index) =>
        new Token({
          ...token,
          label: tokenLabel(index),
          serial: `A${index}`,
          pin: `pin-${index}`,
          key: key(token.key),
        }),
    );
    this.spares = plan.tokens.map(
      (token, index) =>
        new Token({
          ...token,
          label: tokenLabel(index),
          serial: `B${index}`,
          pin: `spare-${index}`,
          key: spareOf(keys, key(token.key)),
        }),
    );
    for (let index = 0; index < plan.modules; index += 1) {
      const slots = this.tokens.filter((_, token) => plan.tokens[token]?.module === index);
      modules.set(modulePath(index), new ModuleFile(slots));
      this.disk.put(modulePath(index), 'ELF', 0o644);
    }
    for (const [index, { pin }] of this.tokens.entries()) this.disk.put(pinPath(index), `${pin}\n`);
    for (const { name, token, key: number } of plan.keys)
      if (token === undefined) this.disk.put(keyPath(name), key(number).pem);
    this.disk.put('/keys/management-password', `${PASSWORD}\n`);
    this.audit = new AuditWatch(plan.audit);
    this.runs = new AgentRuns({
      settings: () => {
        this.logs.add(logOf(this.variant));
        return settingsOf(plan, this.variant);
      },
      hear: (event) => {
        this.#hear(event);
      },
      runsCodeAnew: plan.seed % 16 === 0,
      onOver: (manner) => {
        if (manner === 'power lost') this.disk.losePower();
        this.disk.forgetWriters();
        if (manner !== 'stopped') for (const token of [...this.tokens, ...this.spares]) token.agentDied();
        this.audit.check([...this.logs], manner === 'power lost');
        this.audit.isFailing = false;
        this.lockedAt = Number.POSITIVE_INFINITY;
      },
    });
    this.daemons = plan.tunnels.map((tunnel, index) => {
      const keyPlan = plan.keys[tunnel.key];
      return new Daemon({
        name: tunnel.name,
        place: placeOf(tunnel, index),
        isClient: tunnel.isClient,
        isHeld: tunnel.isHeld,
        password: tunnel.hasPassword ? PASSWORD : undefined,
        random: new Random(plan.seed * 31 + index),
        keys: () => {
          const own = key(keyPlan?.key ?? 0);
          const spare = keyPlan?.token === undefined ? undefined : this.spares[keyPlan.token];
          return spare ? [own, spare.key] : [own];
        },
        patience: () => deadlineOf(plan, this.variant) + MARGIN,
        readySince: () => this.runs.upSince,
        onSignature: ({ request, at }, signature, writtenAt) => {
          this.audit.left(tunnel.name, request, signature, [...this.logs]);
          // what it was asked for, or has sent, before it was locked may still come
          if (Math.min(at, writtenAt) > this.lockedAt)
            this.kernel.violate(`${tunnel.name}: a signature from a locked agent`);
        },
        onEmpty: (daemon, asked) => {
          this.#onEmpty(daemon, asked, tunnel.key);
        },
      });
    });
  }

  #hear(event: AgentEvent): void {
    if (event.type === 'audit-failed') this.audit.isFailing = true;
    if (event.type === 'audit-works') this.audit.isFailing = false;
    if (event.type === 'audit-kept' && this.isCalm) this.kernel.violate(`a reload keeps ${event.file}: ${event.error}`);
    if (event.type === 'audit-checkpoint') this.#checkpoint = event.sequence;
    if (event.type === 'audit-written') this.#stopAt(event.sequence);
    if (event.type === 'key-state') this.#hearOfKey(event);
    if (event.type === 'request-done' && 'tunnel' in event) {
      const { outcome } = event;
      if (outcome.outcome === 'signed') this.audit.sent(outcome.signature);
      if (outcome.outcome !== 'refused') this.#codes.set(event.tunnel, 'code' in outcome ? outcome.code : undefined);
    }
  }

  /** An agent that has no other key ends, and says nothing of its tunnels. */
  #hearOfKey({ name, state, code }: Extract<AgentEvent, { type: 'key-state' }>): void {
    if (state === 'open') this.#failed.delete(name);
    if (state === 'open') this.#isFound(name);
    this.#codes.set(name, code);
    if (!OF_A_PERSON.test(code ?? '')) return;
    if (state === 'failed') this.#failed.set(name, code ?? '');
    if (state === 'waiting') this.kernel.violate(`${name} is tried again by itself after ${code}`);
  }

  /** Its key is in the token that took a PIN last. */
  #isFound(key: string): void {
    const index = this.plan.keys.find(({ name }) => name === key)?.token ?? -1;
    const [token, spare] = [this.tokens[index], this.spares[index]];
    if (!token || !spare || token.openedAt === spare.openedAt) return;
    const isSpare = spare.openedAt > token.openedAt;
    (isSpare ? token : spare).isNotFor = this.kernel.process;
  }

  #stopAt(sequence: number): void {
    const { stopAt } = this;
    if (!stopAt || sequence - this.#checkpoint < stopAt.uncovered || this.isCalm) return;
    this.stopAt = undefined;
    // an agent that tells of something is in the midst of it: it stops when it waits next
    this.kernel.after(0, () => {
      befall(this, { at: this.kernel.now, type: 'stop', lasts: stopAt.lasts });
    });
  }

  /** Something is amiss with the disk. */
  breakDisk(milliseconds: number): void {
    this.trouble(milliseconds);
    this.disk.troubledAt = this.troubledUntil;
  }

  /** Something keeps signatures from being made for a while. */
  trouble(milliseconds: number): void {
    this.troubledUntil = Math.max(this.troubledUntil, this.kernel.now + milliseconds);
  }

  /** What is in a file needs nobody: a request for it is signed, whatever breaks elsewhere. */
  #onEmpty(daemon: Daemon, { request, at }: Asked, key: number): void {
    if (request.isHopeless) return;
    const isInFile = this.plan.keys[key]?.token === undefined;
    if (!isInFile || this.troubledUntil >= at) return;
    this.kernel.violate(`${daemon.name}: no signature by a key in a file, and nothing kept it from being made`);
  }

  async run(): Promise<Outcome> {
    const { kernel } = this;
    const onRejection = (reason: unknown): void => {
      kernel.violate(`nobody caught: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`);
    };
    process.on('unhandledRejection', onRejection);
    process.on('uncaughtException', onRejection);
    try {
      let isOver = false;
      for (const daemon of this.daemons) {
        kernel.after(kernel.random.between(0, 3000), () => {
          daemon.start();
        });
      }
      this.runs.start();
      for (const mishap of this.plan.mishaps) {
        kernel.after(mishap.at, () => {
          kernel.count('mishap');
          kernel.say('mishap', JSON.stringify(mishap));
          befall(this, mishap);
        });
      }
      kernel.after(STORM + 11_000, () => {
        void this.#calm().then(() => {
          isOver = true;
        });
      });
      const isAtStandstill = await kernel.run(() => isOver || kernel.violations.length > 0);
      if (isAtStandstill) kernel.violate('the world came to a standstill');
      return {
        violations: kernel.violations,
        lines: kernel.lines ?? [],
        counts: kernel.counts,
        events: kernel.events,
      };
    } finally {
      process.off('unhandledRejection', onRejection);
      process.off('uncaughtException', onRejection);
      enter(undefined);
      mount(undefined);
      plug(undefined);
    }
  }

  async #sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.kernel.after(milliseconds, resolve);
    });
  }

  /** All mishaps have an end: what can be served is served. */
  async #calm(): Promise<void> {
    const { kernel, runs, disk } = this;
    kernel.say('world', 'it is calm');
    this.isCalm = true;
    hostMishaps.length = 0;
    for (const { failing } of modules.values()) failing.clear();
    for (const file of modules.values()) file.wrongSignatures = 0;
    disk.isFull = false;
    disk.failingSyncs = 0;
    disk.failingWrites = 0;
    disk.hang = 0;
    for (const daemon of this.daemons) {
      daemon.interval = 1_000;
      daemon.start();
      daemon.peer?.listen();
    }
    if (runs.isUp && this.variant !== 0) {
      this.variant = 0;
      this.logs.add(logOf(0));
      forgetOpened(this);
      await runs.agent?.apply(settingsOf(this.plan, 0)).catch(() => undefined);
    }
    this.variant = 0;
    runs.start();
    const before = this.daemons.map(({ signatures }) => signatures);
    const isServed = (daemon: Daemon, index: number): boolean => {
      const is = daemon.signatures >= (before[index] ?? 0) + PROOF;
      if (is) daemon.interval = 1_000_000;
      return is;
    };
    for (
      let waited = 0;
      waited < RECOVERY && this.daemons.filter(isServed).length < this.daemons.length;
      waited += 1_000
    )
      await this.#sleep(1_000);
    for (const [index, daemon] of this.daemons.entries()) {
      if (isServed(daemon, index)) continue;
      const why = this.#whyNot(index);
      if (why === undefined) kernel.violate(`${daemon.name} is not served, and could be`);
      if (why !== undefined) kernel.count(`not served: ${why}`);
    }
    this.isOver = true;
    await runs.stop();
    this.audit.check([...this.logs], false);
    this.audit.verify([...this.logs]);
  }

  /** What keeps a tunnel from being served that a person has to mend. */
  #whyNot(index: number): string | undefined {
    const key = this.plan.keys[this.plan.tunnels[index]?.key ?? 0];
    const token = key?.token === undefined ? undefined : this.tokens[key.token];
    if (!key || !token) return undefined;
    const failure = this.#failed.get(key.name);
    if (failure !== undefined) {
      // what the agent says is not enough
      const tokens = [token, this.spares[key.token ?? -1]].filter((each) => each !== undefined);
      return tokens.some((each) => bearsOut(each, failure)) ? failure : undefined;
    }
    if (token.tries < 3) return 'PIN tries are few';
    const { attempts } = token;
    if (!attempts.every(isRemembered)) return 'logins without an outcome';
    // the agent can't know that no token saw them
    const names = [this.plan.tunnels[index]?.name ?? '', key.name];
    const isUnsettled = names.some((name) => this.#codes.get(name) === 'ERR_PIN_UNSETTLED');
    if (isUnsettled && token.unseen >= 2) return 'logins that no token saw';
    return undefined;
  }
}

function spareOf(keys: readonly SimulatedKey[], { type }: SimulatedKey): SimulatedKey {
  const spare = keys.findLast((key) => key.type === type);
  if (!spare) throw new RangeError('no spare key');
  return spare;
}
