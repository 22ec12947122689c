import type { DaemonOptions } from './daemon-options.ts';
import { disk, Inode, USER } from './disk.ts';
import { kernel } from './kernel.ts';
import { type Acceptor, connectToAgent, network, type Peer, type SimulatedSocket } from './wire.ts';

/** Clients that may wait for another to leave. */
const BACKLOG = 2;

/** A client that waits for another to leave. */
interface Waiting {
  readonly peer: Peer;
  /** What it has said meanwhile. */
  readonly said: Buffer[];
}

/** Where a daemon meets its management client: it connects to it, or listens; one has it at a time then, the others wait. */
export class Entrance implements Acceptor {
  readonly #options: DaemonOptions;
  readonly #isFree: () => boolean;
  readonly #attach: (peer: Peer) => void;
  #waiting: Waiting[] = [];
  #inode: Inode | undefined;
  #isOpen = false;

  constructor(options: DaemonOptions, isFree: () => boolean, attach: (peer: Peer) => void) {
    this.#options = options;
    this.#isFree = isFree;
    this.#attach = attach;
  }

  open(): void {
    this.#isOpen = true;
    const { isClient, place } = this.#options;
    const { path = '', port } = place;
    if (isClient) {
      this.#dial();
      return;
    }
    if (port !== undefined) {
      network().ports.set(port, this);
      return;
    }
    const { folder, name } = disk().find(path, 'bind');
    folder.set([name, undefined]);
    this.#inode = new Inode('socket', 0o777);
    this.#inode.uid = USER;
    this.#inode.server = this;
    folder.set([name, this.#inode]);
  }

  #dial(): void {
    if (!this.#isOpen || !this.#isFree()) return;
    const peer = connectToAgent(this.#options.place);
    if (peer) {
      this.#attach(peer);
      return;
    }
    // a real one gives up, and is started again
    kernel().after(this.#options.random.between(500, 2000), () => {
      this.#dial();
    });
  }

  /** @param isTidy the socket's file goes with it. @returns those that waited */
  close(isTidy: boolean): Peer[] {
    this.#isOpen = false;
    const { isClient, place } = this.#options;
    const { path = '', port } = place;
    if (isClient) return [];
    if (port !== undefined) network().ports.delete(port);
    if (this.#inode) this.#inode.server = undefined;
    if (isTidy && this.#inode) {
      const { folder, name, inode } = disk().find(path, 'unlink');
      if (inode === this.#inode) folder.set([name, undefined]);
    }
    return this.#waiting.splice(0).map(({ peer }) => peer);
  }

  accept({ peer }: SimulatedSocket): string | undefined {
    if (!this.#isOpen) return 'ECONNREFUSED';
    if (this.#isFree()) {
      this.#attach(peer);
      return undefined;
    }
    if (this.#waiting.length >= BACKLOG) return 'EAGAIN';
    const said: Buffer[] = [];
    this.#waiting.push({ peer, said });
    peer.onData = (bytes) => {
      said.push(bytes);
    };
    peer.onEnd = () => {
      this.#waiting = this.#waiting.filter((each) => each.peer !== peer);
    };
    return undefined;
  }

  /** @returns whether there was one that waited */
  next(): boolean {
    const next = this.#waiting.shift();
    if (!next) return false;
    this.#attach(next.peer);
    for (const bytes of next.said) next.peer.onData(bytes);
    return true;
  }
}
