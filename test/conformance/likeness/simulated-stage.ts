import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Daemon } from '../../simulation/daemon.ts';
import { mount } from '../../simulation/disk.ts';
import { enter, Kernel } from '../../simulation/kernel.ts';
import { simulatedKeys } from '../../simulation/keys.ts';
import { connect, Server } from '../../simulation/node/net.ts';
import { Random } from '../../simulation/random.ts';
import { furnishedDisk } from '../../simulation/settings.ts';
import { Network, plug, type SimulatedSocket } from '../../simulation/wire.ts';
import { type Script, type Settings, Stage } from './dialogue.ts';
import { signatureOf } from './signature.ts';

/** A daemon without whims: it asks for nothing odd, and tells nothing that only its worlds want. */
class Steady extends Random {
  override chance(): boolean {
    return false;
  }
}

class SimulatedStage extends Stage {
  readonly #kernel: Kernel;
  readonly #daemon: Daemon;
  readonly #server: Server | undefined;
  readonly #accepted: SimulatedSocket[] = [];

  constructor(kernel: Kernel, settings: Settings) {
    super();
    const { isHeld = true, password, isClient = false, isTcp = false, renegotiates = false } = settings;
    this.#kernel = kernel;
    const place = isTcp ? { port: 7505 } : { path: '/run/pksigd/daemon.sock' };
    this.#server = isClient ? new Server({}, (socket) => this.#accepted.push(socket)).listen(place) : undefined;
    this.#daemon = new Daemon({
      name: 'daemon',
      place,
      isClient,
      isHeld,
      password,
      random: new Steady(1),
      keys: () => [this.#key],
      patience: () => 1_000_000_000,
      readySince: () => 0,
      onSignature: () => undefined,
      onEmpty: () => undefined,
    });
    if (!renegotiates) this.#daemon.interval = 1_000_000_000;
    this.#daemon.start();
  }

  get #key() {
    const key = simulatedKeys().find(({ type }) => type === 'EC');
    if (!key) throw new Error('no key');
    return key;
  }

  protected override async join(): Promise<Socket> {
    if (this.#server) {
      if (this.#accepted.length === 0) await once(this.#server, 'connection');
      return this.#accepted.splice(0, 1)[0] as unknown as Socket;
    }
    const socket = connect(this.#daemon.options.place as { path: string });
    await once(socket, 'connect');
    return socket as unknown as Socket;
  }

  protected override async refusal(): Promise<string> {
    const socket = connect(this.#daemon.options.place as { path: string });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    return error.code ?? error.message;
  }

  protected override signature(request: string): string {
    return signatureOf(request, this.#key.privateKey);
  }

  override async asks(): Promise<void> {
    while (!this.#daemon.pending) await this.#moment();
  }

  protected override async ended(): Promise<void> {
    while (this.#daemon.isUp) await this.#moment();
  }

  async #moment(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#kernel.after(1, resolve);
    });
  }
}

/** There is one world at a time. */
let turn: Promise<unknown> = Promise.resolve();

/** Plays it with the simulated daemon. */
export async function playSimulated(script: Script): Promise<string[]> {
  const played = turn.then(async () => await playNow(script));
  turn = played.catch(() => undefined);
  return await played;
}

async function playNow({ settings = {}, play }: Script): Promise<string[]> {
  const kernel = new Kernel(1, false);
  enter(kernel);
  mount(furnishedDisk());
  plug(new Network());
  try {
    const stage = new SimulatedStage(kernel, settings);
    const end = { isOver: false };
    const playing = play(stage).finally(() => {
      end.isOver = true;
    });
    playing.catch(() => undefined);
    const isAtStandstill = await kernel.run(() => end.isOver);
    if (isAtStandstill && !end.isOver) stage.transcript.push('the script waits, and nothing more comes');
    else await playing.catch((error: unknown) => stage.transcript.push(String(error)));
    return stage.transcript;
  } finally {
    enter(undefined);
    mount(undefined);
    plug(undefined);
  }
}
