import type { KeyObject } from 'node:crypto';
import { ecdsa } from '../../simulation/node/crypto.ts';

/** What a daemon wants that asks for an ECDSA signature of a digest. */
export function signatureOf(request: string, key: KeyObject): string {
  const [, data = ''] = /^>(?:PK_SIGN|RSA_SIGN):([^,]*)/.exec(request) ?? [];
  return ecdsa(key, Buffer.from(data, 'base64'), 'der').toString('base64');
}
