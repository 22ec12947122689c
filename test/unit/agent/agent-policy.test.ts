import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import type { AgentEvent } from '../../../src/agent/events.ts';
import {
  DEFAULT_POLICY,
  type KeySettings,
  type PolicySettings,
  type Settings,
  type TunnelSettings,
} from '../../../src/config/settings.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { clientVerify } from '../../support/client-verify.ts';
import { HANDSHAKES_CA } from '../../support/handshakes.ts';
import { FakeListener, GREETING, type FakeDaemon } from '../../support/fake-daemon.ts';
import { processSurroundings } from './process-surroundings.ts';

const LATER = { timeout: 120_000 };

let folder: string;
let events: AgentEvent[];
let listeners: FakeListener[];
let stop: AbortController;
let agents: Agent[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-policy-'));
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 });
  events = [];
  listeners = [];
  stop = new AbortController();
  agents = [];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()));
  await Promise.all(listeners.map((listener) => listener.stop()));
  rmSync(folder, { recursive: true });
});

async function open(
  policy: Partial<PolicySettings>,
  own: Partial<TunnelSettings> = {},
  key: Partial<KeySettings> = {},
): Promise<{ agent: Agent; settings: Settings; listener: FakeListener }> {
  const listener = await FakeListener.start();
  listeners.push(listener);
  const { address } = listener;
  const settings: Settings = {
    keys: {
      one: {
        copies: [join(folder, 'key.pem')],
        allowReadable: false,
        waitForToken: false,
        policy: { ...DEFAULT_POLICY, ...policy },
        ...key,
      },
    },
    tunnels: { office: { address, listen: false, key: 'one', maxDaemons: 1, onTokenRemoval: 'none', ...own } },
    tokens: {
      modules: { environment: {}, showOutput: false },
      pins: { allowCommand: false, useFinalTry: false },
      deadline: 10_000,
    },
  };
  const agent = await Agent.open(settings, processSurroundings(folder, events), stop.signal);
  agents.push(agent);
  return { agent, settings, listener };
}

async function greeted(listener: FakeListener): Promise<FakeDaemon> {
  const daemon = await listener.next();
  daemon.say(GREETING);
  return daemon;
}

/** @param data base64 @returns whether it was signed: else the block is empty */
async function ask(daemon: FakeDaemon, data = clientVerify('text')): Promise<boolean> {
  daemon.say(`>PK_SIGN:${data},ED25519,data=message\r\n`);
  const lines = await daemon.hearsBlock('pk-sig');
  daemon.say('SUCCESS: pk-sign command succeeded\r\n');
  return lines.length > 0;
}

const codes = (): unknown[] =>
  events.flatMap((event) =>
    event.type === 'request-done' && event.outcome.outcome === 'refused' ? [event.outcome.code] : [],
  );
const told = async (type: AgentEvent['type']): Promise<void> => {
  await vi.waitFor(() => {
    expect(events.map((event) => event.type)).toContain(type);
  }, LATER);
};

test('what the policy forbids is answered with an empty block, and told as refused', async () => {
  const { listener } = await open({});
  const daemon = await greeted(listener);
  expect(await ask(daemon, Buffer.from('a contract').toString('base64'))).toBe(false);
  expect(await ask(daemon)).toBe(true);
  expect(codes()).toEqual(['ERR_POLICY_CONTEXT']);
});

test("a tunnel has its own rate beside its key's", async () => {
  const { listener } = await open({ rate: { perMinute: 1, burst: 3 } }, { rate: { perMinute: 1, burst: 1 } });
  const daemon = await greeted(listener);
  expect(await ask(daemon)).toBe(true);
  expect(await ask(daemon)).toBe(false);
  expect(codes()).toEqual(['ERR_POLICY_RATE']);
});

describe('uses per connect', () => {
  test('are counted until the state of the daemon changes', async () => {
    const { listener } = await open({}, { usesPerConnect: 2 });
    const daemon = await greeted(listener);
    expect([await ask(daemon), await ask(daemon), await ask(daemon)]).toEqual([true, true, false]);
    daemon.say('>STATE:1700000000,AUTH,,,,,,\r\n');
    expect(await ask(daemon)).toBe(false);
    daemon.say('>STATE:1700000000,RECONNECTING,tls-error,,,,,\r\n');
    expect([await ask(daemon), await ask(daemon), await ask(daemon)]).toEqual([true, true, false]);
    expect(codes()).toEqual(['ERR_POLICY_USES', 'ERR_POLICY_USES', 'ERR_POLICY_USES']);
  });
});

describe('a lifetime', () => {
  test('ends the key; a reload opens it again', async () => {
    const { agent, listener, settings } = await open({ lifetime: 50 });
    const daemon = await greeted(listener);
    await told('key-expired');
    expect(await ask(daemon)).toBe(false);
    expect(codes()).toEqual(['ERR_POLICY_LIFETIME']);
    const ready = (): number => events.filter(({ type }) => type === 'key-ready').length;
    expect(ready()).toBe(1);
    await agent.apply(settings);
    await greeted(listener);
    await vi.waitFor(() => {
      expect(ready()).toBe(2);
    }, LATER);
  });

  test('ends what is not answered yet', async () => {
    const { listener } = await open({ lifetime: 1_000, confirm: 'sleep 1000' });
    const daemon = await greeted(listener);
    expect(await ask(daemon)).toBe(false);
    expect(codes()).toEqual(['ERR_POLICY_LIFETIME']);
  });

  test('that is long does not keep the agent from ending', async () => {
    const { agent, listener } = await open({ lifetime: 1_000_000_000 });
    expect(await ask(await greeted(listener))).toBe(true);
    await agent[Symbol.asyncDispose]();
  });
});

test('a lock refuses what is not answered yet, and all that waits behind it', async () => {
  const asked = join(folder, 'asked');
  const { agent, listener } = await open({ confirm: `echo >> '${asked}'; sleep 1000` }, { maxDaemons: 2 });
  const daemon = await greeted(listener);
  const answered = ask(daemon);
  await vi.waitFor(() => {
    expect(readFileSync(asked, 'utf8')).toBe('\n');
  }, LATER);
  await agent.lock(undefined);
  expect(await answered).toBe(false);
  expect(await ask(daemon)).toBe(false);
  expect(codes()).toEqual(['ERR_LOCKED', 'ERR_LOCKED']);
  expect(readFileSync(asked, 'utf8')).toBe('\n');
});

test("a reload takes a policy's file of CAs anew, and stays with the old one if that is broken", async () => {
  const serverCa = join(folder, 'ca.pem');
  copyFileSync(HANDSHAKES_CA, serverCa);
  const { agent, settings } = await open({ serverCa });
  await told('key-ready');
  const ready = (): number => events.filter(({ type }) => type === 'key-ready').length;
  await agent.apply(settings);
  expect(ready()).toBe(1);
  writeFileSync(serverCa, 'no certificate');
  await agent.apply(settings);
  expect(events).toContainEqual(expect.objectContaining({ type: 'key-kept', key: 'one', code: 'ERR_CONFIG' }));
  copyFileSync(HANDSHAKES_CA, serverCa);
  writeFileSync(serverCa, '\n', { flag: 'a' });
  await agent.apply(settings);
  await vi.waitFor(() => {
    expect(ready()).toBe(2);
  }, LATER);
});

describe("a reload takes a policy's file of CAs anew", () => {
  const changed = (path: string): void => {
    writeFileSync(path, '\n', { flag: 'a' });
  };

  test("when the key's certificate was taken over meanwhile", async () => {
    const [serverCa, certificate] = [join(folder, 'ca.pem'), join(folder, 'certificate.pem')];
    const key = createPrivateKey(readFileSync(join(folder, 'key.pem')));
    const renew = (): void => {
      writeFileSync(certificate, makeCertificate({ issuer: makeCertificate(), key }).certificate.toString());
    };
    copyFileSync(HANDSHAKES_CA, serverCa);
    renew();
    const { agent, settings } = await open({ serverCa }, {}, { certificate });
    await told('key-ready');
    const count = (type: AgentEvent['type']): number => events.filter((event) => event.type === type).length;
    renew();
    changed(serverCa);
    await agent.apply(settings);
    expect([count('certificate-changed'), count('key-ready')]).toEqual([1, 2]);
    renew();
    changed(serverCa);
    await agent.refreshCertificates();
    expect([count('certificate-changed'), count('key-ready')]).toEqual([2, 2]);
    await agent.apply(settings);
    expect(count('key-ready')).toBe(3);
    await agent.apply(settings);
    expect(count('key-ready')).toBe(3);
  });

  test('when the key was tried again meanwhile', async () => {
    const [serverCa, program, begun] = ['ca.pem', 'program', 'begun'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    copyFileSync(HANDSHAKES_CA, serverCa);
    writeFileSync(program, `#!/bin/sh\necho >> ${begun}\nexit 1\n`, { mode: 0o700 });
    const tries = (): number => (existsSync(begun) ? readFileSync(begun).length : 0);
    const { agent, settings } = await open({});
    await told('key-ready');
    const listener = await FakeListener.start();
    listeners.push(listener);
    const { one } = settings.keys;
    const { office } = settings.tunnels;
    if (!one || !office) throw new TypeError('none');
    const two = { ...one, copies: [`exec:${program}`], policy: { ...DEFAULT_POLICY, serverCa } };
    const home = { ...office, address: listener.address, key: 'two' };
    const both = { ...settings, keys: { one, two }, tunnels: { office, home } };
    await agent.apply(both);
    await vi.waitFor(() => {
      expect(waiting()).toBe(true);
    }, LATER);
    changed(serverCa);
    const before = tries();
    await agent.refreshCertificates();
    await vi.waitFor(() => {
      expect(tries()).toBeGreaterThan(before);
    }, LATER);
    expect((await agent.apply(both)).changed).toEqual(['home']);
  });

  const waiting = (): boolean =>
    events.some((event) => event.type === 'key-state' && event.name === 'two' && event.state === 'waiting');
});

test('a key whose policy names a file that is not there is not opened', async () => {
  const { agent } = await open({ serverCa: join(folder, 'not-there.pem') });
  await expect(agent.key('one')).rejects.toMatchObject({ code: 'ERR_CONFIG_NOT_FOUND' });
});
