// A token with one user, of which more is asked than one session does: for the tests of further sessions.
import { expect } from 'vitest';
import type { Module } from '../../../../src/pkcs11/host/module.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { processMemory } from '../../../../src/pkcs11/pins/refused-pins.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import type { TokenUser } from '../../../../src/pkcs11/token/token-user.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { type FakeModule, FakeModules, fakeToken, FLAG, PATH } from '../fake-modules.ts';

export const HSM: TokenInfo = fakeToken('hsm', FLAG.LOGIN);

export let modules: FakeModules;
export let clock: FakeClock;
let tokens: Tokens;
export let events: string[];
export let asked: number;
export let user: TokenUser;

/** Plugs it in and uses it: all that was before is gone. */
export async function open(info: TokenInfo = HSM): Promise<void> {
  modules = new FakeModules(info);
  clock = new FakeClock();
  events = [];
  asked = 0;
  tokens = new Tokens({ hosts: modules, clock, onEvent: ({ type }) => type !== 'token-state' && events.push(type) });
  const pin = new Pin({
    ask: () => {
      asked++;
      return Promise.resolve(new Secret('1234'));
    },
    refused: processMemory(),
  });
  user = await tokens.open({ token: info.label, object: 'key' }, PATH, { pin });
}

/** Uses it anew, with another PIN. */
export async function useWith(pin: Pin): Promise<void> {
  await user[Symbol.asyncDispose]();
  user = await tokens.open({ token: 'hsm' }, PATH, { pin });
}

/** Something that takes until `finish`, as often as it is done, and where it was done. */
export class Work {
  readonly hosts: number[] = [];
  readonly result: Promise<string>;
  #end = (): void => undefined;
  readonly #ended = new Promise<void>((resolve) => (this.#end = resolve));

  constructor(fail?: (at: OpenSession) => void) {
    const work = async (at: OpenSession): Promise<string> => {
      this.hosts.push((at.host as Module & { number: number }).number);
      await this.#ended;
      fail?.(at);
      return 'done';
    };
    this.result = doAsKeysDo(work);
    this.result.catch(() => undefined);
  }

  async finish(): Promise<string> {
    this.#end();
    return await this.result;
  }
}

async function doAsKeysDo(work: (at: OpenSession) => Promise<string>): Promise<string> {
  const beside = user.runBeside(work);
  return (beside && (await beside)) ?? (await user.run(work));
}

/** Until all that needs no time has happened: a login's hash does. */
export const eventually: typeof expect.poll = expect.poll;

export const hostsOf = (works: readonly Work[]): number[] => works.flatMap(({ hosts }) => hosts);

export async function finishAll(works: readonly Work[]): Promise<void> {
  for (const work of works) expect(await work.finish()).toBe('done');
}

/** So many at once, all in the first process. */
export function crowd(number: number): Work[] {
  return Array.from({ length: number }, () => new Work());
}

/** Makes signatures wait until there is an extra session. @returns its process */
export async function startExtra(): Promise<FakeModule> {
  const works = crowd(18);
  await eventually(() => modules.furtherHosts.flatMap((host) => [...host.sessions])).toHaveLength(1);
  await eventually(() => modules.furtherHosts[0]?.isLoggedIn).toBe(true);
  await finishAll(works);
  const extra = modules.furtherHosts[0];
  if (!extra) throw new Error('it was ended');
  // it is of use now: of two, one goes there
  await eventually(async () => {
    const [one, other] = crowd(2) as [Work, Work];
    await finishAll([one, other]);
    return other.hosts;
  }).toEqual([extra.number]);
  return extra;
}

/** Waits for something that is not to happen, too: a start is a few turns, a login's hash some more. */
export async function noneStarts(): Promise<void> {
  const works = crowd(40);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(modules.furtherHosts).toEqual([]);
  await finishAll(works);
}
