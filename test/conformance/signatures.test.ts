import { createHash, randomBytes } from 'node:crypto';
import { describe, expect } from 'vitest';
import { KEYS, test, type Bench, type KeyName } from '../support/bench.ts';
import { FakeListener, GREETING } from '../support/fake-daemon.ts';
import { digestInfo, emsaPss, opensslVerifies } from '../support/openssl.ts';

interface Case {
  /** What `--algorithm` says; undefined: pksigd is to deduce it. */
  algorithm: string | undefined;
  /** What openssl verifies by, where the text alone does not say. */
  meaning?: string;
  data: Buffer;
}

const MESSAGE = 'a message that OpenVPN wants signed';
const HASHES = ['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const;
const hash = (name: string): Buffer => createHash(name).update(MESSAGE).digest();
const message = Buffer.from(MESSAGE);
const md5sha1 = Buffer.concat([hash('MD5'), hash('SHA1')]);

function emsaPkcs1(modulusLength: number, contents: Buffer): Buffer {
  const filling = Buffer.alloc(modulusLength - contents.length - 3, 0xff);
  return Buffer.concat([Buffer.of(0, 1), filling, Buffer.of(0), contents]);
}

async function rsaCases(bench: Bench, key: KeyName): Promise<Case[]> {
  const size = Number(key.slice(3)) / 8;
  const pkcs1 = 'RSA_PKCS1_PADDING';
  const pss = 'RSA_PKCS1_PSS_PADDING';
  const pssBlock = await emsaPss(bench, key, hash('SHA256'));
  const pkcs1Block = emsaPkcs1(size, digestInfo('SHA384', MESSAGE));
  const salts = ['digest', 'max', '0', '20'];
  return [
    ...HASHES.map((name) => ({ algorithm: pkcs1, data: digestInfo(name, MESSAGE) })),
    { algorithm: pkcs1, data: md5sha1 },
    ...[...HASHES, 'MD5-SHA1'].map((name) => ({
      algorithm: `${pkcs1},hashalg=${name},data=message`,
      data: message,
    })),
    ...HASHES.flatMap((name) =>
      salts.flatMap((salt) => [
        { algorithm: `${pss},hashalg=${name},saltlen=${salt}`, data: hash(name) },
        { algorithm: `${pss},hashalg=${name},saltlen=${salt},data=message`, data: message },
      ]),
    ),
    { algorithm: 'RSA_NO_PADDING', data: pssBlock },
    { algorithm: 'RSA_NO_PADDING', data: pkcs1Block },
    { algorithm: undefined, meaning: pkcs1, data: digestInfo('SHA256', MESSAGE) },
    { algorithm: undefined, meaning: pkcs1, data: md5sha1 },
    { algorithm: undefined, meaning: 'RSA_NO_PADDING', data: pssBlock },
    { algorithm: undefined, meaning: 'RSA_NO_PADDING', data: pkcs1Block },
    ...HASHES.map((name) => ({
      algorithm: undefined,
      meaning: `${pss},hashalg=${name},saltlen=digest`,
      data: hash(name),
    })),
  ];
}

function ecCases(): Case[] {
  return [
    ...HASHES.map((name) => ({ algorithm: 'ECDSA', data: hash(name) })),
    ...HASHES.map((name) => ({ algorithm: `ECDSA,hashalg=${name},data=message`, data: message })),
    { algorithm: undefined, meaning: 'ECDSA', data: hash('SHA256') },
  ];
}

/** Of an RSA key, one of each sort: for keys whose whole list is the same as a smaller one's. */
const SOME = /^(RSA_PKCS1_PADDING(,hashalg=MD5-SHA1.*)?|RSA_NO_PADDING|.*hashalg=SHA(256|512),saltlen=(digest|max).*)$/;
/** Of any key, what is enough where each takes a process of its own; with the salts that no daemon gets. */
const FEW = /^(RSA_NO_PADDING|.*hashalg=MD5-SHA1.*|.*hashalg=(SHA256|SHA384),saltlen=(max|0|20)\b.*|ECDSA|ED.*)$/;
const NO_DAEMONS = /,saltlen=(max|0|20)\b/;

async function casesOf(bench: Bench, key: KeyName): Promise<Case[]> {
  if (key.startsWith('p')) return ecCases();
  if (key.startsWith('ed')) {
    return [0, 1, 146, 5000].map((length) => ({
      algorithm: `${key.toUpperCase()},data=message`,
      data: length === 0 ? message : randomBytes(length),
    }));
  }
  const all = await rsaCases(bench, key);
  return key === 'rsa2048' ? all : all.filter(({ algorithm = '' }) => SOME.test(algorithm));
}

async function verify(
  bench: Bench,
  key: KeyName,
  { algorithm, meaning, data }: Case,
  signature: string,
): Promise<void> {
  const verified = await opensslVerifies(
    bench,
    key,
    algorithm ?? meaning ?? '',
    data,
    Buffer.from(signature, 'base64'),
  );
  expect(verified, `${algorithm ?? 'no algorithm'}, ${data.length} bytes`).toBe(true);
}

const cells = KEYS.flatMap((key) => (['file', 'SoftHSM'] as const).map((home) => ({ key, home })));

describe.concurrent('what is signed, the openssl command verifies', () => {
  test.for(cells)('$key from $home, for a daemon', async ({ key, home }, { bench }) => {
    const daemons = await FakeListener.start(bench.path('daemon.sock'));
    const management = ['--management', bench.path('daemon.sock'), 'unix'];
    // what is signed here is no handshake, and of old hashes, too
    const lax = ['--context', 'off', '--allow-hash', ...HASHES, 'MD5-SHA1'];
    const pksigd = await bench.pksigd(['run', ...management, ...lax, '--key', bench.key(key, home)]);
    const daemon = await daemons.next();
    daemon.say(GREETING);
    for (const one of await casesOf(bench, key)) {
      if (NO_DAEMONS.test(one.algorithm ?? '')) continue;
      const algorithm = one.algorithm === undefined ? '' : `,${one.algorithm}`;
      daemon.say(`>PK_SIGN:${one.data.toString('base64')}${algorithm}\r\n`);
      const block = await daemon.hearsBlock('pk-sig');
      daemon.say('SUCCESS: pk-sign command succeeded\r\n');
      await verify(bench, key, one, block.join(''));
    }
    expect(await pksigd.stop()).toBe(0);
  });

  test.for(cells)('$key from $home, by pksigd sign', async ({ key, home }, { bench }) => {
    // one after the other: SoftHSM rewrites the token's file at each login, and who starts just then finds no token
    for (const one of await casesOf(bench, key)) {
      const { algorithm, data } = one;
      if (algorithm !== undefined && !FEW.test(algorithm)) continue;
      const named = algorithm === undefined ? [] : ['--algorithm', algorithm];
      const args = ['sign', '--key', bench.key(key, home), ...named];
      const pksigd = await bench.pksigd(args, { input: `${data.toString('base64')}\n` });
      expect(await pksigd.exited, `${algorithm}\n${pksigd.transcript}`).toBe(0);
      await verify(bench, key, one, pksigd.stdout.join(''));
    }
  });
});

test('openssl finds a signature over something else wrong', async ({ bench }) => {
  for (const [key, algorithm] of [
    ['rsa2048', 'RSA_PKCS1_PADDING,hashalg=SHA256,data=message'],
    ['rsa2048', 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest,data=message'],
    ['p256', 'ECDSA,hashalg=SHA256,data=message'],
    ['ed25519', 'ED25519,data=message'],
  ] as const) {
    const args = ['sign', '--key', bench.key(key, 'file'), '--algorithm', algorithm];
    const pksigd = await bench.pksigd(args, { input: message.toString('base64') });
    expect(await pksigd.exited).toBe(0);
    const signature = Buffer.from(pksigd.stdout.join(''), 'base64');
    expect(await opensslVerifies(bench, key, algorithm, Buffer.from('another message'), signature)).toBe(false);
  }
});
