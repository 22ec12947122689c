// A token's session, what it tells, and how much it asks its extra sessions: for its tests.
import { SYSTEM_CLOCK } from '../../../../src/clock.ts';
import type { AgentError } from '../../../../src/errors.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { ExtraSessions, type OwnSession } from '../../../../src/pkcs11/token/extra-sessions.ts';
import type { OpenSession } from '../../../../src/pkcs11/token/open-session.ts';
import { TokenSession } from '../../../../src/pkcs11/token/session.ts';
import { identityOf } from '../../../../src/pkcs11/token/token.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, PATH } from '../fake-modules.ts';

/** A signature that failed. */
export const FAILED: AgentError = ckr('CKR_DEVICE_ERROR', 'C_Sign');
export let modules: FakeModules;
export let session: TokenSession;
export let extras: NotedExtras;
export let events: string[];
/** Whether it was told to be logged in. */
export let states: boolean[];

export const newPin = (): Pin => new Pin({ ask: () => Promise.resolve(new Secret('1234')) });

/** Notes how much the token's own session has to do whenever it is asked to help, and does not. */
export class NotedExtras extends ExtraSessions {
  readonly loads: number[] = [];

  override run({ load }: OwnSession): undefined {
    this.loads.push(load);
  }
}

/** @param pin asked for at each login: one that remembers nothing, unless it is the same */
export function plugIn(flags = 0, pin: () => Pin = newPin): void {
  const token = fakeToken('card', flags);
  modules = new FakeModules(token);
  events = [];
  states = [];
  extras = new NotedExtras({ modules, modulePath: PATH, identity: identityOf(token), clock: SYSTEM_CLOCK });
  session = new TokenSession({
    modules,
    modulePath: PATH,
    identity: identityOf(token),
    label: 'card',
    pin,
    extras,
    neighbours: () => 'alone',
    clock: SYSTEM_CLOCK,
    onEvent: (event) => {
      if (event.type === 'token-state') states.push(event.isLoggedIn);
      else events.push(event.type === 'recovering' ? event.step : event.type);
    },
  });
}

export const sign = (at: OpenSession): Promise<Buffer> =>
  at.host.sign({ session: at.session, key: '', mechanism: { type: 0x1041 } }, Buffer.from('data'));
