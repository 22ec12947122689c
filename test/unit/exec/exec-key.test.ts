import { generateKeyPairSync, type KeyObject, type KeyPairKeyObjectResult } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ExecKey, formatExecText } from '../../../src/exec/index.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import { sampleRequests } from '../../../src/signing/sample-requests.ts';
import { createSignature } from '../../../src/signing/signer.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { ProgramBench } from './program-bench.ts';

const pemOf = ({ publicKey }: KeyPairKeyObjectResult): string =>
  publicKey.export({ format: 'pem', type: 'spki' }).toString();
const pair = generateKeyPairSync('ed25519');
const PRIVATE = pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const [PUBLIC, OTHER] = [pemOf(pair), pemOf(generateKeyPairSync('ed25519'))];

let bench: ProgramBench;
let notes = 0;
beforeAll(() => {
  bench = new ProgramBench();
});
afterAll(() => {
  bench[Symbol.dispose]();
});

/** A file of this test's own that the program writes into. */
const freshNotes = (): string => `notes-${notes++}`;

function samplesOf({ publicKey }: ExecKey): SignatureRequest[] {
  return sampleRequests(keyKind(publicKey)).map(({ request }) => request);
}

/** The sample of a whole message, which the program can sign with any key. */
function messageOf(key: ExecKey): SignatureRequest {
  const found = samplesOf(key).find((request) => request.message && request.scheme !== 'RSA_NO_PADDING');
  if (!found) throw new Error('no message among the samples');
  return found;
}

describe.concurrent('a key behind a program', () => {
  const cells = (['rsa2048', 'p256', 'p384', 'p521', 'ed25519', 'ed448'] as const).flatMap((name) =>
    [{}, { keep: true }, { raw: true, mute: true }].map((options) => ({ name, options })),
  );
  test.for(cells)('$name signs what it says it can, $options', async ({ name, options }) => {
    await using key = await ExecKey.open(bench.key(name, options), { programs: bench.programs() });
    let messages = 0;
    for (const request of samplesOf(key)) {
      expect(key.canSign(request)).toBe(true);
      const isDigestOnly =
        !request.message && (request.scheme === 'ECDSA' || request.scheme === 'RSA_PKCS1_PSS_PADDING');
      if (isDigestOnly) {
        await expect(createSignature(key, request)).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
        continue;
      }
      expect(await createSignature(key, request)).toMatchObject({ mechanism: 'test' });
      messages++;
    }
    expect(messages).toBeGreaterThan(0);
  });

  test.for(['hello', 'sign'])('its reply to %s need not end its line, where the program ends', async (at) => {
    const options = { misdeed: 'no end of line', at };
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    expect(await createSignature(key, messageOf(key))).toMatchObject({ mechanism: 'test' });
  });

  test('half a reply is none, and is said to be that', async () => {
    const options = { misdeed: 'half a line', at: 'sign' };
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    await expect(createSignature(key, messageOf(key))).rejects.toMatchObject({
      code: 'ERR_EXEC_DIED',
      message: expect.stringMatching(/ ended with status 0 in the middle of a line$/),
    });
  });

  test('a program that is kept is started once, another one once for each request', async () => {
    for (const [keep, starts] of [
      [true, 1],
      [false, 4],
    ] as const) {
      const file = freshNotes();
      await using key = await ExecKey.open(bench.key('ed25519', { keep, notes: bench.path(file) }), {
        programs: bench.programs(),
      });
      for (let count = 0; count < 3; count++) await createSignature(key, messageOf(key));
      expect(bench.notes(file).filter((note) => note.startsWith('start'))).toHaveLength(starts);
    }
  });

  test('as many requests are under way as the program wants, and replies may come in any order', async () => {
    const options = { keep: true, parallel: 3, reversed: 3 };
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    const requests = Array.from({ length: 6 }, () => messageOf(key));
    // each three are answered when three are there: less than that at a time would wait for ever
    await Promise.all(requests.map((request) => createSignature(key, request)));
  });

  test('what has not begun can be given up, and makes no work', async () => {
    const file = freshNotes();
    const options = { keep: true, parallel: 1, reversed: 2, notes: bench.path(file) };
    const key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    const first = key.sign(messageOf(key));
    const controller = new AbortController();
    const second = key.sign(messageOf(key), controller.signal);
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await expect(key.sign(messageOf(key), controller.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    first.catch(() => undefined);
    await key.close();
    await expect(first).rejects.toThrow();
    expect(bench.notes(file).filter((note) => note.startsWith('sign')).length).toBeLessThanOrEqual(2);
  });

  test('is asked for nothing that it does not claim', async () => {
    const file = freshNotes();
    const schemes = ['ECDSA,hashalg=SHA384,data=message', 'FUTURE_SCHEME', 'ECDSA,hashalg=MD4'];
    await using key = await ExecKey.open(bench.key('p256', { schemes, notes: bench.path(file) }), {
      programs: bench.programs(),
    });
    const samples = samplesOf(key);
    const able = samples.filter((request) => key.canSign(request));
    expect(able.map(({ algorithmText }) => algorithmText)).toEqual(['ECDSA,hashalg=SHA384,data=message']);
    for (const request of samples) {
      const signing = createSignature(key, request);
      if (able.includes(request)) await signing;
      else await expect(signing).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
    }
    expect(bench.notes(file).filter((note) => note.startsWith('sign'))).toHaveLength(1);
  });

  test('its certificate is what its program tells now', async () => {
    for (const keep of [true, false]) {
      const [path, certificate] = [bench.path(`renewed-${keep}.pem`), bench.path(`renewed-${keep}.crt`)];
      const certify = (name: string, key?: KeyObject): KeyObject => {
        const made = makeCertificate({ subject: [['CN', name]], ...(key && { key }) });
        writeFileSync(path, made.privateKey.export({ format: 'pem', type: 'pkcs8' }));
        writeFileSync(certificate, made.certificate.toString());
        return made.privateKey;
      };
      const own = certify('first');
      const text = formatExecText({ program: bench.program, words: [path, JSON.stringify({ keep, certificate })] });
      await using key = await ExecKey.open(text, { programs: bench.programs() });
      certify('second', own);
      expect((await key.readCertificates()).map(({ subject }) => subject)).toEqual(['CN=second']);
      await createSignature(key, messageOf(key));
      certify('third');
      await expect(key.readCertificates()).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND', reason: 'key-changed' });
    }
  });

  test('a signature that its public key does not verify never leaves', async () => {
    await using key = await ExecKey.open(bench.key('ed25519', { faulty: true }), { programs: bench.programs() });
    await expect(createSignature(key, messageOf(key))).rejects.toMatchObject({ code: 'ERR_SIGNATURE_INVALID' });
  });

  const errors = [
    ['unsupported', 'ERR_SCHEME_UNSUPPORTED'],
    ['absent', 'ERR_TOKEN_ABSENT'],
    ['not-found', 'ERR_KEY_NOT_FOUND'],
    ['pin-incorrect', 'ERR_PIN_INCORRECT'],
    ['pin-locked', 'ERR_PIN_LOCKED'],
    ['failed', 'ERR_EXEC_FAILED'],
    ['what a later version says', 'ERR_EXEC_FAILED'],
  ] as const;
  test.for(errors)("its error '%s' is %s", async ([code, expected]) => {
    const options = { error: { code, message: `why\nnot${'.'.repeat(300)}` } };
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    const error: unknown = await key.sign(messageOf(key)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expected });
    expect((error as Error).message).toMatch(/ says: why not\.+$/);
    expect((error as Error).message.length).toBeLessThan(700);
  });
});

describe.concurrent('a program that does not do what it must', () => {
  const misdeeds = [
    ['garbage', 'ERR_EXEC_PROTOCOL'],
    ['array', 'ERR_EXEC_PROTOCOL'],
    ['endless', 'ERR_EXEC_PROTOCOL'],
    ['a long line', 'ERR_EXEC_PROTOCOL'],
    ['stranger', 'ERR_EXEC_PROTOCOL'],
    ['death', 'ERR_EXEC_DIED'],
  ] as const;
  const cells = misdeeds.flatMap(([misdeed, code]) =>
    (['hello', 'sign'] as const).flatMap((at) => [true, false].map((keep) => ({ misdeed, code, at, keep }))),
  );
  test.for(cells)('$misdeed at $at, keep $keep: $code', async ({ misdeed, code, at, keep }) => {
    const opening = ExecKey.open(bench.key('ed25519', { misdeed, at, keep }), { programs: bench.programs() });
    if (at === 'hello') {
      await expect(opening).rejects.toMatchObject({ code });
      return;
    }
    await using key = await opening;
    await expect(key.sign(messageOf(key))).rejects.toMatchObject({ code });
  });

  test.for([
    { version: 2 },
    { hello: { version: null } },
    { hello: { schemes: [] } },
    { hello: { schemes: 'ECDSA' } },
    { hello: { keep: 'yes' } },
    { hello: { parallel: 0 } },
    { hello: { secret: 'PIN' } },
    { hello: { publicKey: 'no key' } },
    { hello: { publicKey: '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n' } },
    { hello: { publicKey: `${PRIVATE}${PUBLIC}` } },
    { hello: { publicKey: `${PUBLIC}${OTHER}` } },
    { hello: { certificates: ['x'] } },
    { hello: { certificates: 'x' } },
  ])('answers hello with %o', async (options) => {
    const opening = ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    await expect(opening).rejects.toMatchObject({ code: 'ERR_EXEC_PROTOCOL' });
  });

  test('tells a chain in one text of PEM: all of it is taken', async () => {
    const issuer = makeCertificate({ subject: [['CN', 'CA']], isCa: true });
    const { certificate } = makeCertificate({ subject: [['CN', 'own']], issuer });
    const chain = [certificate, issuer.certificate];
    const text = chain.map((each) => `Bag Attributes\n${each.toString()}`).join('');
    await using key = await ExecKey.open(bench.key('ed25519', { hello: { certificates: [text] } }), {
      programs: bench.programs(),
    });
    expect(key.certificates.map(({ raw }) => raw)).toEqual(chain.map(({ raw }) => raw));
  });

  test('tells no public key, and nobody gives its certificate', async () => {
    const opening = ExecKey.open(bench.key('ed25519', { hello: { publicKey: null } }), {
      programs: bench.programs(),
    });
    await expect(opening).rejects.toMatchObject({ code: 'ERR_KEY_UNSUPPORTED', reason: 'no-public-key' });
  });

  test.for([true, false])('dies once: a fresh process signs (keep %s)', async (keep) => {
    const options = { misdeed: 'death', at: 'sign', once: bench.path(`died-${keep}`), keep };
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    await createSignature(key, messageOf(key));
    expect(existsSync(options.once)).toBe(true);
  });

  test('was replaced while it was kept: another key is not signed with', async () => {
    using own = new ProgramBench();
    const options = { misdeed: 'death', at: 'sign', keep: true };
    await using key = await ExecKey.open(own.key('ed25519', options), { programs: own.programs() });
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(own.keyFile('ed25519'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
    await expect(key.sign(messageOf(key))).rejects.toMatchObject({ code: 'ERR_EXEC_PROTOCOL' });
  });

  test('hangs: it ends at the deadline with all that it started', async () => {
    const file = freshNotes();
    const options = { misdeed: 'child', at: 'sign', keep: true, notes: bench.path(file) };
    const programs = bench.programs({ deadline: 10_000 });
    await using key = await ExecKey.open(bench.key('ed25519', options), { programs });
    await expect(key.sign(messageOf(key))).rejects.toMatchObject({ code: 'ERR_EXEC_TIMEOUT' });
    const pids = bench.notes(file).flatMap((note) => /^(?:start|child) (\d+)$/.exec(note)?.[1] ?? []);
    expect(pids.length).toBeGreaterThanOrEqual(2);
    for (const pid of pids) await gone(Number(pid));
  });

  test('does not end with its standard input: it is killed, and that is told', async () => {
    const file = freshNotes();
    const options = { stays: true, notes: bench.path(file) };
    const key = await ExecKey.open(bench.key('ed25519', options), { programs: bench.programs() });
    expect(await key.close()).toBe(true);
    const [, pid] = /^start (\d+)$/.exec(bench.notes(file)[0] ?? '') ?? [];
    await gone(Number(pid));
    // one that ends is killed, too, where a busy machine takes more than the two seconds for it
    for (let isKilled = true; isKilled; ) {
      const tidy = await ExecKey.open(bench.key('ed25519', { keep: true }), { programs: bench.programs() });
      isKilled = await tidy.close();
    }
  });

  test('is closed: it signs no more', async () => {
    const key = await ExecKey.open(bench.key('ed25519'), { programs: bench.programs() });
    await key.close();
    await expect(key.sign(messageOf(key))).rejects.toMatchObject({ code: 'ERR_KEY_UNAVAILABLE' });
  });
});

describe('when the agent ends', () => {
  test('a program that is still asked what it is ends, too, and that is told', async () => {
    using own = new ProgramBench();
    const programs = own.programs();
    const options = { misdeed: 'silence', at: 'hello', notes: own.path('notes'), prints: ['asked'] };
    const opening = ExecKey.open(own.key('ed25519', options), { programs });
    const failed = expect(opening).rejects.toMatchObject({ code: 'ERR_EXEC_DIED' });
    await vi.waitFor(
      () => {
        expect(own.notes()).not.toEqual([]);
      },
      { timeout: 60_000 },
    );
    await programs[Symbol.asyncDispose]();
    expect(own.events.at(-1)).toMatchObject({ type: 'ended', expected: true });
    await failed;
    await expect(ExecKey.open(own.key('ed25519'), { programs })).rejects.toMatchObject({ code: 'ERR_KEY_UNAVAILABLE' });
    expect(own.events.at(-1)).toMatchObject({ type: 'ended' });
  });
});

/** Waits until a process has ended; a zombie has. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat === '' || stat.includes(' Z ')) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('what a program says on its standard error', () => {
  test('becomes lines, each of a length, to the last one', async () => {
    using own = new ProgramBench();
    const prints = ['one', 'x'.repeat(5000), 'colour \u001b[31m'];
    await using key = await ExecKey.open(own.key('ed25519', { prints }), { programs: own.programs() });
    await key.close();
    const lines = own.events.flatMap((event) => (event.type === 'output' ? [event.text] : []));
    expect(lines).toEqual(['one', 'x'.repeat(1000), prints[2]]);
  });

  test('its environment is the one that was given, without NODE_OPTIONS', async () => {
    using own = new ProgramBench();
    const programs = own.programs({ environment: { PATH: '/bin', A: '1', NODE_OPTIONS: '--title=x' } });
    await using key = await ExecKey.open(own.key('ed25519', { shows: true }), { programs });
    await key.close();
    const [line = ''] = own.events.flatMap((event) => (event.type === 'output' ? [event.text] : []));
    expect(line).toContain('"A":"1"');
    expect(line).not.toContain('NODE_OPTIONS');
  });
});
