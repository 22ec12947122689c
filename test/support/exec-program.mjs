#!/usr/bin/env node
// A program for exec: keys that behaves as a test wants: exec-program.mjs KEY-FILE [OPTIONS as JSON].
import { spawn } from 'node:child_process';
import { constants, createPrivateKey, createPublicKey, privateEncrypt, sign } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [, , keyFile, json = '{}'] = process.argv;
const options = JSON.parse(json);
const key = createPrivateKey(readFileSync(keyFile));
const SCHEMES = {
  rsa: ['RSA_PKCS1_PADDING', 'RSA_PKCS1_PSS_PADDING', 'RSA_NO_PADDING'],
  ec: [
    'ECDSA,data=message',
    'ECDSA,hashalg=SHA256',
    'ECDSA,hashalg=SHA384',
    'ECDSA,hashalg=SHA512',
    'ECDSA,hashalg=SHA1',
  ],
  ed25519: ['ED25519'],
  ed448: ['ED448'],
};
const note = (text) => options.notes && appendFileSync(options.notes, `${text}\n`);
note(`start ${process.pid}`);

const bytes = (text) => Buffer.from(text, 'base64');

/** What openssl would do, without a digest to hash again: only messages for ECDSA and PSS. */
function signature({ scheme, hash, saltLength, digestInfo, block, message }) {
  const modulus = key.asymmetricKeyDetails.modulusLength / 8;
  const raw = (data) => privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, data);
  switch (scheme) {
    case 'RSA_PKCS1_PADDING': {
      const info = bytes(digestInfo);
      const filling = Buffer.alloc(modulus - info.length - 3, 0xff);
      return raw(Buffer.concat([Buffer.of(0, 1), filling, Buffer.of(0), info]));
    }
    case 'RSA_PKCS1_PSS_PADDING':
      return message && sign(hash, bytes(message), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    case 'RSA_NO_PADDING':
      return raw(bytes(block));
    case 'ECDSA':
      return message && sign(hash, bytes(message), { key, dsaEncoding: options.raw ? 'ieee-p1363' : 'der' });
    default:
      return sign(null, bytes(message), key);
  }
}

function hello() {
  return {
    version: options.version ?? 1,
    publicKey: createPublicKey(key).export({ format: 'pem', type: 'spki' }),
    schemes: options.schemes ?? SCHEMES[key.asymmetricKeyType],
    keep: options.keep ?? false,
    parallel: options.parallel ?? 1,
    secret: options.pin !== undefined,
    ...(options.certificate && { certificates: [readFileSync(options.certificate, 'utf8')] }),
    ...options.hello,
  };
}

const failure = (code, message) => ({ error: { code, message } });

function answer(request) {
  if (request.do === 'hello') return hello();
  if (options.pin !== undefined && request.secret !== undefined) {
    note(`try ${request.do}`);
    if (options.leak) console.error(`got ${bytes(request.secret)} and ${request.secret}`);
    if (bytes(request.secret).toString() !== options.pin) return failure('pin-incorrect', 'wrong PIN');
  } else if (options.pin !== undefined) return failure('pin-required', 'a PIN is wanted');
  if (request.do === 'login') return { login: 'accepted' };
  if (request.do !== 'sign') return failure('unsupported', request.do);
  if (options.error) return { error: options.error };
  const signed = signature(request);
  if (!signed) return failure('unsupported', 'no digests here');
  if (options.faulty) signed[signed.length - 1] ^= 1;
  return { signature: signed.toString('base64'), ...(options.raw && { encoding: 'raw' }), mechanism: 'test' };
}

function once(file) {
  if (existsSync(file)) return false;
  writeFileSync(file, '');
  return true;
}

const MISDEEDS = {
  garbage: () => console.log('no JSON'),
  array: () => console.log('[1]'),
  silence: () => undefined,
  death: () => process.exit(7),
  'a long line': () => console.log('x'.repeat(1024 * 1024 + 100)),
  'no end of line': (request) =>
    process.stdout.write(JSON.stringify({ id: request.id, ...answer(request) }), () => process.exit(0)),
  'half a line': (request) => process.stdout.write(`{"id":${request.id},"sig`, () => process.exit(0)),
  endless: () => process.stdout.write('x'.repeat(3_000_000)),
  stranger: (request) => console.log(JSON.stringify({ id: request.id + 100, ...answer(request) })),
  twice: (request) => {
    const reply = JSON.stringify({ id: request.id, ...answer(request) });
    console.log(`${reply}\n${reply}`);
  },
  // answers when there is such a file
  patience: (request) => {
    const look = setInterval(() => {
      if (!existsSync(options.until)) return;
      clearInterval(look);
      reply(request);
    }, 20);
  },
  child: () => {
    const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
    note(`child ${child.pid}`);
  },
};

const waiting = [];
const reply = (request) => {
  console.log(JSON.stringify({ ...(options.mute ? {} : { id: request.id }), ...answer(request) }));
};

if (options.stays) setInterval(() => undefined, 1000);
const lines = createInterface({ input: process.stdin });
lines.on('close', () => {
  if (options.lastWords) console.error(`had ${options.pin}`);
  if (!options.stays) process.exitCode = 0;
});
lines.on('line', (line) => {
  const request = JSON.parse(line);
  note(`${request.do} ${request.id}`);
  if (options.prints) for (const text of options.prints) console.error(text);
  if (options.shows) console.error(JSON.stringify({ argv: process.argv, environment: process.env }));
  const isTime = options.at === undefined || options.at === request.do;
  if (options.misdeed && isTime && (!options.once || once(options.once))) return MISDEEDS[options.misdeed](request);
  // answers all that wait, the last first
  if (options.reversed && request.do === 'sign') {
    waiting.unshift(request);
    if (waiting.length === options.reversed) for (const each of waiting.splice(0)) reply(each);
    return;
  }
  reply(request);
  if (!options.keep && !options.stays) lines.close();
});
