import { beforeEach, describe, expect, test } from 'vitest';
import type { Neighbours } from '../../../../src/pkcs11/token/recovery.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import { TokenWatch, type WatchedSession } from '../../../../src/pkcs11/token/watch.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { ckr, FakeModules, fakeToken, PATH, settle, type FakeModule } from '../fake-modules.ts';

const TOKEN = fakeToken('card');

/** A session that notes what it is told to do. */
class FakeSession implements WatchedSession {
  isInUse = false;
  isAway = false;
  isResting = false;
  absences = 0;
  readonly notes: string[] = [];
  readonly modules = new FakeModules(TOKEN);
  host: FakeModule | undefined;
  #session = '';

  async open(): Promise<OpenSession> {
    this.notes.push('open');
    this.host = await this.modules.get(PATH);
    const session = this.host.sessions.has(this.#session)
      ? this.#session
      : await this.host.call('openSession', { slot: TOKEN.slot });
    this.#session = session;
    this.isAway = false;
    return { host: this.host, session, token: TOKEN, mechanisms: new Set(), epoch: this.host.epoch };
  }

  recover(step: string): Promise<void> {
    this.notes.push(step);
    return Promise.resolve();
  }

  /** What a look takes. */
  seconds = 0;

  see(): void {
    clock.pass(this.seconds);
  }

  lose(): void {
    if (this.isAway) return;
    this.isAway = true;
    this.absences++;
    this.notes.push('lost');
  }
}

let session: FakeSession;
let clock: FakeClock;
let neighbours: Neighbours;
let watch: TokenWatch;

beforeEach(() => {
  session = new FakeSession();
  clock = new FakeClock();
  neighbours = 'alone';
  watch = new TokenWatch(session, clock, () => neighbours);
});

async function passing(seconds: number): Promise<string[]> {
  clock.pass(seconds);
  await settle();
  return session.notes.splice(0);
}

describe('looking', () => {
  test('at the interval, from one look to the next', async () => {
    watch.setInterval(2_000);
    expect(await passing(1.9)).toEqual([]);
    expect(await passing(0.1)).toEqual(['open']);
    expect(await passing(1.9)).toEqual([]);
    expect(await passing(0.1)).toEqual(['open']);
  });

  test('takes a slow token a twentieth of its time at most, and never rests for longer than a minute', async () => {
    watch.setInterval(2_000);
    session.seconds = 1;
    expect(await passing(2)).toEqual(['open']);
    expect(await passing(19.9)).toEqual([]);
    session.seconds = 10;
    expect(await passing(0.1)).toEqual(['open']);
    expect(await passing(59.9)).toEqual([]);
    session.seconds = 0;
    expect(await passing(0.1)).toEqual(['open']);
    expect(await passing(2)).toEqual(['open']);
  });

  test('another interval holds at once, and none ends it', async () => {
    watch.setInterval(60_000);
    watch.setInterval(1_000);
    expect(await passing(1)).toEqual(['open']);
    watch.setInterval(undefined);
    expect(await passing(1_000)).toEqual([]);
  });

  test('without an interval there is none', async () => {
    watch.setInterval(undefined);
    expect(await passing(1_000)).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  test('not while the session is in use: the request finds out by itself', async () => {
    session.isInUse = true;
    await watch.look();
    expect(session.notes).toEqual([]);
  });
});

describe('a token that is there', () => {
  test('costs two calls', async () => {
    await session.open();
    session.modules.take();
    await watch.look();
    expect(session.modules.take()).toEqual(['1 tokens', '1 sessionInfo']);
  });

  test('is looked for in its own slot alone, since each one takes its time', async () => {
    await session.open();
    const host = await session.modules.get(PATH);
    const asked: unknown[] = [];
    const call = host.call.bind(host);
    host.call = (name, params) => {
      asked.push(params);
      return call(name, params);
    };
    await watch.look();
    expect(asked[0]).toEqual({ slot: TOKEN.slot });
  });

  test('that was pulled is lost', async () => {
    await session.open();
    session.modules.tokens = [];
    session.modules.fail('openSession', ckr('CKR_TOKEN_NOT_PRESENT', 'C_OpenSession'));
    session.host?.sessions.clear();
    session.notes.length = 0;
    await watch.look();
    expect(session.notes).toEqual(['open', 'reopen the session', 'open', 'lost']);
  });

  test.each([
    ['from whose slot it was taken', []],
    ['in whose slot another one lies', [{ ...fakeToken('other'), slot: TOKEN.slot }]],
    ['that lies in another slot', [{ ...TOKEN, slot: '99' }]],
  ])('%s is looked for anew', async (_, tokens) => {
    await session.open();
    session.modules.tokens = tokens;
    session.notes.length = 0;
    await watch.look();
    expect(session.notes.slice(0, 2)).toEqual(['open', 'reopen the session']);
  });

  test('whose session ended is opened anew, and not lost', async () => {
    session.modules.fail('sessionInfo', ckr('CKR_SESSION_HANDLE_INVALID', 'C_GetSessionInfo'), 1);
    await watch.look();
    expect(session.notes).toEqual(['open', 'reopen the session', 'open']);
  });

  test('that fails while a request has begun is left to the request', async () => {
    session.modules.fail('tokens', ckr('CKR_DEVICE_ERROR', 'C_GetSlotList'));
    const look = watch.look();
    session.isInUse = true;
    await look;
    expect(session.notes).toEqual(['open']);
  });

  test('in a process that grew too large keeps it while something is under way in it', async () => {
    session.modules.rss = 600 * 1024 * 1024;
    const host = await session.modules.get(PATH);
    host.pending = 1;
    await watch.look();
    expect(host.isAlive).toBe(true);
    host.pending = 0;
    await watch.look();
    expect(host.isAlive).toBe(false);
  });

  test('in a process that grew too large gets a new one', async () => {
    session.modules.rss = 600 * 1024 * 1024;
    await watch.look();
    expect(session.host?.stopReason).toBe('was replaced: it grew to 629145600 bytes');
  });
});

describe('a token that is away', () => {
  beforeEach(() => {
    session.isAway = true;
    session.modules.tokens = [];
  });

  const polls = async (count: number): Promise<string[]> => {
    for (let poll = 0; poll < count; poll++) await watch.look();
    return session.notes.splice(0).filter((note) => note !== 'open');
  };

  test('is polled for by the rules, and told of no more', async () => {
    expect(await polls(4)).toEqual([
      'reopen the session',
      'finalize and initialize the module',
      'start a new module host',
      'finalize and initialize the module',
    ]);
    neighbours = 'in use';
    expect(new Set(await polls(10))).toEqual(new Set(['reopen the session']));
  });

  test('that comes back is watched on; polls count anew', async () => {
    await polls(2);
    session.modules.tokens = [TOKEN];
    expect(await polls(2)).toEqual(['start a new module host']);
    expect(session.isAway).toBe(false);
    session.isAway = true;
    session.absences++;
    expect(await polls(1)).toEqual(['reopen the session']);
  });

  test('that a request found, and that went away again before the next look, counts anew too', async () => {
    await polls(2);
    session.absences++;
    expect(await polls(1)).toEqual(['reopen the session']);
  });
});
