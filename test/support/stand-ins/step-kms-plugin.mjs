// Stands in for step-kms-plugin: `key URI` and `sign URI`, of keys in files (softkms:path=FILE), as its source says (cmd/sign.go).
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LENGTHS, signDigest } from './openssl-sign.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kms: { type: 'string' },
    in: { type: 'string' },
    alg: { type: 'string', default: 'SHA256' },
    pss: { type: 'boolean', default: false },
    'salt-length': { type: 'string', default: 'auto' },
  },
});
const [verb, uri] = positionals;
if (values.kms !== 'softkms:') throw new Error(`failed to load key manager: ${values.kms}`);
const file = /^softkms:path=(.+)$/.exec(uri)[1];
const key = createPrivateKey(readFileSync(file));
const CURVES = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

function signed() {
  if (key.asymmetricKeyType === 'ed25519') {
    // from standard input it is taken for a digest there, too: its help wants the file
    if (values.in === undefined) throw new Error('flag --in is required');
    return sign(null, readFileSync(values.in), key);
  }
  const digest = readFileSync(0);
  if (key.asymmetricKeyType === 'ec') {
    // cloud services insist on the length of the curve's own hash
    const length = LENGTHS[CURVES[key.asymmetricKeyDetails.namedCurve]];
    if (digest.length !== length) throw new Error(`digest is ${digest.length} bytes, not ${length}`);
    return signDigest(file, digest);
  }
  const hash = values.alg.toLowerCase();
  if (!['sha256', 'sha384', 'sha512'].includes(hash)) throw new Error(`unsupported hashing algorithm ${values.alg}`);
  const salt = values['salt-length'];
  const saltLength = { auto: 'max', 'equal-hash': 'digest' }[salt] ?? salt;
  return signDigest(file, digest, { hash, ...(values.pss && { saltLength }) });
}

if (verb === 'key') process.stdout.write(createPublicKey(key).export({ type: 'spki', format: 'pem' }));
else if (verb === 'sign') console.log(signed().toString('base64'));
else throw new Error(`unknown command ${verb}`);
