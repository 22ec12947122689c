import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import type { AgentEvent } from '../../../src/agent/events.ts';
import type { KeySettings, Settings, TunnelSettings } from '../../../src/config/settings.ts';
import { AgentError } from '../../../src/errors.ts';
import { FakeListener, GREETING, type FakeDaemon } from '../../support/fake-daemon.ts';
import { processSurroundings } from './process-surroundings.ts';
import { clientVerify } from '../../support/client-verify.ts';

let folder: string;
let events: AgentEvent[];
let listeners: FakeListener[];
let stop: AbortController;
let agent: Agent;

function writeKey(name: string): KeyObject {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(join(folder, name), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  return publicKey;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-apply-'));
  events = [];
  listeners = [];
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await agent[Symbol.asyncDispose]();
  await Promise.all(listeners.map((listener) => listener.stop()));
  rmSync(folder, { recursive: true });
});

const keyIn = (name: string): KeySettings => ({
  copies: [join(folder, name)],
  allowReadable: false,
  waitForToken: false,
});

async function tunnel(key = 'one'): Promise<{ listener: FakeListener; settings: TunnelSettings }> {
  const listener = await FakeListener.start();
  listeners.push(listener);
  const { address } = listener;
  return { listener, settings: { address, listen: false, key, maxDaemons: 1, onTokenRemoval: 'none' } };
}

function settings(
  keys: Settings['keys'],
  tunnels: Settings['tunnels'],
  { deadline = 10_000, useFinalTry = false } = {},
): Settings {
  const modules = { environment: {}, showOutput: false };
  return { keys, tunnels, tokens: { modules, pins: { allowCommand: false, useFinalTry }, deadline } };
}

async function open(what: Settings): Promise<void> {
  agent = await Agent.open(what, processSurroundings(folder, events), stop.signal);
}

async function greeted(listener: FakeListener): Promise<FakeDaemon> {
  const daemon = await listener.next();
  daemon.say(GREETING);
  return daemon;
}

/** Has a signature made: the daemon is served. */
async function served(daemon: FakeDaemon): Promise<string> {
  daemon.say(`>PK_SIGN:${clientVerify('text')},ED25519,data=message\r\n`);
  const lines = await daemon.hearsBlock('pk-sig');
  daemon.say('SUCCESS: pk-sign command succeeded\r\n');
  return lines.join('');
}

const told = (type: AgentEvent['type']): AgentEvent[] => events.filter((event) => event.type === type);
const reloads = (): object[] => told('reloaded').map(({ type, ...counts }) => (type === 'reloaded' ? counts : {}));

describe('other settings', () => {
  test('add, change and remove tunnels; one that is the same keeps its connection', async () => {
    writeKey('one.pem');
    const [same, changed, removed, added] = [await tunnel(), await tunnel(), await tunnel(), await tunnel()];
    const keys = { one: keyIn('one.pem') };
    await open(settings(keys, { same: same.settings, changed: changed.settings, removed: removed.settings }));
    const [kept, first, gone] = [
      await greeted(same.listener),
      await greeted(changed.listener),
      await greeted(removed.listener),
    ];
    await served(kept);

    const difference = await agent.apply(
      settings(
        { ...keys },
        {
          same: { ...same.settings },
          changed: { ...changed.settings, onTokenRemoval: 'restart' },
          added: added.settings,
        },
      ),
    );
    expect(difference).toEqual({ added: ['added'], changed: ['changed'], removed: ['removed'] });
    expect(reloads()).toEqual([{ added: 1, changed: 1, removed: 1, unchanged: 1, keys: 0 }]);
    await Promise.all([first.gone(), gone.gone()]);
    await served(await greeted(changed.listener));
    await served(await greeted(added.listener));
    expect(kept.ended).toBe(false);
    await served(kept);
    expect(told('key-ready')).toHaveLength(1);
    expect(told('daemon-connected').filter((event) => 'tunnel' in event && event.tunnel === 'same')).toHaveLength(1);
  });

  test('that are the same change nothing', async () => {
    writeKey('one.pem');
    const one = await tunnel();
    const make = (): Settings => settings({ one: keyIn('one.pem') }, { one: { ...one.settings } });
    await open(make());
    const daemon = await greeted(one.listener);
    await served(daemon);
    await agent.apply(make());
    await agent.apply(make());
    expect(reloads()).toEqual(Array(2).fill({ added: 0, changed: 0, removed: 0, unchanged: 1, keys: 0 }));
    await served(daemon);
  });

  test('of keys: whose tunnels change with them, and no others', async () => {
    for (const name of ['one.pem', 'two.pem', 'three.pem']) writeKey(name);
    const [a, b] = [await tunnel('one'), await tunnel('two')];
    const tunnels = { a: a.settings, b: b.settings };
    await open(settings({ one: keyIn('one.pem'), two: keyIn('two.pem') }, tunnels));
    const [first, second] = [await greeted(a.listener), await greeted(b.listener)];
    const before = await served(first);
    await served(second);
    await agent.apply(settings({ one: keyIn('three.pem'), two: keyIn('two.pem') }, tunnels));
    expect(reloads()).toEqual([{ added: 0, changed: 1, removed: 0, unchanged: 1, keys: 1 }]);
    await first.gone();
    expect(await served(await greeted(a.listener))).not.toBe(before);
    await served(second);
  });

  test('of the deadline change nothing that runs', async () => {
    writeKey('one.pem');
    const one = await tunnel();
    const [keys, tunnels] = [{ one: keyIn('one.pem') }, { one: one.settings }];
    await open(settings(keys, tunnels));
    const daemon = await greeted(one.listener);
    await agent.apply(settings(keys, tunnels, { deadline: 20_000 }));
    expect(reloads()).toEqual([{ added: 0, changed: 0, removed: 0, unchanged: 1, keys: 0 }]);
    await served(daemon);
  });

  test('of tokens change all', async () => {
    writeKey('one.pem');
    const [a, b] = [await tunnel(), await tunnel()];
    const [keys, tunnels] = [{ one: keyIn('one.pem') }, { a: a.settings, b: b.settings }];
    await open(settings(keys, tunnels));
    const daemons = [await greeted(a.listener), await greeted(b.listener)];
    await agent.apply(settings(keys, tunnels, { useFinalTry: true }));
    expect(reloads()).toEqual([{ added: 0, changed: 2, removed: 0, unchanged: 0, keys: 1 }]);
    await Promise.all(daemons.map((daemon) => daemon.gone()));
    await served(await greeted(a.listener));
  });

  test('may remove all tunnels, and the keys with them; then others come', async () => {
    writeKey('one.pem');
    const [a, b] = [await tunnel(), await tunnel('two')];
    await open(settings({ one: keyIn('one.pem') }, { a: a.settings }));
    const daemon = await greeted(a.listener);
    await agent.apply(settings({}, {}));
    await daemon.gone();
    await expect(agent.key('one')).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await agent.apply(settings({ two: keyIn('one.pem') }, { b: b.settings }));
    await served(await greeted(b.listener));
  });
});

describe('files of keys', () => {
  test('that say something else are read anew, under the connections that there are', async () => {
    writeKey('one.pem');
    const one = await tunnel();
    const same = settings({ one: keyIn('one.pem') }, { one: one.settings });
    await open(same);
    const daemon = await greeted(one.listener);
    const before = await served(daemon);
    writeKey('one.pem');
    await agent.apply(same);
    expect(told('key-changed')).toEqual([expect.objectContaining({ name: 'one' })]);
    expect(reloads()).toEqual([{ added: 0, changed: 0, removed: 0, unchanged: 1, keys: 0 }]);
    expect(await served(daemon)).not.toBe(before);
  });

  test('that are of no use leave the key as it is, until they are', async () => {
    writeKey('one.pem');
    const one = await tunnel();
    const same = settings({ one: keyIn('one.pem') }, { one: one.settings });
    await open(same);
    const daemon = await greeted(one.listener);
    const before = await served(daemon);
    writeFileSync(join(folder, 'one.pem'), 'nonsense', { mode: 0o600 });
    await agent.apply(same);
    expect(told('key-kept')).toEqual([expect.objectContaining({ key: 'one', code: 'ERR_KEY_FILE' })]);
    expect(await served(daemon)).toBe(before);
    writeKey('one.pem');
    await agent.apply(same);
    expect(await served(daemon)).not.toBe(before);
  });
});

describe('what failed', () => {
  test('is tried again: a key whose file was mended, a socket that was in use', async () => {
    writeKey('one.pem');
    writeFileSync(join(folder, 'two.pem'), 'nothing', { mode: 0o600 });
    const path = join(folder, 'm.sock');
    const [a, b, c] = [await tunnel(), await tunnel('two'), await tunnel()];
    const holder = await FakeListener.start(path);
    const listening: TunnelSettings = { ...c.settings, address: { kind: 'unix', path }, listen: true };
    const same = settings(
      { one: keyIn('one.pem'), two: keyIn('two.pem') },
      { a: a.settings, b: b.settings, c: listening },
    );
    await open(same);
    const daemon = await greeted(a.listener);
    await served(daemon);
    await expect(agent.key('two')).rejects.toMatchObject({ code: 'ERR_KEY_FILE' });
    expect(told('tunnel-failed')).toHaveLength(2);
    writeKey('two.pem');
    await holder.stop();
    await agent.apply(same);
    expect(reloads()).toEqual([{ added: 1, changed: 1, removed: 0, unchanged: 1, keys: 1 }]);
    // the tunnel that ended may have been connected for a moment
    for (let isServed = false; !isServed; ) {
      const other = await greeted(b.listener);
      isServed = await Promise.race([served(other).then(() => true), other.gone().then(() => false)]);
    }
    await served(daemon);
  });

  test('and waits is tried again: a key whose file has come, and which is as it was then', async () => {
    writeKey('one.pem');
    const [a, b] = [await tunnel(), await tunnel('two')];
    const same = settings({ one: keyIn('one.pem'), two: keyIn('two.pem') }, { a: a.settings, b: b.settings });
    await open(same);
    await expect.poll(() => told('trouble')).toHaveLength(1);
    const waiting = await greeted(b.listener);
    writeKey('two.pem');
    // by itself
    await served(waiting);
    expect(told('tunnel-failed')).toEqual([]);
    await agent.apply(same);
    expect(reloads()).toEqual([{ added: 0, changed: 0, removed: 0, unchanged: 2, keys: 0 }]);
    await served(waiting);
  });

  test('in its .ovpn stays as it runs, with its key', async () => {
    writeKey('one.pem');
    const [a, b] = [await tunnel(), await tunnel('two')];
    await open(settings({ one: keyIn('one.pem') }, { a: a.settings }));
    const daemon = await greeted(a.listener);
    const error = new AgentError('ERR_CONFIG', 'a.ovpn has no management directive');
    await agent.apply({
      ...settings({ two: keyIn('one.pem') }, { b: b.settings }),
      broken: [{ name: 'a', error }],
    });
    expect(told('tunnel-failed')).toEqual([expect.objectContaining({ tunnel: 'a', code: 'ERR_CONFIG' })]);
    await served(daemon);
    await served(await greeted(b.listener));
  });
});

test('a tunnel whose request is under way keeps no other from changing', async () => {
  writeKey('one.pem');
  const [slow, quick] = [await tunnel(), await tunnel()];
  const keys = { one: keyIn('one.pem') };
  await open(settings(keys, { slow: slow.settings, quick: quick.settings }));
  const waiting = await greeted(slow.listener);
  await served(await greeted(quick.listener));
  // answered, but not acknowledged: the stop waits for that
  waiting.say(`>PK_SIGN:${Buffer.from('text').toString('base64')},ED25519,data=message\r\n`);
  await waiting.hearsBlock('pk-sig');
  const changed = (one: TunnelSettings): TunnelSettings => ({ ...one, onTokenRemoval: 'restart' });
  const applied = agent.apply(settings(keys, { slow: changed(slow.settings), quick: changed(quick.settings) }));
  await served(await greeted(quick.listener));
  expect(reloads()).toEqual([]);
  waiting.say('SUCCESS: pk-sign command succeeded\r\n');
  await applied;
  await served(await greeted(slow.listener));
});

test.each([
  ['a tunnel gets another name', ['a'], ['b']],
  ['tunnels swap their relays', ['a', 'b'], ['b', 'a']],
])('%s: its relay is there again, though the last request is under way', async (_, before, after) => {
  writeKey('one.pem');
  const tunnels = await Promise.all(before.map(() => tunnel()));
  const relayAt = (index: number): string => join(folder, `relay${index}.sock`);
  const named = (names: readonly string[]): Settings['tunnels'] =>
    Object.fromEntries(
      tunnels.map((each, index) => {
        const address = { kind: 'unix', path: relayAt(index) } as const;
        return [names[index] ?? '', { ...each.settings, relay: { address, rights: 'read', keep: false } }];
      }),
    );
  const keys = { one: keyIn('one.pem') };
  await open(settings(keys, named(before)));
  const [waiting, ...others] = await Promise.all(tunnels.map(({ listener }) => greeted(listener)));
  for (const daemon of others) await served(daemon);
  waiting?.say(`>PK_SIGN:${clientVerify('text')},ED25519,data=message\r\n`);
  await waiting?.hearsBlock('pk-sig');
  const applied = agent.apply(settings(keys, named(after)));
  const listened = (path: string): number =>
    told('relay-listening').filter((event) => 'relay' in event && event.relay === path).length;
  await expect.poll(() => [told('tunnel-failed'), listened(relayAt(0))]).toEqual([[], 2]);
  waiting?.say('SUCCESS: pk-sign command succeeded\r\n');
  await applied;
  expect(told('tunnel-failed')).toEqual([]);
  expect(tunnels.map((_each, index) => listened(relayAt(index)))).toEqual(tunnels.map(() => 2));
});

test('a stop while settings are applied leaves nothing running', async () => {
  writeKey('one.pem');
  const [a, b] = [await tunnel(), await tunnel()];
  await open(settings({ one: keyIn('one.pem') }, { a: a.settings }));
  await greeted(a.listener);
  const applied = agent.apply(settings({ one: keyIn('one.pem') }, { b: b.settings }));
  stop.abort();
  await applied;
  await agent.ended();
  expect(told('tunnel-failed')).toEqual([]);
});

test('an agent that was told to stop takes no other settings: no key is opened for them', async () => {
  writeKey('one.pem');
  writeKey('two.pem');
  const only = await tunnel();
  await open(settings({ one: keyIn('one.pem') }, { only: only.settings }));
  await served(await greeted(only.listener));
  stop.abort();
  await expect(agent.apply(settings({ one: keyIn('two.pem') }, { only: only.settings }))).rejects.toMatchObject({
    code: 'ERR_ABORTED',
  });
  expect(told('reloaded')).toEqual([]);
  expect(told('key-ready')).toHaveLength(1);
});
