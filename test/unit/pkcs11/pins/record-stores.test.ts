// Where the records of PINs are kept, and what a person is told of the place.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LoginOutcome } from '../../../../src/pkcs11/host/login-outcome.ts';
import type { PinMemory } from '../../../../src/pkcs11/pins/pin-memory.ts';
import { processMemory, RefusedPins } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { fakeToken } from '../fake-modules.ts';

const CARD = fakeToken('card');
/** An update of pksigd that called it something else would forget which PINs were refused. */
const NAME = 'refused-pin-900397b160b9a0776b550c3a.json';

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-stores-')));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** @returns what is told beforehand: whether others may have had their turn */
async function login(memory: PinMemory, outcome: LoginOutcome, onWaiting?: () => void): Promise<boolean> {
  let told = false;
  const trial = { token: CARD, use: 'session', pin: new Secret('1234'), onWaiting } as const;
  const beforehand = (waited: boolean) => {
    told = waited;
    return Promise.resolve(undefined);
  };
  await memory.guard(trial, () => Promise.resolve({ outcome }), beforehand);
  return told;
}

test('a token’s records have a name that stays', async () => {
  await login(new RefusedPins(folder, 1), 'refused');
  expect(readdirSync(folder).sort()).toEqual([NAME, `${NAME}.lock`]);
});

test('the error of a refused PIN says which file is to be removed', async () => {
  const memory = new RefusedPins(folder, 1);
  await login(memory, 'refused');
  await expect(login(memory, 'accepted')).rejects.toMatchObject({
    hint: `it is not tried again; correct the PIN at its source, or remove ${join(folder, NAME)}`,
  });
  rmSync(join(folder, NAME));
  await login(memory, 'accepted');
});

test('that of one that is remembered in the process says to start anew', async () => {
  const memory = processMemory();
  await login(memory, 'refused');
  await expect(login(memory, 'accepted')).rejects.toMatchObject({ hint: expect.stringMatching(/, or start anew$/) });
});

test('a folder that is worked out later is not asked for before it is wanted', async () => {
  let asked = 0;
  const memory = new RefusedPins(() => {
    asked++;
    return join(folder, 'later');
  }, 1);
  expect(asked).toBe(0);
  await login(memory, 'refused');
  expect(existsSync(join(folder, 'later', NAME))).toBe(true);
});

test('a damaged record is named by where it lies, wherever a link leads from', async () => {
  mkdirSync(join(folder, 'real'), { mode: 0o700 });
  symlinkSync('real', join(folder, 'link'));
  writeFileSync(join(folder, 'real', NAME), 'damaged', { mode: 0o600 });
  const message = `the record of refused PINs ${join(folder, 'real', NAME)} is damaged`;
  await expect(login(new RefusedPins(join(folder, 'link'), 1), 'accepted')).rejects.toMatchObject({ message });
});

test.each<[string, () => PinMemory]>([
  ['in a folder', () => new RefusedPins(join(folder, 'state'), 1)],
  ['in the process', processMemory],
])('%s: nothing is remembered until a login was not accepted', async (_, make) => {
  const memory = make();
  await memory.check(CARD, new Secret('1234'));
  expect(await memory.hasRecord(CARD)).toBe(false);
  await login(memory, 'accepted');
  expect(await memory.hasRecord(CARD)).toBe(false);
  await login(memory, 'refused');
  expect(await memory.hasRecord(CARD)).toBe(true);
  expect(await memory.hasRecord(fakeToken('other'))).toBe(false);
});

test.each<[string, () => PinMemory]>([
  ['in a folder', () => new RefusedPins(join(folder, 'state'), 1)],
  ['in the process', processMemory],
])('%s: who waited for another login, or finds something remembered, is told so', async (_, make) => {
  const memory = make();
  expect(await login(memory, 'accepted')).toBe(false);
  let second: Promise<boolean> | undefined;
  const trial = { token: CARD, use: 'session', pin: new Secret('1234') } as const;
  await memory.guard(trial, async () => {
    // until it is seen to wait; in the process it does so at once, and says nothing
    await new Promise<void>((resolve) => {
      second = login(memory, 'accepted', resolve);
      if (!(memory instanceof RefusedPins)) resolve();
    });
    return { outcome: 'accepted' };
  });
  expect(await second).toBe(true);
  expect(await login(memory, 'unknown')).toBe(false);
  expect(await login(memory, 'accepted')).toBe(true);
  expect(await login(memory, 'accepted')).toBe(false);
});
