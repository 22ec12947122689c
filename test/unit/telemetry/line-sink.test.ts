import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LineSink } from '../../../src/telemetry/line-sink.ts';

/** A file: full, slow or gone as the test wants it. */
class Device {
  text = '';
  /** Bytes that it still takes; then `failure`. */
  room = Number.POSITIVE_INFINITY;
  failure = 'EAGAIN';

  readonly write = (bytes: Uint8Array): number => {
    if (this.room === 0) throw Object.assign(new Error(this.failure), { code: this.failure });
    const taken = Buffer.from(bytes).subarray(0, this.room);
    this.text += taken.toString();
    this.room -= taken.length;
    return taken.length;
  };
}

function open(limit?: number): { device: Device; sink: LineSink } {
  const device = new Device();
  const lostLine = (count: number): string => `lost ${count}\n`;
  return { device, sink: new LineSink({ write: device.write, lostLine, ...(limit !== undefined && { limit }) }) };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('what finds no room waits, and keeps its order', () => {
  const { device, sink } = open();
  device.room = 3;
  for (const line of ['one\n', 'two\n', 'three\n']) sink.write(line);
  expect(device.text).toBe('one');
  expect(sink.isWaiting).toBe(true);
  device.room = 4;
  vi.runOnlyPendingTimers();
  expect(device.text).toBe('one\ntwo');
  device.room = 100;
  vi.runOnlyPendingTimers();
  expect(device.text).toBe('one\ntwo\nthree\n');
  expect(sink.isWaiting).toBe(false);
});

test('what waits has a limit; what is beyond it is counted, and told in its place', () => {
  const { device, sink } = open(10);
  device.room = 0;
  for (const line of ['first\n', 'second\n', 'third\n']) sink.write(line);
  device.room = 1000;
  vi.runOnlyPendingTimers();
  sink.write('last\n');
  expect(device.text).toBe('first\nlost 2\nlast\n');
});

test.for(['ENOSPC', 'EPIPE', 'EIO', 'EBADF', 'EFBIG'])(
  '%s loses lines, and is told as soon as it is over',
  (failure) => {
    const { device, sink } = open();
    Object.assign(device, { room: 0, failure });
    for (let count = 0; count < 5; count++) sink.write('line\n');
    vi.runOnlyPendingTimers();
    expect(device.text).toBe('');
    device.room = 1000;
    vi.runOnlyPendingTimers();
    expect(device.text).toBe('lost 5\n');
    sink.write('on\n');
    expect(device.text).toBe('lost 5\non\n');
  },
);

test('a line that a full disk cut off is not glued to the next one', () => {
  const { device, sink } = open();
  Object.assign(device, { room: 4, failure: 'ENOSPC' });
  sink.write('{"a":1}\n');
  device.room = 1000;
  sink.write('{"b":2}\n');
  expect(device.text).toBe('{"a"\nlost 1\n{"b":2}\n');
});
