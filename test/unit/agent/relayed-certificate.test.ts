import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import type { TunnelEvent } from '../../../src/agent/events.ts';
import { ServedDaemon } from '../../../src/agent/served-daemon.ts';
import { certificatePem } from '../../../src/keyfile/pem.ts';
import type { OpenedKey } from '../../../src/keys/open-key.ts';
import { Relay } from '../../../src/management/index.ts';
import { withResolvers } from '../../../src/promises.ts';
import type { FakeDaemon } from '../../support/fake-daemon.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { ManagementUser } from '../../support/management-user.ts';
import { FakeKey } from '../keys/fake-key.ts';
import { setUp } from '../management/pair.ts';
import { FakeClock } from './fake-clock.ts';

const { pair } = setUp();
const PAIR = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { certificate } = makeCertificate({ subject: [['CN', 'jane']], key: PAIR.privateKey });
const ASKED = '>NEED-CERTIFICATE:office\r\n';
const ACCEPTED = 'SUCCESS: certificate command succeeded\r\n';
const BLOCK = `certificate\n${certificatePem(certificate)}END\n`;
const PATIENTLY = { timeout: 120_000 };

interface Bed extends AsyncDisposable {
  readonly daemon: FakeDaemon;
  readonly user: ManagementUser;
  readonly join: () => Promise<ManagementUser>;
  readonly served: ServedDaemon;
  readonly events: TunnelEvent[];
  /** The key has one from now on. @returns how to have it chosen, which is slow */
  readonly certify: () => { readonly choose: () => void };
}

/** A daemon whose key has no certificate so far. */
async function bed(): Promise<Bed> {
  const relay = await Relay.listen({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, rights: 'all' });
  const { client, daemon } = await pair();
  const opened: OpenedKey = {
    signer: new FakeKey(PAIR, () => Buffer.alloc(0)),
    certificates: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  let choice: OpenedKey | Promise<OpenedKey> = opened;
  const events: TunnelEvent[] = [];
  const served = new ServedDaemon(client, {
    ...{ gates: [], key: () => Promise.resolve(opened), deadline: 60_000, clock: new FakeClock(), relay },
    signal: new AbortController().signal,
    emit: (event) => events.push(event),
    choose: async () => ({ opened, certificates: (await choice).certificates }),
  });
  void served.serve();
  const join = (): Promise<ManagementUser> => ManagementUser.open(relay.address);
  const user = await join();
  return {
    ...{ daemon, user, join, served, events },
    certify: () => {
      const { promise, resolve } = withResolvers<OpenedKey>();
      choice = promise;
      return {
        choose: () => {
          resolve({ ...opened, certificates: [certificate] });
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      user.close();
      await relay.close();
    },
  };
}

test('the question that the relay’s clients were asked is over when the agent answers it after all', async () => {
  await using all = await bed();
  const { daemon, user, served } = all;
  daemon.say(ASKED);
  await user.hear(ASKED);
  all.certify().choose();
  await served.renewCertificate(false);
  await daemon.hear(BLOCK);
  daemon.say(ACCEPTED);
  const late = await all.join();
  await late.hear('\r\n'); // the greeting
  daemon.say('>INFO:later\r\n');
  expect(await late.hear('later\r\n')).toBe('>INFO:later\r\n');
  await user.hear('later\r\n');
  expect(await user.ask('certificate')).toBe('ERROR: The certificate command is not currently available\r\n');
  late.close();
});

test('the agent gives none where a client was faster', async () => {
  await using all = await bed();
  const { daemon, user, served } = all;
  daemon.say(ASKED);
  await user.hear(ASKED);
  const { choose } = all.certify();
  await served.renewCertificate(false);
  user.say(BLOCK);
  await daemon.hear(BLOCK);
  choose();
  daemon.say(ACCEPTED);
  await user.hear(ACCEPTED);
  expect(await answered(all)).not.toContain('certificate');
});

test('a daemon in its hold is given none: it asks anew behind it', async () => {
  await using all = await bed();
  const { daemon, user, served, events } = all;
  daemon.say(ASKED);
  await user.hear(ASKED);
  daemon.say('>HOLD:Waiting for hold release:1000\r\n');
  await expect.poll(() => events.some(({ type }) => type === 'daemon-held'), PATIENTLY).toBe(true);
  all.certify().choose();
  await served.renewCertificate(false);
  expect(await answered(all)).not.toContain('certificate');
  daemon.say(ASKED);
  await daemon.hear(BLOCK);
});

/** What the daemon has got until a client's command comes to it. */
async function answered({ daemon, user }: Bed): Promise<string> {
  // until all that was begun has been written
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  user.say('pid\n');
  const heard = await daemon.hear('pid\n');
  daemon.say('SUCCESS: pid=1\r\n');
  return heard;
}
