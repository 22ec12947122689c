import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ModuleHostEvent } from '../../../../src/pkcs11/host/options.ts';
import { ModuleOutput } from '../../../../src/pkcs11/host/output.ts';
import { Secret } from '../../../../src/secret.ts';
import { PATH, settle } from '../fake-modules.ts';

let events: ModuleHostEvent[];
let stream: PassThrough;

afterEach(() => {
  vi.restoreAllMocks();
});

beforeEach(() => {
  events = [];
  stream = new PassThrough();
});

function read(showOutput: boolean): ModuleOutput {
  const output = new ModuleOutput(PATH, { showOutput, onEvent: (event) => events.push(event) });
  output.read(stream);
  return output;
}

const lines = async (): Promise<unknown[]> => {
  await settle();
  return events.map((event) => ('text' in event ? event.text : undefined));
};

test('what a module prints is dropped and zeroed, and told of once', async () => {
  read(false);
  const bytes = Buffer.from('PIN=1234\n');
  stream.write(bytes);
  stream.write('more\n');
  await settle();
  expect(events).toEqual([{ type: 'output', modulePath: PATH }]);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});

test('shown, it comes in lines, however the bytes come', async () => {
  read(true);
  for (const part of ['fir', 'st\nsec', 'ond\r\n\nthird']) stream.write(part);
  expect(await lines()).toEqual(['first', 'second', '']);
});

test('a line is cut at a thousand characters, and one that never ends is held no longer', async () => {
  read(true);
  stream.write('x'.repeat(5_000));
  stream.write(`${'y'.repeat(5_000)}\nz\n`);
  expect(await lines()).toEqual(['x'.repeat(1_000), 'z']);
});

test('PINs are cut out, even those that their owner zeroed', async () => {
  const output = read(true);
  const pin = new Secret('1234');
  output.conceal(pin);
  output.conceal(new Secret(''));
  pin.destroy();
  stream.write('C_Login: 1234, 1234\n');
  expect(await lines()).toEqual(['C_Login: <redacted>, <redacted>']);
});

test('no part of a PIN is left where a line is cut, or where its bytes come apart', async () => {
  const output = read(true);
  output.conceal(new Secret('größe1234'));
  stream.write(`${'x'.repeat(995)}größe1234\n`);
  const bytes = Buffer.from('größe1234\n');
  stream.write(bytes.subarray(0, 3));
  await settle();
  stream.write(bytes.subarray(3));
  expect(await lines()).toEqual([`${'x'.repeat(995)}<reda`, '<redacted>']);
});

test('a pipe that breaks is no matter', async () => {
  read(true);
  stream.destroy(new Error('EIO'));
  expect(await lines()).toEqual([]);
});

test('PINs are kept while the module may print them, and only where that is shown', async () => {
  const destroy = vi.spyOn(Secret.prototype, 'destroy');
  const shown = read(true);
  shown.conceal(new Secret('1234'));
  await settle();
  expect(destroy).not.toHaveBeenCalled();
  stream.end();
  await settle();
  expect(destroy).toHaveBeenCalledTimes(1);

  stream = new PassThrough();
  const pin = new Secret('1234');
  const bytes = vi.spyOn(pin, 'bytes', 'get');
  read(false).conceal(pin);
  expect(bytes).not.toHaveBeenCalled();
});
