// Keys that want their PIN with each signature, and several signatures at a time: the PIN was changed meanwhile.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import type { PinMemory } from '../../../../src/pkcs11/pins/pin-memory.ts';
import { processMemory, RefusedPins } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH, type FakeModule } from '../fake-modules.ts';

const CARD = fakeToken('card', FLAG.LOGIN);
const REFUSED = ckr('CKR_PIN_INCORRECT', 'C_Login');
const UNKNOWN = ckr('CKR_GENERAL_ERROR', 'C_Login');

let modules: FakeModules;
let host: FakeModule;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
});

const makePin = (refused: PinMemory): Pin => new Pin({ ask: () => Promise.resolve(new Secret('1234')), refused });

async function sign(pin: Pin): Promise<Buffer> {
  const session = await host.call('openSession', { slot: CARD.slot });
  return await pin.sign(host, CARD, { session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
}

/** @returns the codes of those that failed */
async function signAll(...pins: readonly Pin[]): Promise<unknown[]> {
  const results = await Promise.allSettled(pins.map(sign));
  return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as { code: unknown }).code] : []));
}

test('a PIN that one of several signatures is refused with is not sent by the others', async () => {
  const pin = makePin(processMemory());
  await sign(pin);
  modules.fail('login', REFUSED);
  expect(await signAll(pin, pin, pin)).toEqual(['ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT']);
  expect(modules.count('login')).toBe(2);
});

test('nor where it could not be written down', async () => {
  const refused = processMemory();
  const pin = makePin(refused);
  await sign(pin);
  refused.note = (_, { error }) => Promise.resolve(error);
  modules.fail('login', REFUSED);
  expect(await signAll(pin, pin, pin)).toHaveLength(3);
  // the second is written down before it is made, and so is the last
  expect(modules.count('login')).toBeLessThanOrEqual(3);
});

test('nor by other keys of the token', async () => {
  const refused = processMemory();
  const pins = [makePin(refused), makePin(refused), makePin(refused)];
  expect(await signAll(...pins)).toEqual([]);
  modules.fail('login', REFUSED);
  expect(await signAll(...pins)).toEqual(['ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT']);
  expect(modules.count('login')).toBe(4);
});

test('nor by another agent', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-pins-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  const agents = [makePin(new RefusedPins(folder, 1)), makePin(new RefusedPins(folder, 2))];
  expect(await signAll(...agents)).toEqual([]);
  modules.fail('login', REFUSED);
  for (const agent of agents) expect(await signAll(agent)).toEqual(['ERR_PIN_INCORRECT']);
  expect(modules.count('login')).toBe(3);
});

test('a login that had no outcome is made once more, whoever makes it', async () => {
  const refused = processMemory();
  const pins = [makePin(refused), makePin(refused), makePin(refused)];
  expect(await signAll(...pins)).toEqual([]);
  modules.fail('login', UNKNOWN);
  expect(await signAll(...pins, ...pins)).toEqual(Array(6).fill('ERR_PIN_UNSETTLED'));
  expect(modules.count('login')).toBe(5);
});

test('signatures by a right PIN are made beside each other', async () => {
  const refused = processMemory();
  const pin = makePin(refused);
  await sign(pin);
  expect(await signAll(pin, pin, makePin(refused))).toEqual([]);
  expect(modules.pins).toEqual(['1234', '1234', '1234', '1234']);
});

test('what a killed process left of its login is heeded once: behind that, signatures are not written down', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-pins-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  const [memory, other] = [new RefusedPins(folder, 1), new RefusedPins(folder, 2)];
  const pin = makePin(memory);
  await sign(pin);
  const left: [string, string][] = [];
  await other.guard({ token: CARD, pin: new Secret('1234'), use: 'session' }, () => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
    left.push(...names.map((name): [string, string] => [join(folder, name), readFileSync(join(folder, name), 'utf8')]));
    return Promise.resolve({ outcome: 'accepted' });
  });
  expect(left).toHaveLength(1);
  for (const [path, text] of left) writeFileSync(path, text, { mode: 0o600 });
  const guard = vi.spyOn(memory, 'guard');
  for (let times = 0; times < 3; times += 1) await sign(pin);
  expect(guard).toHaveBeenCalledTimes(1);
  // of another kill, too
  for (const [path, text] of left) writeFileSync(path, text.replace(/"(\d{4})-/, '"1999-'), { mode: 0o600 });
  for (let times = 0; times < 3; times += 1) await sign(pin);
  expect(guard).toHaveBeenCalledTimes(2);
  modules.fail('login', REFUSED);
  expect(await signAll(pin, pin, pin)).toEqual(['ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT']);
  expect(modules.count('login')).toBe(8);
});
