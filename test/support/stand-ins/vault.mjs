// Stands in for the program vault: `read transit/keys/NAME` and `write transit/sign/NAME/HASH`, of the keys in $VAULT_KEYS, as
// the transit engine's source says (builtin/logical/transit/path_sign_verify.go): what it does not know it refuses.
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { signDigest } from './openssl-sign.mjs';

const HASHES = { sha1: 'sha1', 'sha2-224': 'sha224', 'sha2-256': 'sha256', 'sha2-384': 'sha384', 'sha2-512': 'sha512' };
const FIELDS = ['input', 'key_version', 'prehashed', 'marshaling_algorithm', 'signature_algorithm', 'salt_length'];
const VERSION = 3;

function refuse(text) {
  console.error(`Error: ${text}`);
  process.exit(2);
}

const [verb, format, path, ...pairs] = process.argv.slice(2);
if (format !== '-format=json') refuse('a table');
const [mount, what, name, hashName = 'sha2-256'] = path.split('/');
if (mount !== 'transit') refuse(`no handler for route ${path}`);
const file = join(process.env.VAULT_KEYS, `${name}.pem`);
const key = createPrivateKey(readFileSync(file));
const publicKey = createPublicKey(key);
const type = key.asymmetricKeyType;

function describe() {
  const { modulusLength } = key.asymmetricKeyDetails;
  const isEdwards = type === 'ed25519';
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const text = isEdwards ? spki.subarray(-32).toString('base64') : publicKey.export({ type: 'spki', format: 'pem' });
  const versions = { 2: { public_key: 'an old one' }, [VERSION]: { public_key: text } };
  const named = isEdwards ? 'ed25519' : type === 'rsa' ? `rsa-${modulusLength}` : 'ecdsa-p256';
  return { latest_version: VERSION, type: named, keys: versions };
}

function signature() {
  const fields = Object.fromEntries(pairs.map((pair) => pair.split('=', 2)));
  const unknown = Object.keys(fields).find((field) => !FIELDS.includes(field));
  if (unknown) refuse(`unknown field ${unknown}`);
  if (Number(fields.key_version) !== VERSION) refuse('key version');
  const hash = HASHES[hashName] ?? refuse(`invalid hash algorithm ${hashName}`);
  const given = fields.input === '-' ? readFileSync(0, 'utf8') : fields.input;
  const input = Buffer.from(given, 'base64');
  if (type === 'ed25519') return sign(null, input, key);
  const digest = fields.prehashed === 'true' ? input : createHash(hash).update(input).digest();
  if (type === 'ec') return fields.marshaling_algorithm === 'asn1' ? signDigest(file, digest) : refuse('jws');
  const { signature_algorithm: padding = 'pss', salt_length: salt = 'auto' } = fields;
  if (padding === 'pkcs1v15') return signDigest(file, digest, { hash });
  return signDigest(file, digest, { hash, saltLength: { auto: 'max', hash: 'digest' }[salt] ?? salt });
}

const data =
  verb === 'read' && what === 'keys'
    ? describe()
    : verb === 'write' && what === 'sign'
      ? { signature: `vault:v${VERSION}:${signature().toString('base64')}` }
      : refuse('unsupported operation');
console.log(JSON.stringify({ data }));
