import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { startHostEarly } from '../../../src/pkcs11/early-host.ts';
import { hostCommand, type Spawn } from '../../../src/pkcs11/host/launch.ts';

class FakeChild extends EventEmitter {
  killedBy: unknown;
  kill(signal: unknown): void {
    this.killedBy = signal;
  }
}

const OURS = { execPath: '/node', environment: { HOME: '/home', NODE_OPTIONS: '--x' } };

/** A spawn, and what it started. */
function fake() {
  const children: FakeChild[] = [];
  const spawn = ((): FakeChild => {
    const child = new FakeChild();
    children.push(child);
    return child;
  }) as unknown as Spawn;
  return { children, spawn };
}

test('the first host is the one that was started early, the next ones are others', () => {
  const { children, spawn } = fake();
  const start = startHostEarly(OURS, spawn);
  expect(children).toHaveLength(1);
  expect(start(...hostCommand(OURS))).toBe(children[0]);
  expect(start(...hostCommand(OURS))).toBe(children[1]);
  expect(children[0]?.killedBy).toBeUndefined();
});

test('a host that wants another environment is another one, and the early one ends', () => {
  const { children, spawn } = fake();
  const start = startHostEarly(OURS, spawn);
  const other = hostCommand({ ...OURS, environment: { ...OURS.environment, MODULE_CONFIG: '/etc/module' } });
  expect(start(...other)).toBe(children[1]);
  expect(children[0]?.killedBy).toBe('SIGKILL');
  expect(start(...hostCommand(OURS))).toBe(children[2]);
});

test.for(['exit', 'error'])('one that is not there any more (%s) is not handed out', (event) => {
  const { children, spawn } = fake();
  const start = startHostEarly(OURS, spawn);
  children[0]?.emit(event, new Error('no memory'));
  expect(start(...hostCommand(OURS))).toBe(children[1]);
});

test('where none can be started early, the one that is wanted says why', () => {
  const spawn: Spawn = () => {
    throw new Error('EAGAIN');
  };
  const start = startHostEarly(OURS, spawn);
  expect(() => start(...hostCommand(OURS))).toThrow('EAGAIN');
});
