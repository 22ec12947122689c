// An OpenVPN daemon's management interface, as manage.c of 2.6 has it: of the commands those that an agent and its relay use.
import { reply } from './daemon-commands.ts';
import { disk, Inode, USER } from './disk.ts';
import type { Asked, DaemonOptions } from './daemon-options.ts';
import { kernel } from './kernel.ts';
import type { Random } from './random.ts';
import { makeRequest, type SignRequest } from './request.ts';
import { SECRETS } from './visitor.ts';
import { type Acceptor, connectToAgent, network, type Peer, type SimulatedSocket } from './wire.ts';

/** Milliseconds within which an answer may be under way that the daemon does not wait for any more. */
const UNDER_WAY = 3;
const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";

/** One connection's state in the daemon. */
interface Connection {
  readonly peer: Peer;
  isIn: boolean;
  /** What it has real-time notifications of. */
  readonly told: Record<string, boolean>;
  text: string;
  /** It says nothing more. */
  isCutOff?: boolean;
  block: { readonly command: string; readonly lines: string[] } | undefined;
}

export class Daemon implements Acceptor {
  readonly name: string;
  readonly options: DaemonOptions;
  isUp = false;
  /** What it waits for. */
  pending: Asked | undefined;
  /** Asked before it was restarted: an answer may still be under way. */
  #void: Asked | undefined;
  /** A lost connection cut a block in two: it waits for ever, until a restart. */
  isStuck = false;
  signatures = 0;
  /** Milliseconds from a signature to the next request, at most. */
  interval = 10_000;
  #connection: Connection | undefined;
  #waiting: Peer[] = [];
  #inode: Inode | undefined;
  /** Times it was held, since a signature. */
  #holds = 0;
  #isReleased = false;
  #life = 0;
  #state = 'CONNECTING';
  readonly #random: Random;
  #handshake: () => void = () => undefined;

  constructor(options: DaemonOptions) {
    this.options = options;
    this.name = options.name;
    this.#random = options.random;
  }

  get isConnected(): boolean {
    return this.#connection?.isIn === true;
  }

  get peer(): Peer | undefined {
    return this.#connection?.peer;
  }

  #say(what: string): void {
    kernel().say(this.name, what);
  }

  start(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.#life += 1;
    this.pending = undefined;
    this.#void = undefined;
    this.isStuck = false;
    this.#isReleased = !this.options.isHeld;
    this.#say('starts');
    const { place, isClient } = this.options;
    if (isClient) {
      this.#dial();
    } else if (place.port !== undefined) {
      network().ports.set(place.port, this);
    } else {
      this.#bind(place.path ?? '');
    }
    this.#begin();
  }

  #bind(path: string): void {
    const { folder, name } = disk().find(path, 'bind');
    folder.set([name, undefined]);
    this.#inode = new Inode('socket', 0o777);
    this.#inode.uid = USER;
    this.#inode.server = this;
    folder.set([name, this.#inode]);
  }

  #dial(): void {
    if (!this.isUp || this.#connection) return;
    const life = this.#life;
    const peer = connectToAgent(this.options.place);
    if (!peer) {
      // a real one gives up, and is started again
      kernel().after(this.#random.between(500, 2000), () => {
        if (life === this.#life) this.#dial();
      });
      return;
    }
    this.#attach(peer);
  }

  /** @param isTidy the socket's file goes with it */
  stop(isTidy: boolean): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.#life += 1;
    this.#say(isTidy ? 'stops' : 'is killed');
    this.#handshake();
    const { path, port } = this.options.place;
    if (port !== undefined && !this.options.isClient) network().ports.delete(port);
    if (this.#inode) this.#inode.server = undefined;
    if (isTidy && this.#inode && path !== undefined) {
      const { folder, name, inode } = disk().find(path, 'unlink');
      if (inode === this.#inode) folder.set([name, undefined]);
    }
    for (const peer of [this.#connection?.peer, ...this.#waiting]) {
      if (isTidy) peer?.close();
      else peer?.reset();
    }
    this.#connection = undefined;
    this.#waiting = [];
    this.pending = undefined;
  }

  accept(socket: SimulatedSocket): string | undefined {
    if (!this.isUp) return 'ECONNREFUSED';
    if (this.#waiting.length >= 2) return 'EAGAIN';
    const { peer } = socket;
    if (this.#connection) {
      this.#waiting.push(peer);
      peer.onEnd = () => {
        this.#waiting = this.#waiting.filter((each) => each !== peer);
      };
    } else {
      this.#attach(peer);
    }
    return undefined;
  }

  #attach(peer: Peer): void {
    const { password } = this.options;
    const isIn = password === undefined;
    this.#connection = { peer, isIn, told: {}, text: '', block: undefined };
    peer.onData = (bytes) => {
      this.#hear(bytes);
    };
    peer.onEnd = () => {
      this.#lose(peer);
    };
    if (isIn) this.#greet();
    else this.send('ENTER PASSWORD:');
  }

  #lose(peer: Peer): void {
    if (this.#connection?.peer !== peer) return;
    this.#say('lost its management client');
    // OpenVPN waits for the rest of a block that never comes (man_reset_client_socket leaves EKS_INPUT)
    if (this.#connection.block?.command === 'pk-sig') this.isStuck = true;
    this.#connection = undefined;
    if (!peer.isOver) peer.close();
    const next = this.#waiting.shift();
    if (next) this.#attach(next);
    else if (this.options.isClient && this.isUp) {
      // it exits (management-client), and is started again
      this.#exit();
    }
  }

  /** It ends, and is started again. */
  #exit(): void {
    this.stop(true);
    kernel().after(this.#random.between(500, 3000), () => {
      this.start();
    });
  }

  #greet(): void {
    this.send(GREETING);
    if (!this.#isReleased) this.#tellHold();
    // one that is stuck asks again too, and can't take the answer
    if (this.pending) this.#tellRequest(this.pending.request);
  }

  send(text: string): void {
    if (this.#connection?.isCutOff !== true) this.#connection?.peer.send(text);
  }

  /** What it says last on this connection. */
  sendLast(text: string): void {
    this.send(text);
    if (this.#connection) this.#connection.isCutOff = true;
  }

  #tellHold(): void {
    this.send(`>HOLD:Waiting for hold release:${Math.min(this.#holds, 5)}\r\n`);
  }

  #tellRequest(request: SignRequest): void {
    const { process } = kernel();
    const asked = { request, at: kernel().now, process };
    this.pending = asked;
    this.#say(`asks for a signature: ${request.text.slice(-60)}`);
    kernel().count('request');
    if (!this.isConnected) return;
    this.send(`>PK_SIGN:${request.text}\r\n`);
    this.#watch(asked);
  }

  /** An agent that goes on, on a connection that stands, answers in time. */
  #watch(asked: Asked): void {
    const peer = this.#connection?.peer;
    const patience = this.options.patience();
    const look = (): void => {
      // an agent that starts may have to wait for its disk
      const wait = Math.max(asked.at, this.options.readySince()) + patience - kernel().now;
      if (this.pending !== asked || this.isStuck || !peer || this.#connection?.peer !== peer) return;
      if (peer.isDeaf || !asked.process.isAlive || this.#connection.block || asked.process.isStopping) return;
      if (wait > 0) kernel().after(Math.min(wait, patience), look);
      else kernel().violate(`${this.name}: no answer to the request of ${(asked.at / 1000).toFixed(3)}`);
    };
    kernel().after(patience, look);
  }

  /** From the beginning, or from where a failure leads to. */
  #begin(): void {
    if (this.options.isHeld) {
      this.#isReleased = false;
      if (this.isConnected) this.#tellHold();
      return;
    }
    this.#shake(this.#random.between(5, 1500));
  }

  /** A TLS handshake comes to where it needs a signature. */
  #shake(milliseconds: number): void {
    this.#handshake();
    const life = this.#life;
    this.#handshake = kernel().after(milliseconds, () => {
      if (life === this.#life) this.ask();
    });
  }

  /** Now, if it waits for none. */
  ask(): boolean {
    if (!this.isUp || this.pending || !this.#isReleased || this.isStuck) return false;
    this.#tellRequest(makeRequest(this.options.keys()[0]?.type ?? 'EC', this.#random));
    return true;
  }

  /** SIGUSR1: what it asked for is void; it pauses for a second at least, and asks anew. */
  restart(): void {
    if (!this.isUp) return;
    this.#say('restarts');
    if (this.pending) this.#void = this.pending;
    this.pending = undefined;
    this.isStuck = false;
    this.#handshake();
    this.#tellState('RECONNECTING');
    this.#holds += 1;
    const life = this.#life;
    this.#handshake = kernel().after(1000 + this.#random.between(0, 500), () => {
      if (life !== this.#life) return;
      if (this.options.isHeld) this.#begin();
      else this.#shake(this.#random.between(5, 100));
    });
  }

  /** A second request before the first was answered, as no real daemon has it. */
  askTwice(): void {
    if (!this.pending || !this.isConnected) return;
    this.#say('repeats its request');
    // both are answered, the second in its own time
    this.#void = this.pending;
    this.#tellRequest(this.pending.request);
  }

  #tellState(state: string): void {
    this.#state = state;
    if (this.#connection?.told['state'] === true) this.send(`>STATE:${this.#stateLine()}\r\n`);
  }

  #stateLine(): string {
    return `${Math.floor(kernel().wall / 1000)},${this.#state},,,,,,`;
  }

  #hear(bytes: Buffer): void {
    const connection = this.#connection;
    if (!connection) return;
    connection.text += bytes.toString('latin1');
    for (;;) {
      const at = connection.text.indexOf('\n');
      if (at < 0) return;
      const line = connection.text.slice(0, at).replace(/\r$/, '');
      connection.text = connection.text.slice(at + 1);
      this.#line(line, connection);
      if (this.#connection !== connection) return;
    }
  }

  #line(line: string, connection: Connection): void {
    if (!connection.isIn) {
      if (line === this.options.password) {
        connection.isIn = true;
        this.send('SUCCESS: password is correct\r\n');
        this.#greet();
      } else {
        this.#say('gets a wrong password');
        this.send('ENTER PASSWORD:');
      }
      return;
    }
    if (connection.block) {
      if (line === 'END') {
        const { command, lines } = connection.block;
        connection.block = undefined;
        if (command === 'pk-sig') this.#takeSignature(lines.join(''));
        else this.send('SUCCESS: certificate command succeeded\r\n');
      } else {
        connection.block.lines.push(line);
      }
      return;
    }
    const words = line.split(' ').filter(Boolean);
    const [name] = words;
    if (name !== undefined) this.#command(name, words, connection);
  }

  #command(name: string, words: readonly string[], connection: Connection): void {
    if (name === 'pk-sig') {
      this.#beginSignature(connection);
      return;
    }
    this.#say(`hears: ${words.join(' ')}`);
    const { text, action } = reply(words, {
      told: connection.told,
      pid: 4000 + this.#life,
      isHeld: this.options.isHeld,
      stateLine: this.#stateLine(),
      bytes: this.signatures,
    });
    this.send(text);
    if (action === 'release') this.#release();
    else if (action === 'restart') this.restart();
    else if (action === 'end') this.#exit();
    else if (action === 'close') connection.peer.close();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#shake(this.#random.between(5, 100));
  }

  #beginSignature(connection: Connection): void {
    if (this.pending && !this.isStuck) {
      connection.block = { command: 'pk-sig', lines: [] };
      return;
    }
    if (!this.#void && !this.isStuck) kernel().violate(`${this.name}: an answer to what nobody asked`);
    this.#void = undefined;
    this.send('ERROR: The pk-sig command is not currently available\r\n');
  }

  #takeSignature(base64: string): void {
    const { pending } = this;
    this.pending = undefined;
    this.send('SUCCESS: pk-sign command succeeded\r\n');
    if (!pending) return;
    const signature = Buffer.from(base64, 'base64');
    if (signature.length === 0) {
      this.#say('gets an empty block');
      kernel().count('empty block');
      this.options.onEmpty(this, pending);
      this.restart();
      return;
    }
    const fits = ({ isSignedBy }: SignRequest): boolean =>
      this.options.keys().some((key) => isSignedBy(signature, key));
    if (fits(pending.request)) {
      this.#say('gets its signature');
      kernel().count('signature');
      this.signatures += 1;
      this.options.onSignature(pending, signature);
      this.#holds = 0;
      this.#tellState('CONNECTED');
      for (const [line] of SECRETS) if (this.#random.chance(0.2)) this.send(`${line}\r\n`);
      this.#shake(this.#random.between(200, this.interval));
      return;
    }
    const late = this.#void;
    if (late && kernel().now - pending.at < UNDER_WAY && fits(late.request)) {
      this.options.onSignature(late, signature);
      this.#say('gets the signature of before');
    } else {
      kernel().violate(`${this.name}: a signature that does not verify`);
    }
    this.restart();
  }
}
