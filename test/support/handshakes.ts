import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSignatureRequest } from '../../src/signing/parse-request.ts';
import { keyKind } from '../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../src/signing/request.ts';
import { contextOf, type SigningContext } from '../../src/signing/tls/context.ts';

/** A request that a real daemon made with `digest` or an EdDSA key; scripts/record-handshakes.mjs records them. */
export interface Handshake {
  readonly name: string;
  readonly tls: '1.0' | '1.1' | '1.2' | '1.3';
  readonly algorithm: string;
  readonly publicKey: KeyObject;
  readonly message: Buffer;
}

interface Recorded {
  openvpn: string;
  key: string;
  tls: Handshake['tls'];
  server: string;
  chain: string;
  args?: string;
  algorithm: string;
  publicKey: string;
  data: string;
}

const FIXTURES = join(import.meta.dirname, '../fixtures');

export const HANDSHAKES: readonly Handshake[] = readFileSync(join(FIXTURES, 'handshakes.jsonl'), 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => {
    const { openvpn, key, tls, server, chain, args, algorithm, publicKey, data } = JSON.parse(line) as Recorded;
    return {
      name: [openvpn, key, tls, server, chain, args, algorithm].filter(Boolean).join(' '),
      tls,
      algorithm,
      publicKey: createPublicKey(publicKey),
      message: Buffer.from(data, 'base64'),
    };
  });

export const TRANSCRIPTS: readonly Handshake[] = HANDSHAKES.filter(({ tls }) => tls !== '1.3');
export const TLS13: readonly Handshake[] = HANDSHAKES.filter(({ tls }) => tls === '1.3');

/** What signed the certificate chains of the servers. */
export const HANDSHAKES_CA: string = join(FIXTURES, 'handshakes-ca.pem');

export function requestOf({ algorithm, publicKey }: Handshake, message: Buffer): SignatureRequest {
  return parseSignatureRequest(message.toString('base64'), algorithm, keyKind(publicKey));
}

/** What is seen in a message that comes in place of the handshake's own. */
export function contextIn(handshake: Handshake, message: Buffer = handshake.message): SigningContext {
  return contextOf(requestOf(handshake, message), handshake.publicKey);
}
