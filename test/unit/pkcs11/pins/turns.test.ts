import { beforeEach, expect, test } from 'vitest';
import { Turns } from '../../../../src/pkcs11/pins/turns.ts';
import { settle } from '../fake-modules.ts';

let turns: Turns;
/** `a`: it began, `-a`: it ended. */
let happened: string[];
let ends: Map<string, () => void>;

beforeEach(() => {
  turns = new Turns();
  happened = [];
  ends = new Map();
});

const end = (what: string): void => ends.get(what)?.();

async function take(what: string, name = 'card'): Promise<boolean> {
  return await turns.take(name, async (waited) => {
    happened.push(what);
    await new Promise<void>((resolve) => ends.set(what, resolve));
    happened.push(`-${what}`);
    return waited;
  });
}

test('one follows the other, whenever it came, and knows whether it waited', async () => {
  const [a, b] = [take('a'), take('b')];
  await settle();
  expect(happened).toEqual(['a']);
  end('a');
  await settle();
  expect(happened).toEqual(['a', '-a', 'b']);
  const c = take('c');
  await settle();
  expect(happened).toEqual(['a', '-a', 'b']);
  end('b');
  await settle();
  end('c');
  expect(await Promise.all([a, b, c])).toEqual([false, true, true]);
  const d = take('d');
  await settle();
  end('d');
  expect(await d).toBe(false);
  expect(happened).toEqual(['a', '-a', 'b', '-b', 'c', '-c', 'd', '-d']);
});

test('what goes by another name waits for nobody', async () => {
  const all = [take('a'), take('b', 'other')];
  await settle();
  expect(happened).toEqual(['a', 'b']);
  end('a');
  end('b');
  expect(await Promise.all(all)).toEqual([false, false]);
});

test('one that fails lets the next have its turn', async () => {
  const failing = turns.take('card', () => Promise.reject(new Error('it failed')));
  const next = take('a');
  await expect(failing).rejects.toThrow('it failed');
  await settle();
  end('a');
  expect(await next).toBe(true);
});
