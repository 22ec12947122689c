import { beforeEach, describe, expect, test } from 'vitest';
import {
  type NextSignature,
  SignAhead,
  type SigningModule,
} from '../../../../../src/pkcs11/host/process/sign-ahead.ts';

/** What a module was asked, and how it answers. */
let calls: string[];
let slotFlags: number;
let maxSessionCount: number;
let fails: string | undefined;

function asked(call: string): void {
  calls.push(call);
  if (call.startsWith(`${fails} `)) throw new Error(`${call} failed`);
}

let sessions: number;
const MODULE = {
  C_GetSlotInfo: () => ({ flags: slotFlags }),
  C_GetTokenInfo: () => ({ maxSessionCount }),
  C_OpenSession: (slot: Buffer) => {
    sessions += 1;
    asked(`open ${slot.toString()}`);
    return Buffer.from(String(sessions));
  },
  C_CloseSession: (session: Buffer) => {
    asked(`close ${session.toString()}`);
  },
  C_SignInit: (session: Buffer, _: number, key: Buffer) => {
    asked(`init ${session.toString()} ${key.toString()}`);
  },
  C_Sign: (session: Buffer) => {
    asked(`sign ${session.toString()}`);
    return Buffer.from('signature');
  },
} satisfies SigningModule<number>;

const next = (key: string, slot = 's'): NextSignature<number> => ({
  slot: Buffer.from(slot),
  key: Buffer.from(key),
  mechanism: 1,
  id: `${slot} ${key}`,
});
const ROOM = Buffer.alloc(64);

/** Asks for a signature as the host does. @returns whether it was ready */
function ask(ahead: SignAhead<number>, what: NextSignature<number>): boolean {
  const early = ahead.sign(what.id, Buffer.from('data'), ROOM);
  ahead.expect(what);
  ahead.prepare();
  return early !== undefined;
}

beforeEach(() => {
  calls = [];
  slotFlags = 1;
  maxSessionCount = 0;
  fails = undefined;
  sessions = 0;
});

describe('C_SignInit ahead', () => {
  test('is made once the same was asked for twice, in a session of its own', () => {
    const ahead = new SignAhead(MODULE);
    expect([next('k'), next('k'), next('k'), next('k')].map((what) => ask(ahead, what))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(calls).toEqual(['open s', 'init 1 k', 'sign 1', 'init 1 k', 'sign 1', 'init 1 k']);
  });

  test('is not made for keys that take turns; what was prepared for another one is given up with its session', () => {
    const ahead = new SignAhead(MODULE);
    for (const key of ['a', 'b', 'a', 'b']) expect(ask(ahead, next(key))).toBe(false);
    expect(calls).toEqual([]);
    ask(ahead, next('b'));
    for (const key of ['a', 'a']) expect(ask(ahead, next(key))).toBe(false);
    expect(calls).toEqual(['open s', 'init 1 b', 'close 1', 'open s', 'init 2 a']);
    expect(ask(ahead, next('a'))).toBe(true);
  });

  test('is made in a session of the same slot', () => {
    const ahead = new SignAhead(MODULE);
    for (const slot of ['s', 's', 't', 't']) ask(ahead, next('k', slot));
    expect(calls).toEqual(['open s', 'init 1 k', 'close 1', 'open t', 'init 2 k']);
    expect(ask(ahead, next('k', 't'))).toBe(true);
  });

  test('is nothing for cards, nor for tokens that are short of sessions', () => {
    slotFlags = 1 | 2;
    const card = new SignAhead(MODULE);
    slotFlags = 1 | 2;
    for (let times = 0; times < 3; times += 1) expect(ask(card, next('k'))).toBe(false);
    slotFlags = 1;
    maxSessionCount = 16;
    const small = new SignAhead(MODULE);
    for (let times = 0; times < 3; times += 1) expect(ask(small, next('k'))).toBe(false);
    expect(calls).toEqual([]);
  });

  test.each(['open', 'init'])('is given up for a token where %s fails', (what) => {
    fails = what;
    const ahead = new SignAhead(MODULE);
    for (let times = 0; times < 4; times += 1) expect(ask(ahead, next('k'))).toBe(false);
    expect(calls.filter((call) => call.startsWith(what))).toHaveLength(1);
  });

  test('that turns out to be of no use leaves this and all further signatures to the ordinary way', () => {
    const ahead = new SignAhead(MODULE);
    ask(ahead, next('k'));
    ask(ahead, next('k'));
    fails = 'sign';
    expect(ask(ahead, next('k'))).toBe(false);
    fails = undefined;
    for (let times = 0; times < 3; times += 1) expect(ask(ahead, next('k'))).toBe(false);
    expect(calls.filter((call) => call.startsWith('close'))).toEqual(['close 1']);
  });

  test('ends with its session', () => {
    const ahead = new SignAhead(MODULE);
    ask(ahead, next('k'));
    ask(ahead, next('k'));
    ahead.end();
    expect(calls.at(-1)).toBe('close 1');
    expect(ask(ahead, next('k'))).toBe(false);
  });
});
