import type { TokenInfo } from '../host/protocol.ts';

/** What tells a token from all others, as text. File names of records are made of it: another text would forget them. */
export function tokenName({ manufacturer, model, serial, label }: TokenInfo): string {
  return JSON.stringify([manufacturer, model, serial, label]);
}
