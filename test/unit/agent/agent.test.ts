import { getEventListeners } from 'node:events';
import { generateKeyPairSync, sign } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import type { AgentEvent } from '../../../src/agent/events.ts';
import type { Surroundings } from '../../../src/agent/surroundings.ts';
import type { KeySettings, Settings, TunnelSettings } from '../../../src/config/settings.ts';
import { AgentError } from '../../../src/errors.ts';
import { FakeListener, GREETING, type FakeDaemon } from '../../support/fake-daemon.ts';
import { FakeClock } from './fake-clock.ts';
import { processSurroundings } from './process-surroundings.ts';
import { clientVerify } from '../../support/client-verify.ts';

const PAIR = generateKeyPairSync('ed25519');

let folder: string;
let events: AgentEvent[];
let daemons: FakeListener[];
let stop: AbortController;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-agent-'));
  const pem = PAIR.privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 });
  events = [];
  daemons = [];
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  rmSync(folder, { recursive: true });
});

const surroundings = (): Surroundings => processSurroundings(folder, events);

const keyIn = (name = 'key.pem'): KeySettings => ({
  copies: [join(folder, name)],
  allowReadable: false,
  waitForToken: false,
});

/** A daemon that listens, and the tunnel to it. */
async function tunnel(key = 'one'): Promise<{ listener: FakeListener; settings: TunnelSettings }> {
  const listener = await FakeListener.start();
  daemons.push(listener);
  const { address } = listener;
  return { listener, settings: { address, listen: false, key, maxDaemons: 1, onTokenRemoval: 'none' } };
}

function settings(keys: Settings['keys'], tunnels: Settings['tunnels'] = {}): Settings {
  const modules = { environment: {}, showOutput: false };
  return { keys, tunnels, tokens: { modules, pins: { allowCommand: false, useFinalTry: false }, deadline: 10_000 } };
}

async function open(what: Settings): Promise<Agent> {
  return await Agent.open(what, surroundings(), stop.signal);
}

/** Asks for a signature as a daemon does, and takes the answer. */
async function ask(daemon: FakeDaemon, text: string): Promise<void> {
  daemon.say(`>PK_SIGN:${clientVerify(text)},ED25519,data=message\r\n`);
  const lines =
    sign(null, Buffer.from(clientVerify(text), 'base64'), PAIR.privateKey)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  const block = ['pk-sig', ...lines, 'END', ''].join('\n');
  expect(await daemon.hear('END\n')).toContain(block);
  daemon.say('SUCCESS: pk-sign command succeeded\r\n');
}

async function greeted(listener: FakeListener): Promise<FakeDaemon> {
  const daemon = await listener.next();
  daemon.say(GREETING);
  return daemon;
}

describe('tunnels of one agent', () => {
  test('are served beside each other, and end alone', async () => {
    const [a, b] = [await tunnel(), await tunnel()];
    await using agent = await open(settings({ one: keyIn() }, { a: a.settings, b: b.settings }));
    const [first, second] = [await greeted(a.listener), await greeted(b.listener)];
    await ask(first, 'first');
    await ask(second, 'second');
    await agent.stopTunnel('a');
    expect(first.ended || (await first.gone().then(() => true))).toBe(true);
    await ask(second, 'still');
    expect(events.filter(({ type }) => type === 'key-ready')).toHaveLength(1);
  });

  test('can be added and changed while others are served', async () => {
    const [a, b, c] = [await tunnel(), await tunnel(), await tunnel()];
    await using agent = await open(settings({ one: keyIn() }, { a: a.settings }));
    const first = await greeted(a.listener);
    await agent.startTunnel('b', b.settings);
    await ask(await greeted(b.listener), 'added');
    await agent.changeTunnel('b', c.settings);
    await ask(await greeted(c.listener), 'changed');
    await ask(first, 'undisturbed');
    await expect(agent.startTunnel('b', b.settings)).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test('whose key is of no use end; the others do not', async () => {
    const [a, b] = [await tunnel('none'), await tunnel('one')];
    writeFileSync(join(folder, 'no-key.pem'), 'nothing', { mode: 0o600 });
    await using agent = await open(
      settings({ none: keyIn('no-key.pem'), one: keyIn() }, { a: a.settings, b: b.settings }),
    );
    const other = await greeted(b.listener);
    await expect(agent.key('none')).rejects.toMatchObject({ code: 'ERR_KEY_FILE' });
    await ask(other, 'other');
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'tunnel-failed', tunnel: 'a', code: 'ERR_KEY_FILE' }),
    );
    stop.abort();
    await agent.ended();
  });

  test('whose key is not there yet wait for it, as long as others are served', async () => {
    const [a, b] = [await tunnel('late'), await tunnel('one')];
    const clock = new FakeClock();
    await using agent = await Agent.open(
      settings({ late: keyIn('late.pem'), one: keyIn() }, { a: a.settings, b: b.settings }),
      { ...surroundings(), clock },
      stop.signal,
    );
    const [late, other] = [await greeted(a.listener), await greeted(b.listener)];
    await ask(other, 'other');
    const isTold = (type: AgentEvent['type']): boolean => events.some((event) => event.type === type);
    await expect.poll(() => isTold('trouble')).toBe(true);
    expect(events).toContainEqual(
      expect.objectContaining({
        trouble: 'key-not-open',
        details: expect.objectContaining({ key: 'late', code: 'ERR_KEY_NOT_FOUND' }) as unknown,
      }),
    );
    expect(await agent.served()).toBe(true);
    copyFileSync(join(folder, 'key.pem'), join(folder, 'late.pem'));
    clock.pass(2);
    await agent.key('late');
    await ask(late, 'late');
    expect(isTold('tunnel-failed')).toBe(false);
    expect(events).toContainEqual(expect.objectContaining({ type: 'trouble-over', subject: 'opening' }));
  });

  test('whose keys wait end as soon as nothing else is left', async () => {
    const [a, b] = [await tunnel('late'), await tunnel('none')];
    writeFileSync(join(folder, 'no-key.pem'), 'nothing', { mode: 0o600 });
    await using agent = await open(
      settings({ late: keyIn('late.pem'), none: keyIn('no-key.pem') }, { a: a.settings, b: b.settings }),
    );
    await expect(agent.ended()).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
    expect(await agent.served()).toBe(false);
  });

  test('whose key waits have it tried again at once by a reload', async () => {
    const [a, b, c] = [await tunnel('late'), await tunnel('one'), await tunnel('one')];
    const keys = { late: keyIn('late.pem'), one: keyIn() };
    const tunnels = { a: a.settings, b: b.settings };
    const around = surroundings();
    let tries = 0;
    const during = async <Result>(_: boolean, __: string, work: () => Promise<Result>): Promise<Result> => {
      tries += 1;
      return await work();
    };
    await using agent = await Agent.open(
      settings(keys, tunnels),
      { ...around, clock: new FakeClock(), terminal: { ...around.terminal, during } },
      stop.signal,
    );
    await expect.poll(() => events.some(({ type }) => type === 'trouble')).toBe(true);
    expect(tries).toBe(2);
    await agent.apply(settings(keys, { ...tunnels, c: c.settings }));
    await expect.poll(() => tries).toBe(3);
    // again and again: one that comes while it is tried has nothing to hurry
    const refreshed = async (): Promise<number> => {
      await agent.refreshCertificates();
      return tries;
    };
    await expect.poll(refreshed).toBeGreaterThan(3);
    // left alone it ends with the agent
    const ended = agent.ended();
    await agent.apply(settings({ late: keys.late }, { a: a.settings }));
    await expect(ended).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
  });

  test('of which none has a key end with the reason', async () => {
    const [a, b] = [await tunnel('none'), await tunnel('none')];
    await using agent = await open(settings({ none: keyIn('missing.pem') }, { a: a.settings, b: b.settings }));
    await expect(agent.ended()).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
  });

  test('all end at the signal, when the request under way is answered', async () => {
    const a = await tunnel();
    await using agent = await open(settings({ one: keyIn() }, { a: a.settings }));
    const daemon = await greeted(a.listener);
    await ask(daemon, 'last');
    stop.abort();
    await agent.ended();
    await daemon.gone();
  });
});

describe('a stop', () => {
  test('while tunnels start leaves none behind, and none can be started any more', async () => {
    const [a, b] = [await tunnel(), await tunnel()];
    await using agent = await open(settings({ one: keyIn() }));
    const both = await Promise.allSettled([agent.startTunnel('x', a.settings), agent.startTunnel('x', b.settings)]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    agent.stop();
    await agent.ended();
    await expect(agent.startTunnel('y', b.settings)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  test('takes the agent off the signal that it was given', async () => {
    const before = getEventListeners(stop.signal, 'abort').length;
    for (let times = 0; times < 3; times += 1) await (await open(settings({ one: keyIn() })))[Symbol.asyncDispose]();
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(before);
  });

  test('whoever asks for its end gets it once all is closed, the audit log last', async () => {
    const audit = { file: join(folder, 'audit.log'), sync: 'each', onFailure: 'refuse' } as const;
    const agent = await open({ ...settings({ one: keyIn() }), audit });
    const ends = [1, 2].map(async () => {
      await agent[Symbol.asyncDispose]();
      return events.at(-1)?.type;
    });
    expect(await Promise.all(ends)).toEqual(['audit-closed', 'audit-closed']);
  });

  test('while a key is opened closes it as soon as it is open', async () => {
    const around = surroundings();
    let goOn = (): void => undefined;
    const during = async <Result>(_: boolean, __: string, work: () => Promise<Result>): Promise<Result> => {
      await new Promise<void>((resolve) => (goOn = resolve));
      return await work();
    };
    await using agent = await Agent.open(
      settings({ one: keyIn() }),
      { ...around, terminal: { ...around.terminal, during } },
      stop.signal,
    );
    const key = agent.key('one');
    await agent.stopKey('one');
    goOn();
    await expect(key).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(events.map(({ type }) => type)).toEqual(['key-state', 'key-given-up']);
  });
});

describe('keys of one agent', () => {
  test('are not stopped while a tunnel uses them', async () => {
    const a = await tunnel();
    await using agent = await open(settings({ one: keyIn() }, { a: a.settings }));
    await greeted(a.listener);
    await expect(agent.stopKey('one')).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await agent.stopTunnel('a');
    await agent.stopKey('one');
    await expect(agent.key('one')).rejects.toMatchObject({ code: 'ERR_USAGE' });
    agent.startKey('one', keyIn());
    await agent.startTunnel('a', a.settings);
    await ask(await greeted(a.listener), 'again');
  });

  test('have names of their own, and tunnels name one that is there', async () => {
    await using agent = await open(settings({ one: keyIn() }));
    expect(() => {
      agent.startKey('one', keyIn());
    }).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    const { settings: other } = await tunnel('two');
    await expect(agent.startTunnel('a', other)).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });
});

describe('an agent that can not start', () => {
  const listeningAt = async (path: string): Promise<TunnelSettings> => ({
    ...(await tunnel()).settings,
    address: { kind: 'unix', path },
    listen: true,
  });

  test('leaves nothing behind: no tunnel listens, no key is opened', async () => {
    const path = join(folder, 'm.sock');
    const listening = await listeningAt(path);
    const daemon = await FakeListener.start(path);
    await expect(open(settings({ one: keyIn() }, { a: listening, b: listening }))).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_IN_USE',
    });
    expect(events).toEqual([]);
    await daemon.stop();
    await using agent = await open(settings({ one: keyIn() }, { a: listening }));
    await agent.key('one');
  });

  test('all of its tunnels starts the others, and tells which one it can not', async () => {
    const path = join(folder, 'm.sock');
    const other = await tunnel();
    const broken = { name: 'c', error: new AgentError('ERR_CONFIG', 'c.ovpn is broken') };
    const daemon = await FakeListener.start(path);
    await using agent = await open({
      ...settings({ one: keyIn() }, { a: await listeningAt(path), b: other.settings }),
      broken: [broken],
    });
    await ask(await greeted(other.listener), 'the other');
    expect(events.filter(({ type }) => type === 'tunnel-failed')).toEqual([
      expect.objectContaining({ tunnel: 'c', code: 'ERR_CONFIG' }),
      expect.objectContaining({ tunnel: 'a', code: 'ERR_MANAGEMENT_IN_USE' }),
    ]);
    await agent.key('one');
    await daemon.stop();
  });

  test('told to stop before: ERR_ABORTED, and no key is opened', async () => {
    stop.abort();
    await expect(open(settings({ one: keyIn() }, { a: (await tunnel()).settings }))).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
    expect(events).toEqual([]);
  });
});
