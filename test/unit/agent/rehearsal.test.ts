import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import type { AgentEvent } from '../../../src/agent/events.ts';
import type * as Rehearsal from '../../../src/agent/rehearsal.ts';
import { rehearse } from '../../../src/agent/rehearsal.ts';
import { SYSTEM_CLOCK } from '../../../src/clock.ts';
import type { Settings } from '../../../src/config/settings.ts';
import type { ManagementAddress } from '../../../src/management/index.ts';
import { FakeListener, GREETING } from '../../support/fake-daemon.ts';
import { processSurroundings } from './process-surroundings.ts';

vi.mock('../../../src/agent/rehearsal.ts', async (original) => {
  const { rehearse: real } = await original<typeof Rehearsal>();
  return { rehearse: vi.fn(real) };
});

const never = (): AbortSignal => new AbortController().signal;
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });

describe('a rehearsal', () => {
  test.each<[string, KeyObject]>([
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey],
    ['P-256', P256.publicKey],
    ['P-521', generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey],
    ['Ed25519', generateKeyPairSync('ed25519').publicKey],
    ['Ed448', generateKeyPairSync('ed448').publicKey],
  ])('for %s has its requests answered', async (_, publicKey) => {
    expect(await rehearse(publicKey, SYSTEM_CLOCK, never())).toBeGreaterThanOrEqual(2);
  });

  test('breaks off when there is something to do', async () => {
    expect(await rehearse(P256.publicKey, SYSTEM_CLOCK, AbortSignal.abort())).toBe(0);
    const all = await rehearse(P256.publicKey, SYSTEM_CLOCK, never());
    const busy = new AbortController();
    const some = rehearse(P256.publicKey, SYSTEM_CLOCK, busy.signal);
    for (let turn = 0; turn < 3; turn += 1) await nextTurn();
    busy.abort();
    expect(await some).toBeLessThan(all);
  });
});

describe('an agent', () => {
  let folder: string;
  let events: AgentEvent[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pksigd-rehearsal-'));
    const pem = P256.privateKey.export({ format: 'pem', type: 'pkcs8' });
    for (const name of ['a', 'b']) writeFileSync(join(folder, name), pem, { mode: 0o600 });
    events = [];
    vi.mocked(rehearse).mockClear();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function open(...addresses: ManagementAddress[]): Promise<Agent> {
    const key = (name: string) => ({ copies: [join(folder, name)], allowReadable: false, waitForToken: false });
    const settings: Settings = {
      keys: { a: key('a'), b: key('b') },
      tunnels: Object.fromEntries(
        addresses.map((address, index) => [
          `${index}`,
          { address, listen: false, key: index === 0 ? 'a' : 'b', maxDaemons: 1, onTokenRemoval: 'none' },
        ]),
      ),
      tokens: {
        modules: { environment: {}, showOutput: false },
        pins: { allowCommand: false, useFinalTry: false },
        deadline: 10_000,
      },
    };
    return await Agent.open(settings, processSurroundings(folder, events), never());
  }
  const nobody = (name: string): ManagementAddress => ({ kind: 'unix', path: join(folder, name) });

  test('rehearses once for all keys of a kind, and tells nothing of it', async () => {
    await using agent = await open(nobody('x'), nobody('y'));
    await agent.served();
    await agent.rehearse();
    expect(rehearse).toHaveBeenCalledTimes(1);
    const told = events.map(({ type }) => type);
    expect(told).toContain('key-ready');
    for (const type of ['daemon-connected', 'daemon-held', 'request-received', 'request-done', 'daemon-state'])
      expect(told).not.toContain(type);
  });

  test('does not where a daemon was there before', async () => {
    const listener = await FakeListener.start();
    try {
      await using agent = await open(listener.address);
      (await listener.next()).say(GREETING);
      await expect.poll(() => events.map(({ type }) => type)).toContain('daemon-connected');
      await agent.rehearse();
      expect(rehearse).not.toHaveBeenCalled();
    } finally {
      await listener.stop();
    }
  });
});
