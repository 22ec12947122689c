import { expect, test } from 'vitest';
import { descriptorShortage } from '../../../src/cli/descriptor-limit.ts';
import type { TunnelSettings } from '../../../src/config/settings.ts';

const connecting: TunnelSettings = {
  key: 'key',
  address: { kind: 'unix', path: '/run/openvpn.sock' },
  listen: false,
  maxDaemons: Infinity,
  onTokenRemoval: 'none',
};
const listening = { ...connecting, listen: true };

function of(count: number, tunnel: TunnelSettings): { tunnels: Record<string, TunnelSettings> } {
  return { tunnels: Object.fromEntries(Array.from({ length: count }, (_, index) => [`t${index}`, tunnel])) };
}

test.for([
  [connecting, 936],
  [listening, 468],
] as const)('says when so many tunnels need more than may be open', ([tunnel, most]) => {
  expect(descriptorShortage(of(most, tunnel), 1000)).toBeUndefined();
  expect(descriptorShortage(of(most + 1, tunnel), 1000)).toMatch(
    new RegExp(`^${most + 1} tunnels need 100[12] file descriptors, and the limit is 1000: `),
  );
});

test('says nothing of this process, which has enough', () => {
  expect(descriptorShortage(of(1, connecting))).toBeUndefined();
});
