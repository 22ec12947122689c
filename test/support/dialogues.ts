import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench, KeyName } from './bench.ts';
import { emsaPss } from './openssl.ts';

/** One recorded dialogue: see test/support/recordings/README.md. */
export interface Dialogue {
  openvpn: string;
  key: KeyName;
  tls: '1.2' | '1.3';
  managementExternalKey: string;
  tbs: string;
  wire: ['client' | 'daemon', string][];
}

export const DIALOGUES: readonly Dialogue[] = readFileSync(
  join(import.meta.dirname, 'recordings/dialogues.jsonl'),
  'utf8',
)
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line) as Dialogue);

/** The request inside a dialogue, as the daemon sends it. */
export interface Request {
  line: string;
  /** What openssl is to verify the answer by. */
  algorithm: string;
  data: Buffer;
}

const REQUEST = /^>(?:PK_SIGN|RSA_SIGN):([^,\r\n]*)(?:,([^\r\n]*))?/;

export function isRequest(text: string): boolean {
  return REQUEST.test(text);
}

/** The algorithm text of a request that the recorder cut off, by what the wire shows for its whole siblings. */
function cutAlgorithm({ key, tbs }: Dialogue): string {
  if (tbs === 'EMSA-PSSblock') return 'RSA_NO_PADDING';
  if (key.startsWith('rsa')) return 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest,data=message';
  if (key.startsWith('ed')) return `${key.toUpperCase()},data=message`;
  return `ECDSA,hashalg=${key === 'p521' ? 'SHA512' : 'SHA256'},data=message`;
}

/** What the recorder cut off, made up in the recorded shape; a padded block must be the right key's. */
async function completed(bench: Bench, { key, tbs }: Dialogue, start: Buffer): Promise<Buffer> {
  if (tbs === 'EMSA-PSSblock') return emsaPss(bench, key, randomBytes(32));
  const length = tbs.startsWith('TLS1.3') ? 146 : 4000;
  return Buffer.concat([start, randomBytes(length - start.length)]);
}

/** The request of a dialogue, made whole where the recording is not. */
export async function requestOf(bench: Bench, dialogue: Dialogue, text: string): Promise<Request> {
  const [, base64 = '', algorithm] = REQUEST.exec(text) ?? [];
  const recorded = Buffer.from(base64, 'base64');
  // the oldest daemons, and mbed TLS, say no algorithm: all of those recorded want PKCS #1 v1.5
  if (text.endsWith('\r\n')) return { line: text, algorithm: algorithm ?? 'RSA_PKCS1_PADDING', data: recorded };
  const data = await completed(bench, dialogue, recorded);
  const named = cutAlgorithm(dialogue);
  return { line: `>PK_SIGN:${data.toString('base64')},${named}\r\n`, algorithm: named, data };
}
