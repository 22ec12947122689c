// Clients of a relay: what they ask, in whatever order, and what they must not get.
import type { RelayRights } from '../../src/management/index.ts';
import { kernel } from './kernel.ts';
import { Random } from './random.ts';
import { connectToAgent, type Peer } from './wire.ts';

/** What only some may see, by the daemon's own words. */
export const SECRETS: readonly (readonly [line: string, right: RelayRights])[] = [
  ['>PASSWORD:Auth-Token:secret-of-a-session', 'operate'],
  ['>INFOMSG:WEB_AUTH::https://secret.example/', 'operate'],
  ['>CLIENT:CR_RESPONSE,1,1,c2VjcmV0', 'all'],
];
const RIGHTS: readonly RelayRights[] = ['read', 'operate', 'all'];
const mayWith = (rights: RelayRights, needed: RelayRights): boolean => RIGHTS.indexOf(needed) <= RIGHTS.indexOf(rights);

interface Question {
  readonly send: string;
  readonly right: RelayRights | 'nobody';
  /** How its answer begins, and whether it goes on up to END, or how many lines it has. */
  readonly answer: RegExp;
  readonly isBlock?: boolean;
  readonly lines?: number;
  /** Lines of the errors that it gets where it may not. */
  readonly errors?: number;
}

const QUESTIONS: readonly Question[] = [
  { send: 'pid\n', right: 'read', answer: /^SUCCESS: pid=\d+$/ },
  { send: 'verb\n', right: 'read', answer: /^SUCCESS: verb=3$/ },
  { send: 'status\n', right: 'read', answer: /^OpenVPN STATISTICS$/, isBlock: true },
  { send: 'state\n', right: 'read', answer: /^\d+,[A-Z]+,/, isBlock: true },
  { send: 'help\n', right: 'read', answer: /^Management Interface for /, isBlock: true },
  { send: 'state on\n', right: 'read', answer: /^SUCCESS: real-time state notification set to ON$/ },
  { send: 'hold\n', right: 'operate', answer: /^SUCCESS: hold=/ },
  { send: 'hold release\n', right: 'operate', answer: /^SUCCESS: hold release succeeded$/ },
  { send: 'signal SIGUSR1\n', right: 'operate', answer: /^SUCCESS: signal SIGUSR1 thrown$/ },
  { send: 'signal SIGTERM\n', right: 'all', answer: /^SUCCESS: signal SIGTERM thrown$/ },
  { send: 'test 3\n', right: 'all', answer: /^\[0\] The purpose of this command/, lines: 3 },
  { send: 'test 7\n', right: 'all', answer: /^\[0\] The purpose of this command/, lines: 7 },
  { send: 'pk-sig\nAAAA\nEND\n', right: 'nobody', answer: /^$/, errors: 3 },
  { send: 'rsa-sig\nAAAA\nEND\n', right: 'nobody', answer: /^$/, errors: 3 },
];

export class Visitor {
  readonly #name: string;
  readonly #rights: RelayRights;
  readonly #random: Random;
  readonly #peer: Peer;
  #text = '';
  #isGreeted = false;
  /** Which answer is due is known. */
  #isSure = true;
  readonly #asked: Question[] = [];
  /** Of the answer that has begun: how many lines are yet to come. */
  #rest = 0;

  private constructor(name: string, rights: RelayRights, random: Random, peer: Peer) {
    this.#name = name;
    this.#rights = rights;
    this.#random = random;
    this.#peer = peer;
    peer.onData = (bytes) => {
      this.#hear(bytes);
    };
    this.#act();
  }

  static come(path: string, rights: RelayRights, manner: number): void {
    const peer = connectToAgent({ path });
    if (!peer) return;
    kernel().count('visit');
    new Visitor(`visitor${manner % 1000}`, rights, new Random(manner), peer);
  }

  #act(): void {
    const random = this.#random;
    for (let left = random.between(1, 12), at = 0; left > 0; left -= 1) {
      at += random.between(0, 600);
      kernel().after(at, () => {
        this.#ask();
      });
      if (left > 1) continue;
      const isPolite = random.chance(0.5);
      kernel().after(at + random.between(0, 4_000), () => {
        if (isPolite) this.#peer.close();
        else this.#peer.reset();
      });
    }
  }

  #ask(): void {
    if (this.#peer.isOver || !this.#isGreeted) return;
    const random = this.#random;
    if (random.chance(0.1)) {
      // half of a block that nobody ends, and what could be taken for its end
      this.#asked.push({ send: 'pk-sig\nAAAA\n', right: 'nobody', answer: /^$/, errors: 2 });
      this.#peer.send('pk-sig\nAAAA\n');
      kernel().after(1, () => {
        this.#peer.reset();
      });
      return;
    }
    for (let left = random.between(1, 3); left > 0; left -= 1) {
      const question = random.pick(QUESTIONS);
      this.#asked.push(question);
      this.#peer.send(question.send);
    }
  }

  #violate(what: string): void {
    kernel().violate(`${this.#name} with the right '${this.#rights}' ${what}`);
  }

  #hear(bytes: Buffer): void {
    this.#text += bytes.toString('latin1');
    for (;;) {
      const at = this.#text.indexOf('\n');
      if (at < 0) return;
      const line = this.#text.slice(0, at).replace(/\r$/, '');
      this.#text = this.#text.slice(at + 1);
      if (line.startsWith('>')) this.#notified(line);
      else this.#answered(line);
    }
  }

  #notified(line: string): void {
    if (line.startsWith('>INFO:OpenVPN')) {
      // of what it asked the daemon of before, some may be answered by the new one
      this.#isSure = !this.#isGreeted;
      this.#isGreeted = true;
    }
    if (/^>(?:PK_SIGN|RSA_SIGN|NEED-CERTIFICATE)/.test(line)) this.#violate(`sees ${line.slice(0, 20)}`);
    for (const [secret, right] of SECRETS)
      if (line === secret && !mayWith(this.#rights, right)) this.#violate(`sees ${secret.slice(0, 30)}`);
  }

  #answered(line: string): void {
    if (!this.#isSure) return;
    kernel().count('answer to a visitor');
    const [question] = this.#asked;
    if (this.#rest > 0) {
      this.#rest = line === 'END' && this.#rest === Number.POSITIVE_INFINITY ? 0 : this.#rest - 1;
      if (this.#rest === 0) this.#asked.shift();
      return;
    }
    if (!question) {
      this.#violate(`gets an answer that it did not ask for: ${line}`);
      return;
    }
    const { right, answer, send, isBlock = false, lines = 1, errors = 1 } = question;
    const isDenied = right === 'nobody' || !mayWith(this.#rights, right);
    if (line.startsWith('ERROR:')) {
      this.#rest = errors - 1;
      if (this.#rest === 0) this.#asked.shift();
      return;
    }
    if (isDenied) this.#violate(`is not refused ${JSON.stringify(send)}: ${line}`);
    else if (!answer.test(line)) this.#violate(`asked ${JSON.stringify(send)}, and gets ${line}`);
    this.#rest = isBlock ? Number.POSITIVE_INFINITY : lines - 1;
    if (this.#rest === 0) this.#asked.shift();
  }
}
