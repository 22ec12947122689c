import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import type { TunnelEvent } from '../../../src/agent/events.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { eventLine } from '../../../src/telemetry/event-lines.ts';
import type { Line } from '../../../src/telemetry/limited-log.ts';
import type { Gate } from '../../../src/agent/gate.ts';
import type { TunnelAnswers } from '../../../src/agent/questions/tunnel-answers.ts';
import { Pace } from '../../../src/agent/pace.ts';
import { ServedDaemon } from '../../../src/agent/served-daemon.ts';
import type { Relay } from '../../../src/management/index.ts';
import { type CloseReason, type ManagementClient } from '../../../src/management/index.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import type { RawSignature, Signer } from '../../../src/signing/signer.ts';
import type { FakeDaemon } from '../../support/fake-daemon.ts';
import { setUp } from '../management/pair.ts';
import { FakeClock } from './fake-clock.ts';
import { CERTIFICATE } from '../keys/certificate.ts';

const { pair } = setUp();
const PAIR = generateKeyPairSync('ed25519');
export const HOLD = '>HOLD:Waiting for hold release:0\r\n';
export const ACKNOWLEDGED = 'SUCCESS: pk-sign command succeeded\r\n';
/** How often a flooding daemon says a thing: enough for whatever takes quadratic time. */
export const MANY = 40_000;

/** What is told at once, so that the test knows that all before it was taken. */
export const LAST_OF_ALL = ">PASSWORD:Need 'Auth' username/password\r\n";
export const PATIENTLY = { timeout: 120_000 };

const data = (text: string): string => Buffer.from(text).toString('base64');
export const request = (text: string): string => `>PK_SIGN:${data(text)},ED25519,data=message\r\n`;
export const block = (text: string): string =>
  `pk-sig\n${(
    sign(null, Buffer.from(text), PAIR.privateKey)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\nEND\n`;

export interface Call {
  readonly text: string;
  readonly signal: AbortSignal | undefined;
  readonly finish: () => void;
}

/** A token that signs when the test says so. */
export class SlowSigner implements Signer {
  readonly name = 'slow';
  readonly publicKey: KeyObject = PAIR.publicKey;
  readonly certificates: readonly [] = [];
  readonly calls: Call[] = [];
  #heard: () => void = () => undefined;

  sign({ tbs }: SignatureRequest, signal?: AbortSignal): Promise<RawSignature> {
    return new Promise((resolve) => {
      const finish = (): void => {
        resolve({ bytes: sign(null, tbs, PAIR.privateKey), mechanism: 'test' });
      };
      this.calls.push({ text: tbs.toString(), signal, finish });
      this.#heard();
    });
  }

  /** Waits for the call of that number, from 0 on. */
  async call(index: number): Promise<Call> {
    for (;;) {
      const call = this.calls[index];
      if (call !== undefined) return call;
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
  }

  canSign(): boolean {
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // nothing to let go of
  }
}

export interface Bed {
  readonly client: ManagementClient;
  readonly daemon: FakeDaemon;
  readonly signer: SlowSigner;
  readonly clock: FakeClock;
  readonly served: Promise<CloseReason>;
  /** The lines that its events make, without those for debugging. */
  readonly logged: Line[];
  readonly events: TunnelEvent[];
  /** Makes the key ready. */
  readonly openKey: () => void;
  readonly stop: AbortController;
}

/** A daemon that is served with a key that is not ready. */
export async function bed(
  relay?: Relay,
  gates: readonly Gate[] = [],
  answersOf?: (clock: FakeClock) => TunnelAnswers,
  paced?: 'paced',
): Promise<Bed> {
  const { client, daemon } = await pair({ maxHeld: 4 * 1024 * 1024 });
  const signer = new SlowSigner();
  const clock = new FakeClock();
  const logged: Line[] = [];
  const events: TunnelEvent[] = [];
  const emit = (event: TunnelEvent): void => {
    events.push(event);
    const line = eventLine({ tunnel: 't', ...event });
    if (line && line.level !== 'debug') logged.push(line);
  };
  const stop = new AbortController();
  let openKey = (): void => undefined;
  const key = new Promise<OpenedKey>((resolve) => {
    openKey = () => {
      const certificates = [new X509Certificate(CERTIFICATE)];
      resolve({ signer, certificates, [Symbol.asyncDispose]: () => Promise.resolve() });
    };
  });
  const answers = answersOf?.(clock);
  const pace = paced && new Pace(clock);
  const options = { gates, pace, key: () => key, deadline: 60_000, signal: stop.signal, emit, clock, relay, answers };
  const servedDaemon = new ServedDaemon(client, options);
  const served = servedDaemon.serve();
  stop.signal.addEventListener('abort', () => {
    servedDaemon.stop();
  });
  return { client, daemon, signer, clock, served, logged, events, openKey, stop };
}
