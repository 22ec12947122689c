import { describe, expect, test } from 'vitest';
import { Places } from '../../../../src/management/relay/places.ts';
import { RelayClient } from '../../../../src/management/relay/relay-client.ts';

type Shown = Partial<Record<'awaitsAnswer' | 'inputEnded' | 'greeted', boolean>>;
/** As much of a client as its place depends on. */
const client = (shown: Shown = {}): RelayClient =>
  Object.create(
    RelayClient.prototype,
    Object.getOwnPropertyDescriptors({ awaitsAnswer: false, inputEnded: false, greeted: false, ...shown }),
  ) as RelayClient;
const many = (count: number, shown?: Shown): RelayClient[] => Array.from({ length: count }, () => client(shown));

describe('who owes the password', () => {
  test('has one of a few places, of which the oldest goes', () => {
    const places = new Places();
    const first = many(32);
    for (const each of first) expect(places.takeStranger(each)).toBeUndefined();
    const [late, later] = many(2);
    if (!late || !later) throw new TypeError('none');
    expect(places.takeStranger(late)).toBe(first[0]);
    expect(places.takeStranger(later)).toBe(first[1]);
    expect(places.all).toEqual([...first.slice(2), late, later]);
    expect(places.clients.size).toBe(0);
  });

  test('keeps it while it awaits the answer', () => {
    const places = new Places();
    const waiting = many(31, { awaitsAnswer: true });
    const silent = client();
    for (const each of [...waiting, silent]) places.takeStranger(each);
    const next = client({ awaitsAnswer: true });
    expect(places.takeStranger(next)).toBe(silent);
    const last = client();
    expect(places.takeStranger(last)).toBe(last);
    expect(places.all).toEqual([...waiting, next]);
  });

  test('gives it back when it has given the password, or leaves', () => {
    const places = new Places();
    const [one, two] = many(2);
    if (!one || !two) throw new TypeError('none');
    places.takeStranger(one);
    places.takeStranger(two);
    expect(places.admit(one)).toBeUndefined();
    expect(places.all).toEqual([two, one]);
    places.leave(two);
    expect(places.all).toEqual([one]);
    places.leave(one);
    expect(places.all).toEqual([]);
  });
});

describe('who may be connected', () => {
  const filled = (...first: readonly RelayClient[]): Places => {
    const places = new Places();
    for (const each of [...first, ...many(500 - first.length)]) expect(places.admit(each)).toBeUndefined();
    return places;
  };

  test('is one of so many, and all others are turned away', () => {
    const places = filled(client({ greeted: true }), client({ greeted: true, inputEnded: true }));
    const late = client();
    expect(places.admit(late)).toBe(late);
    expect(places.clients.size).toBe(500);
    expect(places.clients).not.toContain(late);
  });

  test('goes where it has sent all, and waits for a daemon still', () => {
    const left = many(2, { inputEnded: true });
    const places = filled(client(), ...left);
    const late = client();
    expect(places.admit(late)).toBe(left[0]);
    expect([...places.clients].at(-1)).toBe(late);
    expect(places.clients).not.toContain(left[0]);
    expect(places.clients.size).toBe(500);
  });
});
