import { createHash } from 'node:crypto';
import type { TokenInfo } from '../host/protocol.ts';

/** What a token is known by. */
export type NamedToken = Pick<TokenInfo, 'manufacturer' | 'model' | 'serial' | 'label'>;

/** What tells a token from all others, as text. File names of records are made of it: another text would forget them. */
export function tokenName({ manufacturer, model, serial, label }: NamedToken): string {
  return JSON.stringify([manufacturer, model, serial, label]);
}

/** The name of the file for a token's refused PINs: what identifies the token, and nothing that can't be in a name. */
export function recordFileName(token: NamedToken): string {
  const hash = createHash('sha256').update(tokenName(token));
  return `refused-pin-${hash.digest('hex').slice(0, 24)}.json`;
}
