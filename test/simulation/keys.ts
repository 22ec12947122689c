import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The keys of all worlds: made once, since RSA keys take their time. */
export interface SimulatedKey {
  readonly type: 'RSA' | 'EC' | 'ED25519';
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly pem: string;
}

function seeded(text: string): Buffer {
  return Buffer.from(hash('sha256', text, 'hex'), 'hex');
}

function keyOf(type: SimulatedKey['type'], privateKey: KeyObject): SimulatedKey {
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { type, privateKey, publicKey: createPublicKey(privateKey), pem };
}

function edwards(index: number): SimulatedKey {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seeded(`Ed25519 ${index}`)]);
  return keyOf('ED25519', createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
}

/** RFC 5915, without the public key: OpenSSL works it out. */
function onP256(index: number): SimulatedKey {
  const scalar = seeded(`P-256 ${index}`);
  const der = Buffer.concat([
    Buffer.from('30310201010420', 'hex'),
    scalar,
    Buffer.from('a00a06082a8648ce3d030107', 'hex'),
  ]);
  return keyOf('EC', createPrivateKey({ key: der, format: 'der', type: 'sec1' }));
}

function rsaKeys(): SimulatedKey[] {
  const text = readFileSync(process.env['SIMULATION_RSA_KEYS'] ?? new URL('rsa-keys.pem', import.meta.url), 'utf8');
  return text
    .split(/(?<=-----END PRIVATE KEY-----\n)/)
    .filter(Boolean)
    .map((pem) => keyOf('RSA', createPrivateKey(pem)));
}

let all: readonly SimulatedKey[] | undefined;

export function simulatedKeys(): readonly SimulatedKey[] {
  const [rsa, spare] = rsaKeys();
  if (!rsa || !spare) throw new Error('two RSA keys are wanted');
  // RSA takes a hundred times as long as the others
  all ??= [edwards(0), onP256(0), edwards(1), rsa, edwards(2), edwards(3), edwards(4), onP256(1), spare];
  return all;
}
