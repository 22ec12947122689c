import { afterEach, beforeEach, expect } from 'vitest';
import { connectManagement, type ManagementClient, type ManagementOptions } from '../../../src/management/index.ts';
import { type FakeDaemon, FakeListener, GREETING } from '../../support/fake-daemon.ts';

/** A connected client and the daemon at its other end. */
export interface Pair {
  readonly client: ManagementClient;
  readonly daemon: FakeDaemon;
}

/** The greeting of a management version: 1 (2.3, 2.4), 3 (2.5), 5 (2.6), 6 (2.7). */
export const greeting = (version: number): string => GREETING.replace('5', String(version));

/** Matches an AgentError by code, and by a part of its message. */
export const coded = (code: string, text = ''): unknown =>
  expect.objectContaining({ code, message: expect.stringContaining(text) as string });

/** What has become of it by now, where no more than a turn is needed: a test that waits for it itself might wait for ever. */
export const soon = (outcome: Promise<unknown>): Promise<unknown> =>
  Promise.race([outcome, new Promise((resolve) => setImmediate(resolve, 'nothing yet'))]);

/** A listener for each test of a file, and pairs that are closed behind it. */
export function setUp(): {
  listener: () => FakeListener;
  keep: (client: ManagementClient) => void;
  pair: (options?: ManagementOptions, greet?: string) => Promise<Pair>;
} {
  let current: FakeListener | undefined;
  const clients: ManagementClient[] = [];
  const listener = (): FakeListener => {
    if (current === undefined) throw new Error('only inside a test');
    return current;
  };
  beforeEach(async () => {
    current = await FakeListener.start();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await current?.stop();
  });
  return {
    listener,
    keep: (client) => clients.push(client),
    pair: async (options = {}, greet = GREETING) => {
      const connecting = connectManagement(listener().address, options);
      const daemon = await listener().next();
      daemon.say(greet);
      const client = await connecting;
      clients.push(client);
      return { client, daemon };
    },
  };
}
