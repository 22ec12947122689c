import { describe, expect, test } from 'vitest';
import { Secret } from '../../../../src/management/index.ts';
import type { Clock } from '../../../../src/clock.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { GREETING } from '../../../support/fake-daemon.ts';
import { relays } from './relayed.ts';

const relayed = relays();
const PROMPT = 'ENTER PASSWORD:';

/** A clock that stands still until it is turned on. */
class TestClock implements Clock {
  #now = 0;
  #due: { readonly at: number; readonly milliseconds: number; readonly call: () => void }[] = [];
  #wake: () => void = () => undefined;
  readonly delays: number[] = [];

  readonly now = (): number => this.#now;
  readonly after = (milliseconds: number, call: () => void): (() => void) => {
    const entry = { at: this.#now + milliseconds, milliseconds, call };
    this.#due.push(entry);
    this.delays.push(milliseconds);
    this.#wake();
    return () => {
      this.#due = this.#due.filter((each) => each !== entry);
    };
  };

  turn(milliseconds: number): void {
    this.#now += milliseconds;
    const due = this.#due.filter(({ at }) => at <= this.#now);
    this.#due = this.#due.filter(({ at }) => at > this.#now);
    for (const { call } of due) call();
  }

  /** Settles when `count` answers, the waits of 30 s for a password left out, are waited for. */
  async waits(count: number): Promise<void> {
    while (this.#due.filter(({ milliseconds }) => milliseconds < 30_000).length < count)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}

function withPassword(clock: Clock): ReturnType<typeof relayed> {
  return relayed({ password: new Secret('sesame'), clock });
}

describe('who does not know the password', () => {
  test('is sent away after 30 s', async () => {
    const clock = new TestClock();
    const { user, events } = await withPassword(clock);
    const a = await user(PROMPT);
    const b = await user(PROMPT);
    b.say('sesame\n');
    await b.hear(GREETING);
    clock.turn(29_999);
    expect(events.map(({ type }) => type)).toEqual(['connected']);
    clock.turn(1);
    await a.gone();
    expect(events.at(-1)).toEqual({ type: 'dropped', client: '#1', reason: 'it gave no password within 30 s' });
    // who gave it stays
    b.say('exit\n');
    await b.gone();
    expect(events.at(-1)).toEqual({ type: 'disconnected', client: '#2' });
  });

  test('waits longer for each answer, on whatever connection, and so does who knows it', async () => {
    const clock = new TestClock();
    const { user } = await withPassword(clock);
    const delays: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const a = await user(PROMPT);
      for (const end of [PROMPT, PROMPT, undefined]) {
        a.say('guess\n');
        if (delays.length > 0 || round > 0 || a.all !== PROMPT) {
          await clock.waits(1);
          delays.push(clock.delays.at(-1) ?? 0);
          clock.turn(8_000);
        }
        if (end === undefined) await a.gone();
        else await a.hear(end);
      }
    }
    expect(delays.slice(0, 6)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000]);
    expect(new Set(delays.slice(6))).toEqual(new Set([8_000]));
    const right = await user(PROMPT);
    right.say('sesame\n');
    await clock.waits(1);
    expect(right.received).toBe('');
    clock.turn(8_000);
    await right.hear(`SUCCESS: password is correct\r\n${GREETING}`);
    // all is forgotten in time
    clock.turn(400_000);
    const later = await user(PROMPT);
    later.say('sesame\n');
    await later.hear(GREETING);
  });

  test('has to go where too many do not, which is told once in a while', async () => {
    const clock = new TestClock();
    const { relay, events } = await withPassword(clock);
    const strangers: ManagementUser[] = [];
    const come = async (): Promise<void> => {
      strangers.push(await ManagementUser.open(relay.address));
      await strangers.at(-1)?.hear(PROMPT);
    };
    for (let index = 0; index < 34; index += 1) await come();
    await Promise.all(strangers.slice(0, 2).map((each) => each.gone()));
    clock.turn(9_999);
    await come();
    const told = { type: 'refused', reason: 'too many others have not given the password' };
    expect(events).toEqual([{ ...told, client: '#1' }]);
    clock.turn(1);
    await come();
    expect(events).toEqual(['#1', '#4'].map((client) => ({ ...told, client })));
    for (const each of strangers) each.close();
  });

  test('is a matter of no event where nobody wants to be told', async () => {
    const clock = new TestClock();
    const { relay, user } = await relayed({ password: new Secret('sesame'), clock, onEvent: undefined });
    const strangers: ManagementUser[] = [];
    for (let index = 0; index < 33; index += 1) {
      strangers.push(await ManagementUser.open(relay.address));
      await strangers.at(-1)?.hear(PROMPT);
    }
    await strangers[0]?.gone();
    const right = await user(PROMPT);
    right.say('sesame\n');
    await right.hear(GREETING);
    clock.turn(30_000);
    await strangers.at(-1)?.gone();
    right.say('exit\n');
    await right.gone();
  });

  test('can not push out who awaits the answer', async () => {
    const clock = new TestClock();
    const { relay, user } = await withPassword(clock);
    const wrong = await user(PROMPT);
    wrong.say('guess\n');
    await wrong.hear(PROMPT);
    const right = await user(PROMPT);
    right.say('sesame\n');
    await clock.waits(1);
    const strangers: ManagementUser[] = [];
    for (let index = 0; index < 100; index += 1) strangers.push(await ManagementUser.open(relay.address));
    await wrong.gone();
    clock.turn(8_000);
    await right.hear(GREETING);
    for (const each of strangers) each.close();
  });
});
