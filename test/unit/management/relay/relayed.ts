import { afterEach, expect } from 'vitest';
import { type ManagementClient, Relay, type RelayEvent, type RelayOptions } from '../../../../src/management/index.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { type FakeDaemon, GREETING } from '../../../support/fake-daemon.ts';
import { setUp } from '../pair.ts';

/** A relay, the scripted daemon behind it, and its users. */
export interface Relayed {
  readonly relay: Relay;
  readonly daemon: FakeDaemon;
  readonly events: RelayEvent[];
  readonly user: (greeted?: string) => Promise<ManagementUser>;
  /** The agent's own client of the daemon. */
  readonly client: () => ManagementClient;
  /** The daemon's own connection ends and a new one is relayed. */
  readonly again: () => Promise<FakeDaemon>;
}

/** Makes relays for a file's tests, which end with each. */
export function relays(): (options?: Partial<RelayOptions>, greet?: string) => Promise<Relayed> {
  const { pair } = setUp();
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  return async (options = {}, greet = GREETING) => {
    const events: RelayEvent[] = [];
    const relay = await Relay.listen({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      onEvent: (event) => events.push(event),
      ...options,
    });
    closing.push(() => relay.close());
    let client: ManagementClient;
    const again = async (): Promise<FakeDaemon> => {
      const { client: connected, daemon } = await pair({ clientVersion: 3 }, greet);
      client = connected;
      relay.attach(client);
      await daemon.hear('version 3\n');
      return daemon;
    };
    const daemon = await again();
    const user = async (greeted = greet): Promise<ManagementUser> => {
      const opened = await ManagementUser.open(relay.address);
      closing.push(() => {
        opened.close();
      });
      if (greeted !== '') expect(await opened.hear(greeted)).toBe(greeted);
      return opened;
    };
    return { relay, daemon, events, user, again, client: () => client };
  };
}

/** Answers `command`, once it comes, with `reply`. */
export async function answer(daemon: FakeDaemon, command: string, reply: string): Promise<void> {
  expect(await daemon.hear(`${command}\n`)).toBe(`${command}\n`);
  daemon.say(reply);
}
