import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { ManagementClient } from '../management/index.ts';
import { keyKind, type KeyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { sampleRequests, type SampleRequest } from '../signing/sample-requests.ts';
import { ServedDaemon } from './served-daemon.ts';

/** Connections that are played. More of them make little difference, but the heap grow: six take 6 MB more than two. */
const ROUNDS = 2;
const ASKS_WITH = new Set(['SHA256', undefined]);
const DEADLINE = 10_000;

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const HOLD = '>HOLD:Waiting for hold release:0\r\n';
const STATES = '1700000000,CONNECTING,,,,,,\r\nEND\r\n>STATE:1700000000,AUTH,,,,,,\r\n';

/** A daemon in this process, which asks for signatures and wants none of them. */
class PlayedDaemon extends Duplex {
  readonly #requests: string[];
  /** Answers that it got. */
  answers = 0;

  constructor(requests: readonly string[]) {
    super();
    this.#requests = [...requests];
    this.push(GREETING);
  }

  override _read(): void {
    // it speaks when it is spoken to
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
    // a turn of the event loop for each step: whatever is real comes in between
    setImmediate(() => {
      if (!this.destroyed) this.#hear(chunk.toString('latin1'));
    });
  }

  /** As a socket's. */
  destroySoon(): void {
    this.destroy();
  }

  #hear(command: string): void {
    if (command.startsWith('version ')) this.push(HOLD);
    else if (command.startsWith('hold ')) this.push('SUCCESS: hold release succeeded\r\n');
    else if (command.startsWith('state ')) this.#ask(`SUCCESS: real-time state notification set to ON\r\n${STATES}`);
    else {
      this.answers += 1;
      this.#ask('SUCCESS: pk-sig command succeeded\r\n');
    }
  }

  #ask(before: string): void {
    const request = this.#requests.shift();
    this.push(request === undefined ? before : `${before}>PK_SIGN:${request}\r\n`);
    if (request === undefined) this.destroy();
  }
}

/** What stands in for the real key: that one is not touched. */
interface Understudy {
  readonly publicKey: KeyObject;
  readonly sign: (request: SignatureRequest) => Buffer;
}

const edwardsKey = (type: 'ED25519' | 'ED448') =>
  type === 'ED448' ? generateKeyPairSync('ed448') : generateKeyPairSync('ed25519');

/** RSA keys take too long to make: a signature that the real public key refuses is verified as any other is. */
function understudyOf(kind: KeyKind, publicKey: KeyObject, samples: readonly SampleRequest[]): Understudy {
  if (kind.type === 'RSA') return { publicKey, sign: () => Buffer.alloc(kind.modulusBytes, 1) };
  const made = kind.type === 'EC' ? generateKeyPairSync('ec', { namedCurve: kind.curve }) : edwardsKey(kind.type);
  // the digests are this one's
  const message = samples.find(({ request }) => request.message)?.request.message ?? Buffer.alloc(0);
  const hash = kind.type === 'EC' ? 'sha256' : null;
  return {
    publicKey: made.publicKey,
    sign: () => sign(hash, message, { key: made.privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

/**
 * Serves a daemon that is not there, with a key that is not the real one. What runs for the first time takes several times as
 * long as later, and a tunnel's first signature is what a person waits for: so the first times are had before.
 * @param publicKey the real key's
 * @param signal aborts as soon as there is something to do
 * @returns how many requests were answered
 */
export async function rehearse(publicKey: KeyObject, clock: Clock, signal: AbortSignal): Promise<number> {
  const kind = keyKind(publicKey);
  const samples = sampleRequests(kind).filter(({ hash }) => ASKS_WITH.has(hash));
  const understudy = understudyOf(kind, publicKey, samples);
  const key: OpenedKey = {
    signer: {
      name: 'rehearsal',
      publicKey: understudy.publicKey,
      certificates: [],
      sign: async (request) => Promise.resolve({ bytes: understudy.sign(request), mechanism: 'rehearsal' }),
      canSign: () => true,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
    certificates: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const requests = samples.map(({ name, request }) => `${request.tbs.toString('base64')},${name}`);
  let answers = 0;
  for (let round = 0; round < ROUNDS && !signal.aborted; round += 1) {
    const daemon = new PlayedDaemon(requests);
    const end = (): void => {
      daemon.destroy();
    };
    signal.addEventListener('abort', end, { once: true });
    // it has all of a socket that a connection uses
    const client = new ManagementClient(daemon as unknown as Socket, 'rehearsal', { clientVersion: 3 });
    const service = { key: () => Promise.resolve(key), deadline: DEADLINE, signal, emit: () => undefined, clock };
    await new ServedDaemon(client, service).serve();
    signal.removeEventListener('abort', end);
    answers += daemon.answers;
  }
  return answers;
}
