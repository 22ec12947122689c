import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import { openRelay } from '../../../src/agent/open-relay.ts';
import type { Surroundings } from '../../../src/agent/surroundings.ts';
import { NETWORK } from '../../../src/agent/tunnel.ts';
import type { TunnelSettings } from '../../../src/config/settings.ts';
import { Secret } from '../../../src/secret.ts';
import { FakeDaemon, FakeListener, GREETING } from '../../support/fake-daemon.ts';
import { ManagementUser } from '../../support/management-user.ts';
import { processSurroundings } from './process-surroundings.ts';

const PASSWORD = 'open sesame';

let folder: string;
let stop: AbortController;
/** Those that were handed to the network. */
let given: Secret[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-passwords-'));
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 });
  writeFileSync(join(folder, 'pw'), `${PASSWORD}\n`, { mode: 0o600 });
  stop = new AbortController();
  given = [];
});
afterEach(() => {
  vi.restoreAllMocks();
  stop.abort();
  rmSync(folder, { recursive: true });
});

function surroundings(): Surroundings {
  const keep = (password: Secret | undefined): void => {
    if (password) given.push(password);
  };
  return {
    ...processSurroundings(folder, []),
    network: {
      ...NETWORK,
      connect: (address, options) => {
        keep(options?.password);
        return NETWORK.connect(address, options);
      },
      listen: (address, options) => {
        keep(options?.password);
        return NETWORK.listen(address, options);
      },
    },
  };
}

async function open(tunnel: Pick<TunnelSettings, 'address' | 'listen'>): Promise<Agent> {
  const modules = { environment: {}, showOutput: false };
  const settings = {
    ...tunnel,
    key: 'one',
    maxDaemons: 2,
    onTokenRemoval: 'none',
    password: join(folder, 'pw'),
  } as const;
  return await Agent.open(
    {
      keys: { one: { copies: [join(folder, 'key.pem')], allowReadable: false, waitForToken: false } },
      tunnels: { a: settings },
      tokens: { modules, pins: { allowCommand: false, useFinalTry: false }, deadline: 10_000 },
    },
    surroundings(),
    stop.signal,
  );
}

async function login(daemon: FakeDaemon): Promise<void> {
  daemon.say('ENTER PASSWORD:');
  await daemon.hear(`${PASSWORD}\n`);
  daemon.say(`SUCCESS: password is correct\r\n${GREETING}>HOLD:Waiting for hold release:0\r\n`);
  await daemon.hear('hold release\n');
}

const areZero = (): boolean => given.length > 0 && given.every(({ bytes }) => bytes.every((byte) => byte === 0));

describe('the management password is zeroed', () => {
  test('when the daemon that we connect to has greeted us', async () => {
    const listener = await FakeListener.start();
    await using agent = await open({ address: listener.address, listen: false });
    await login(await listener.next());
    expect(areZero()).toBe(true);
    await agent.stopTunnel('a');
    await listener.stop();
  });

  test('when nobody listens there', async () => {
    await using agent = await open({ address: { kind: 'unix', path: join(folder, 'd.sock') }, listen: false });
    while (!areZero()) await new Promise(setImmediate);
    await agent.stopTunnel('a');
  });

  test('when we listen no more, and not before', async () => {
    const address = { kind: 'unix', path: join(folder, 'd.sock') } as const;
    await using agent = await open({ address, listen: true });
    for (let left = 2; left > 0; left -= 1) {
      const daemon = await FakeDaemon.open(address.path);
      await login(daemon);
      daemon.close();
      await daemon.gone();
    }
    await agent.stopTunnel('a');
    expect(areZero()).toBe(true);
  });
});

test('the password of a relay is zeroed, and goes by its hash', async () => {
  const destroy = vi.spyOn(Secret.prototype, 'destroy');
  const address = { kind: 'unix', path: join(folder, 'r.sock') } as const;
  const settings = { address, password: join(folder, 'pw'), rights: 'read', keep: false } as const;
  const relay = await openRelay(settings, surroundings(), stop.signal);
  expect(destroy.mock.contexts).toMatchObject([{ length: PASSWORD.length }]);
  const user = await ManagementUser.open(address);
  await user.hear('ENTER PASSWORD:');
  user.say(`${PASSWORD}\n`);
  expect(await user.hear('\n')).toBe('SUCCESS: password is correct\r\n');
  await relay.close();
});
