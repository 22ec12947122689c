import { KeyPolicy } from '../../../../src/agent/policy/key-policy.ts';
import type { Asked } from '../../../../src/agent/policy/asked.ts';
import { DEFAULT_POLICY, type PolicySettings } from '../../../../src/config/settings.ts';
import { errorCode } from '../../../../src/errors.ts';
import { keyKind } from '../../../../src/signing/public-key.ts';
import { contextOf } from '../../../../src/signing/tls/context.ts';
import { type Handshake, requestOf } from '../../../support/handshakes.ts';
import { FakeClock } from '../fake-clock.ts';

export const clock: FakeClock = new FakeClock();
const environment = { PATH: process.env['PATH'] };
const never = new AbortController().signal;

export async function policy(
  settings: Partial<PolicySettings> = {},
  killGroup?: (leader: number) => void,
): Promise<KeyPolicy> {
  return await KeyPolicy.open({ ...DEFAULT_POLICY, ...settings }, { clock, environment, killGroup });
}

export function askedOf(
  handshake: Handshake,
  data: Buffer = handshake.message,
  algorithm: string | undefined = handshake.algorithm,
): Asked {
  const request = requestOf({ ...handshake, algorithm }, data);
  const { publicKey } = handshake;
  return { request, kind: keyKind(publicKey), context: contextOf(request, publicKey), key: 'a key' };
}

/** The code of the refusal; undefined where it is allowed. */
export async function decide(by: KeyPolicy, asked: Asked, signal: AbortSignal = never): Promise<string | undefined> {
  return await by.decide(asked, { tunnel: 'office', limits: [], signal }).then(() => undefined, errorCode);
}

/** The error of the refusal; undefined where it is allowed. */
export async function refusal(by: KeyPolicy, asked: Asked, signal: AbortSignal = never): Promise<unknown> {
  return await by.decide(asked, { tunnel: 'office', limits: [], signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
}
