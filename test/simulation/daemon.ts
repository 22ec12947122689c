// An OpenVPN daemon's management interface, as manage.c of 2.6 has it: test/conformance/simulated-daemon.test.ts compares both.
import { type Action, DaemonFlags, reply } from './daemon-commands.ts';
import { Connection } from './daemon-connection.ts';
import { Entrance } from './daemon-entrance.ts';
import { Hold } from './daemon-hold.ts';
import { decodeBlock, wordsOf } from './daemon-input.ts';
import type { Asked, DaemonOptions } from './daemon-options.ts';
import { LateAnswers } from './daemon-late-answer.ts';
import { States } from './daemon-states.ts';
import { kernel } from './kernel.ts';
import type { Random } from './random.ts';
import { lineOf, makeRequest, signName, type SignRequest } from './request.ts';
import { SECRETS } from './visitor.ts';
import type { Peer } from './wire.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";

export class Daemon {
  readonly name: string;
  readonly options: DaemonOptions;
  isUp = false;
  /** What it waits for. */
  pending: Asked | undefined;
  readonly #late = new LateAnswers();
  /** A lost connection cut a block in two: it waits for ever, until a restart. */
  isStuck = false;
  signatures = 0;
  /** Milliseconds from a signature to the next request, at most. */
  interval = 10_000;
  readonly #entrance: Entrance;
  #connection: Connection | undefined;
  #hold = new Hold();
  /** The handshake is through: those that follow are renegotiations. */
  #isTunnelUp = false;
  #life = 0;
  #flags = new DaemonFlags(false);
  #states = this.#newStates();
  readonly #random: Random;
  #handshake: () => void = () => undefined;

  constructor(options: DaemonOptions) {
    this.options = options;
    this.name = options.name;
    this.#random = options.random;
    this.#entrance = new Entrance(
      options,
      () => !this.#connection,
      (peer) => {
        this.#attach(peer);
      },
    );
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
    this.#late.clear();
    this.isStuck = false;
    this.#flags = new DaemonFlags(this.options.isHeld);
    this.#states = this.#newStates();
    this.#hold = new Hold();
    this.#say('starts');
    this.#begin();
    this.#entrance.open();
  }

  #newStates(): States {
    return new States((line) => {
      if (this.#connection?.told['state'] !== true) return;
      this.send(`>STATE:${line}\r\n`);
      if (line.includes('RECONNECTING')) this.#late.tell();
    });
  }

  /** @param isTidy the socket's file goes with it */
  stop(isTidy: boolean): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.#life += 1;
    this.#say(isTidy ? 'stops' : 'is killed');
    this.#handshake();
    for (const peer of [this.#connection?.peer, ...this.#entrance.close(isTidy)]) {
      if (isTidy) peer?.close();
      else peer?.reset();
    }
    this.#connection?.end();
    this.#connection = undefined;
    this.pending = undefined;
  }

  /** It ends, and whoever looks after it starts it again. */
  #end(): void {
    this.stop(true);
    kernel().after(this.#random.between(500, 3000), () => {
      this.start();
    });
  }

  #attach(peer: Peer): void {
    const connection = new Connection(peer, this.options.password);
    this.#connection = connection;
    peer.onData = (bytes) => {
      this.#hear(bytes, connection);
    };
    peer.onEnd = () => {
      this.#lose(peer);
    };
    if (!connection.isIn) return;
    this.#greet();
    this.#tellHold();
  }

  #lose(peer: Peer): void {
    if (this.#connection?.peer !== peer) return;
    this.#say('lost its management client');
    // OpenVPN waits for the rest of a block that never comes (man_reset_client_socket leaves EKS_INPUT)
    if (this.#connection.block) this.isStuck = true;
    this.#connection.end();
    this.#connection = undefined;
    if (!peer.isOver) peer.close();
    // --management-client
    if (this.options.isClient && this.isUp) this.#end();
    else this.#entrance.next();
  }

  #greet(): void {
    this.send(GREETING);
    if (this.#hold.isOn && this.#hold.isTold) this.#sayHold();
    // one that is stuck asks again too, and can't take the answer
    if (this.pending) this.#tellRequest(this.pending.request, this.pending.line);
  }

  send(text: string): void {
    this.#connection?.send(text);
  }

  /** What it says last on this connection. */
  sendLast(text: string): void {
    this.#connection?.sendLast(text);
  }

  /** As soon as it is in hold, and somebody is there. */
  #tellHold(): void {
    const hold = this.#hold;
    if (!hold.isOn || hold.isTold || !this.isConnected) return;
    hold.isTold = true;
    this.#sayHold();
  }

  #sayHold(): void {
    this.send(`>HOLD:Waiting for hold release:${this.#hold.pause}\r\n`);
    this.#late.tell();
  }

  #tellRequest(request: SignRequest, line: string): void {
    const { process } = kernel();
    const asked = { request, line, at: kernel().now, process };
    this.pending = asked;
    this.#say(`asks for a signature: ${request.text.slice(-60)}`);
    kernel().count('request');
    if (!this.isConnected) return;
    this.send(`${line}\r\n`);
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
      const when = (asked.at / 1000).toFixed(3);
      if (wait > 0) kernel().after(Math.min(wait, patience), look);
      else kernel().violate(`${this.name}: no answer within ${patience} ms to the request of ${when}`);
    };
    kernel().after(patience, look);
  }

  /** From the beginning, or from where a failure leads to. */
  #begin(): void {
    this.#isTunnelUp = false;
    this.#hold.begin(this.#flags.isHeld);
    if (this.#hold.isOn) this.#tellHold();
    else this.#dialServer(1500);
  }

  #dialServer(most: number): void {
    this.#states.change('WAIT');
    this.#shake(this.#random.between(5, most));
  }

  /** A TLS handshake comes to where it needs a signature. */
  #shake(milliseconds: number): void {
    this.#later(milliseconds, () => {
      this.ask();
    });
  }

  /** What it does next, unless it restarts before. */
  #later(milliseconds: number, call: () => void): void {
    this.#handshake();
    const life = this.#life;
    this.#handshake = kernel().after(milliseconds, () => {
      if (life === this.#life) call();
    });
  }

  /** Now, if it waits for none. */
  ask(): boolean {
    if (!this.isUp || this.pending || this.#hold.isOn || this.isStuck) return false;
    if (!this.#isTunnelUp) this.#states.change('AUTH');
    const request = makeRequest(this.options.keys()[0]?.type ?? 'EC', this.#random);
    this.#tellRequest(request, lineOf(request, this.#flags.version));
    return true;
  }

  /** SIGUSR1, or SIGHUP: what it asked for is void; it pauses for a second at least, and asks anew. */
  restart(signal = 'SIGUSR1'): void {
    if (!this.isUp) return;
    if (this.#hold.isOn) {
      this.#sayHold();
      return;
    }
    this.#say('restarts');
    this.#late.expect(this.pending);
    if (this.pending && (this.isStuck || this.#connection?.block))
      this.send(`ERROR: ${signName(this.pending.line)} command failed\r\n`);
    this.#fail(this.pending ? 'tls-error' : signal);
    if (signal === 'SIGHUP') this.#hold.failures = 0;
  }

  /** What it was about has failed. */
  #fail(why: string): void {
    this.pending = undefined;
    this.isStuck = false;
    this.#states.change('RECONNECTING', why);
    this.#hold.failures += 1;
    const pause = this.#flags.isHeld ? 1 : this.#hold.pause * 1000 + this.#random.between(0, 500);
    this.#later(pause, () => {
      this.#begin();
    });
  }

  /** A second request before the first was answered, as no real daemon has it. */
  askTwice(): void {
    if (!this.pending || !this.isConnected) return;
    this.#say('repeats its request');
    // both are answered, the second in its own time
    this.#late.expect(this.pending);
    this.#tellRequest(this.pending.request, this.pending.line);
  }

  #hear(bytes: Buffer, connection: Connection): void {
    for (const lines of connection.hear(bytes)) {
      const answers: Buffer[] = [];
      const isAwake = this.#hold.isTold;
      for (const line of lines) {
        const answer = this.#line(line, connection);
        if (answer) answers.push(answer);
      }
      if (isAwake && this.#hold.wake()) this.#dialServer(100);
      this.#tellHold();
      // what came with it was heard before
      for (const answer of answers) this.#takeSignature(answer, connection.peer.writtenAt);
    }
  }

  /** @returns what a block holds that ends with it */
  #line(line: string, connection: Connection): Buffer | undefined {
    if (!connection.isIn) {
      if (connection.takePassword(line)) this.#greet();
      else this.#say('gets a wrong password');
      return undefined;
    }
    const { block } = connection;
    if (block) {
      if (line !== 'END') {
        block.push(line);
        return undefined;
      }
      connection.block = undefined;
      return decodeBlock(block);
    }
    const words = wordsOf(line);
    if (typeof words === 'string') this.send(`ERROR: ${words}\r\n`);
    else if (words[0] !== undefined) this.#command(words[0], words, connection);
    return undefined;
  }

  #command(name: string, words: readonly string[], connection: Connection): void {
    if (name === 'pk-sig' || name === 'rsa-sig') {
      this.#beginSignature(name, connection);
      return;
    }
    this.#say(`hears: ${words.join(' ')}`);
    const { text, action } = reply(words, {
      told: connection.told,
      options: this.#flags,
      pid: 4000 + this.#life,
      isInHold: this.#hold.isOn,
      states: this.#states.lines,
      bytes: this.signatures,
    });
    this.send(text);
    if (action) this.#act(action, connection);
  }

  #act(action: Action, connection: Connection): void {
    switch (action.type) {
      case 'release':
        if (this.#hold.release()) this.#dialServer(100);
        return;
      case 'hold again':
        this.#sayHold();
        return;
      case 'close':
        connection.hangUp();
        return;
      case 'restart':
        this.restart(action.signal);
        return;
      case 'end':
        if (!this.#hold.isOn) this.#states.change('EXITING', action.signal);
        this.#end();
        return;
      case 'count bytes':
        connection.countBytes(action.seconds * 1000, () => {
          if (this.#states.now !== 'CONNECTED' || this.pending) return;
          this.send(`>BYTECOUNT:${this.signatures},${this.signatures}\r\n`);
        });
    }
  }

  #beginSignature(name: string, connection: Connection): void {
    if (this.pending && !this.isStuck) {
      connection.block = [];
      return;
    }
    if (!this.#late.mayCome(connection.peer) && !this.isStuck)
      kernel().violate(`${this.name}: an answer to what nobody asked`);
    this.#late.take();
    this.send(`ERROR: The ${name} command is not currently available\r\n`);
  }

  #takeSignature(signature: Buffer, writtenAt: number): void {
    const { pending } = this;
    // it has restarted meanwhile
    if (!pending) return;
    this.pending = undefined;
    this.send(`SUCCESS: ${signName(pending.line)} command succeeded\r\n`);
    if (signature.length === 0) {
      this.#say('gets an empty block');
      kernel().count('empty block');
      this.options.onEmpty(this, pending);
      this.#fail('tls-error');
      return;
    }
    const fits = ({ isSignedBy }: SignRequest): boolean =>
      this.options.keys().some((key) => isSignedBy(signature, key));
    if (fits(pending.request)) {
      this.#say('gets its signature');
      kernel().count('signature');
      this.signatures += 1;
      this.options.onSignature(pending, signature, writtenAt);
      if (this.#isTunnelUp) this.#goOn();
      else
        this.#later(this.#random.between(5, 150), () => {
          this.#comeUp();
        });
      return;
    }
    const late = this.#late.takeBefore(pending, writtenAt, ({ request }) => fits(request));
    if (late) {
      this.options.onSignature(late, signature, writtenAt);
      this.#say('gets the signature of before');
      // its own is still to come
      this.#late.expect(pending);
    } else kernel().violate(`${this.name}: a signature that does not verify`);
    this.#fail('tls-error');
  }

  #comeUp(): void {
    this.#isTunnelUp = true;
    this.#hold.failures = 0;
    this.#states.change('CONNECTED', 'SUCCESS', '', '192.0.2.1', '1194');
    this.#goOn();
  }

  /** Up to the next renegotiation. */
  #goOn(): void {
    for (const [line] of SECRETS) if (this.#random.chance(0.2)) this.send(`${line}\r\n`);
    this.#shake(this.#random.between(200, this.interval));
  }
}
