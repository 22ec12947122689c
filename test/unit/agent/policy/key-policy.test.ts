import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import type { Limit } from '../../../../src/agent/policy/asked.ts';
import { Rate, Uses } from '../../../../src/agent/policy/rate.ts';
import { DEFAULT_POLICY } from '../../../../src/config/settings.ts';
import { errorCode } from '../../../../src/errors.ts';
import { parseSignatureRequest } from '../../../../src/signing/parse-request.ts';
import { keyKind } from '../../../../src/signing/public-key.ts';
import { contextOf } from '../../../../src/signing/tls/context.ts';
import { serverIn } from '../../../../src/signing/tls/server-name.ts';
import type { Transcript } from '../../../../src/signing/tls/transcript.ts';
import { encodeEmsaPss } from '../../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../../src/signing/hashes.ts';
import { derSequence } from '../../../support/certificates.ts';
import { withServer } from '../../../support/forged-handshakes.ts';
import { layoutOf } from '../../../support/handshake-layout.ts';
import { type Handshake, HANDSHAKES, HANDSHAKES_CA, TLS13, TRANSCRIPTS } from '../../../support/handshakes.ts';
import { askedOf, clock, decide, policy, refusal } from './policy-bed.ts';

const folder = mkdtempSync(join(tmpdir(), 'pksigd-policy-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const rsa = HANDSHAKES.find(({ publicKey, tls }) => publicKey.asymmetricKeyType === 'rsa' && tls === '1.3');
const ec = HANDSHAKES.find(({ name }) => name.includes(' p256 1.3 '));
if (!rsa || !ec) throw new Error('the recordings lack a key');

describe('the default', () => {
  test('lets through all that daemons with TLS 1.2 and 1.3 want signed', async () => {
    const by = await policy();
    for (const handshake of HANDSHAKES) {
      const expected = handshake.tls < '1.2' ? 'ERR_POLICY_HASH' : undefined;
      expect(await decide(by, askedOf(handshake)), handshake.name).toBe(expected);
    }
  });

  test('lets TLS 1.0 and 1.1 through where their hashes are allowed', async () => {
    const by = await policy({ hashes: ['SHA1', 'MD5-SHA1'] });
    for (const handshake of TRANSCRIPTS.filter(({ tls }) => tls < '1.2'))
      expect(await decide(by, askedOf(handshake)), handshake.name).toBe(undefined);
  });

  test('lets hashes through, and no other messages', async () => {
    const by = await policy();
    expect(await decide(by, askedOf(ec, randomBytes(32), 'ECDSA'))).toBe(undefined);
    expect(await decide(by, askedOf(ec, Buffer.from('a contract')))).toBe('ERR_POLICY_CONTEXT');
    expect(await decide(by, askedOf(ec, ec.message.subarray(1)))).toBe('ERR_POLICY_CONTEXT');
  });

  test.for([
    ['ECDSA', 20, 'ERR_POLICY_HASH'],
    ['ECDSA', 33, 'ERR_POLICY_HASH'],
    ['ECDSA', 28, undefined],
    ['ECDSA', 64, undefined],
  ] as const)('%s with %i bytes: %s', async ([algorithm, length, code]) => {
    expect(await decide(await policy(), askedOf(ec, randomBytes(length), algorithm))).toBe(code);
  });

  test('sees SHA-1 behind zeros, of which the signature has none', async () => {
    const digest = Buffer.concat([Buffer.alloc(12), randomBytes(20)]);
    for (const algorithm of ['ECDSA', 'ECDSA,hashalg=SHA256'])
      expect(await decide(await policy(), askedOf(ec, digest, algorithm))).toBe('ERR_POLICY_HASH');
  });

  test.for([
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', 32, undefined],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=max', 32, 'ERR_POLICY_SALT'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=20', 32, 'ERR_POLICY_SALT'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA1,saltlen=digest', 20, 'ERR_POLICY_HASH'],
    ['RSA_PKCS1_PADDING,hashalg=SHA1', 20, 'ERR_POLICY_HASH'],
    ['RSA_PKCS1_PADDING,hashalg=SHA512', 64, undefined],
  ] as const)('%s', async ([algorithm, length, code]) => {
    expect(await decide(await policy(), askedOf(rsa, randomBytes(length), algorithm))).toBe(code);
  });

  test.for([
    ['SHA256', 32, undefined],
    ['SHA256', 20, 'ERR_POLICY_SALT'],
    ['SHA1', 20, 'ERR_POLICY_HASH'],
  ] as const)('a finished block of PSS with %s and a salt of %i bytes: %s', async ([name, saltLength, code]) => {
    const hash = HASHES[name];
    const { modulusLength = 0 } = rsa.publicKey.asymmetricKeyDetails ?? {};
    const block = encodeEmsaPss(hash, randomBytes(hash.length), saltLength, modulusLength);
    expect(await decide(await policy(), askedOf(rsa, block, 'RSA_NO_PADDING'))).toBe(code);
  });
});

test('context off lets any message through', async () => {
  const by = await policy({ context: 'off' });
  expect(await decide(by, askedOf(ec, Buffer.from('a contract')))).toBe(undefined);
});

test('context require refuses hashes, whose context can not be seen', async () => {
  const by = await policy({ context: 'require', hashes: ['MD5-SHA1', 'SHA1', ...DEFAULT_POLICY.hashes] });
  for (const handshake of HANDSHAKES) expect(await decide(by, askedOf(handshake)), handshake.name).toBe(undefined);
  expect(await decide(by, askedOf(ec, randomBytes(32), 'ECDSA'))).toBe('ERR_POLICY_CONTEXT');
  const deduced = parseSignatureRequest(randomBytes(32).toString('base64'), undefined, keyKind(rsa.publicKey));
  const asked = { ...askedOf(rsa), request: deduced, context: contextOf(deduced, rsa.publicKey) };
  expect(await decide(by, asked)).toBe('ERR_POLICY_CONTEXT');
});

test('schemes that are not named are refused', async () => {
  const by = await policy({ schemes: ['RSA_PKCS1_PSS_PADDING'] });
  expect(await decide(by, askedOf(rsa))).toBe(undefined);
  expect(await decide(by, askedOf(rsa, randomBytes(32), 'RSA_PKCS1_PADDING,hashalg=SHA256'))).toBe('ERR_POLICY_SCHEME');
  expect(await decide(by, askedOf(ec))).toBe('ERR_POLICY_SCHEME');
});

describe('a server that is required', () => {
  const all = ['MD5-SHA1', 'SHA1', ...DEFAULT_POLICY.hashes] as const;

  test('may be called by its common name, a DNS name, or its subject', async () => {
    const ofEc = TRANSCRIPTS.filter(({ name }) => name.includes('server-p256'));
    expect(ofEc.length).toBeGreaterThan(10);
    for (const serverName of ['server p256', 'vpn.example.net', 'P256.example.net', 'C=KG, O=pksigd, CN=server p256']) {
      const by = await policy({ serverName, hashes: all });
      for (const handshake of ofEc) expect(await decide(by, askedOf(handshake)), serverName).toBe(undefined);
    }
    for (const serverName of [
      'server',
      'server p25',
      'example.net',
      'other.example.net',
      'CN=server p256',
      'SERVER P256',
    ]) {
      const by = await policy({ serverName, hashes: all });
      for (const handshake of ofEc) expect(await decide(by, askedOf(handshake)), serverName).toBe('ERR_POLICY_SERVER');
    }
  });

  test('has a certificate that leads to a CA, by whatever it sends', async () => {
    const by = await policy({ serverCa: HANDSHAKES_CA, hashes: all });
    for (const handshake of TRANSCRIPTS) expect(await decide(by, askedOf(handshake)), handshake.name).toBe(undefined);
  });

  test('has none that leads to another CA', async () => {
    const other = join(folder, 'other.pem');
    // a CA all the same: that of a client's certificate is none
    const [first] = TRANSCRIPTS;
    const [client = Buffer.alloc(0)] = first ? transcriptOf(first).clientCertificates : [];
    writeFileSync(other, pemOf(client));
    const by = await policy({ serverCa: other, hashes: all });
    for (const handshake of TRANSCRIPTS) expect(await decide(by, askedOf(handshake))).toBe('ERR_POLICY_SERVER');
  });

  test('is not seen in TLS 1.3, nor in a hash', async () => {
    const by = await policy({ serverCa: HANDSHAKES_CA });
    for (const handshake of TLS13) expect(await decide(by, askedOf(handshake))).toBe('ERR_POLICY_SERVER');
    expect(await decide(by, askedOf(ec, randomBytes(32), 'ECDSA'))).toBe('ERR_POLICY_SERVER');
  });

  test('is named where it is refused', async () => {
    const [handshake] = TRANSCRIPTS.filter(({ name }) => name.includes(' p256 1.2 server-long'));
    if (!handshake) throw new Error('no such handshake');
    const by = await policy({ serverName: 'other', hashes: all });
    expect(await refusal(by, askedOf(handshake))).toMatchObject({
      message: "the server is 'O=pksigd, CN=server deep', and not 'other'",
    });
  });

  test('took part: what it signed is bound, to the byte', async () => {
    const by = await policy({ serverCa: HANDSHAKES_CA, hashes: all });
    const bound = /^(ClientHello random|ServerHello random|ServerKeyExchange .*)$/;
    let changes = 0;
    for (const handshake of TRANSCRIPTS.filter(({ name }) => !name.includes('TLS-RSA-'))) {
      const layout = layoutOf(handshake.message);
      // others may have been sent for nothing
      const own = layout.find(({ name }) => name === 'server certificate');
      for (const field of layout) {
        const { name, start, end } = field;
        if (!bound.test(name) && field !== own) continue;
        for (let at = start; at < end; at += 7) {
          const changed = Buffer.from(handshake.message);
          changed.writeUInt8((changed[at] ?? 0) ^ 0x10, at);
          changes += 1;
          const code = await decide(by, askedOf(handshake, changed));
          expect(['ERR_POLICY_SERVER', 'ERR_POLICY_CONTEXT'], `${handshake.name}: ${name}`).toContain(code);
        }
      }
    }
    expect(changes).toBeGreaterThan(1000);
  });

  test('has a certificate that is one: not bytes in which another one stands as PEM', async () => {
    const handshake = TRANSCRIPTS.find(({ name }) => name.includes(' p256 1.2 server-p256'));
    if (!handshake) throw new Error('no such handshake');
    const [server] = transcriptOf(handshake).serverCertificates;
    if (!server) throw new Error('no certificate');
    const hidden = withServer(handshake, derSequence(Buffer.from(`\n${pemOf(server)}or whatever else`)));
    for (const settings of [{ serverCa: HANDSHAKES_CA }, { serverName: 'server p256' }]) {
      const by = await policy(settings);
      expect(await decide(by, askedOf(handshake))).toBe(undefined);
      expect(await refusal(by, askedOf(handshake, hidden))).toMatchObject({
        code: 'ERR_POLICY_SERVER',
        message: "a certificate of the server's can't be read",
      });
    }
    expect(serverIn(askedOf(handshake).context)).toBe('C=KG, O=pksigd, CN=server p256');
    expect(serverIn(askedOf(handshake, hidden).context)).toBe(undefined);
  });

  test('of a file that is none there is no policy', async () => {
    const none = join(folder, 'none.pem');
    writeFileSync(none, 'no certificate');
    await expect(policy({ serverCa: none })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
    await expect(policy({ serverCa: folder })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
  });

  test('a file that is not there may come', async () => {
    const rejected = expect(policy({ serverCa: join(folder, 'not-there.pem') })).rejects;
    await rejected.toMatchObject({ code: 'ERR_CONFIG_NOT_FOUND', message: expect.stringContaining('CA file') });
  });

  function transcriptOf(handshake: Handshake): Transcript {
    const { context } = askedOf(handshake);
    if (!('transcript' in context)) throw new Error('no transcript');
    return context.transcript;
  }

  const pemOf = (der: Buffer): string =>
    `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
});

describe('a rate', () => {
  test('lets so many through at once, and others as time passes', async () => {
    const by = await policy({ rate: { perMinute: 6, burst: 2 } });
    const asked = askedOf(ec);
    expect([await decide(by, asked), await decide(by, asked), await decide(by, asked)]).toEqual([
      undefined,
      undefined,
      'ERR_POLICY_RATE',
    ]);
    clock.pass(9);
    expect(await decide(by, asked)).toBe('ERR_POLICY_RATE');
    clock.pass(1);
    expect([await decide(by, asked), await decide(by, asked)]).toEqual([undefined, 'ERR_POLICY_RATE']);
    clock.pass(3600);
    expect([await decide(by, asked), await decide(by, asked), await decide(by, asked)]).toEqual([
      undefined,
      undefined,
      'ERR_POLICY_RATE',
    ]);
  });

  test('is not used up by what is refused', async () => {
    const by = await policy({ rate: { perMinute: 1, burst: 1 } });
    for (let time = 0; time < 5; time++)
      expect(await decide(by, askedOf(ec, Buffer.from('a contract')))).toBe('ERR_POLICY_CONTEXT');
    expect(await decide(by, askedOf(ec))).toBe(undefined);
  });

  test('of one who asks is not used up by what the rate of the key, or another limit, refuses', async () => {
    const by = await policy({ rate: { perMinute: 6, burst: 1 } });
    const uses = Uses.upTo(2);
    if (!uses) throw new Error('none');
    const own = new Rate({ perMinute: 1, burst: 2 }, "the tunnel's", clock);
    const ask = async (limits: readonly Limit[]): Promise<string | undefined> =>
      await by
        .decide(askedOf(ec), { tunnel: 'office', limits, signal: new AbortController().signal })
        .then(() => undefined, errorCode);
    expect(await ask([uses, own])).toBe(undefined);
    for (let time = 0; time < 5; time++) expect(await ask([uses, own])).toBe('ERR_POLICY_RATE');
    clock.pass(10);
    expect(await ask([uses, own])).toBe(undefined);
    clock.pass(10);
    expect(await ask([uses])).toBe('ERR_POLICY_USES');
    expect(await ask([own])).toBe('ERR_POLICY_RATE');
    expect(await ask([])).toBe(undefined);
  });
});

describe('a command that confirms', () => {
  test('says yes by its status, and is told what it is about', async () => {
    const told = join(folder, 'told');
    const by = await policy({
      confirm: `printf '%s\\n' "$1" > '${told}'; env | grep -E '^(PKSIGD|SSH_ASKPASS)' | sort >> '${told}'`,
    });
    const handshake = TRANSCRIPTS.find(({ name }) => name.includes(' p256 1.2 server-long'));
    if (!handshake) throw new Error('no such handshake');
    expect(await decide(by, askedOf(handshake))).toBe(undefined);
    expect(readFileSync(told, 'utf8').split('\n')).toEqual([
      'Sign with a key for tunnel office, at what calls itself O=pksigd, CN=server deep?',
      'PKSIGD_CONTEXT=client-certificate-verify',
      'PKSIGD_KEY=a key',
      'PKSIGD_SCHEME=ECDSA,hashalg=SHA256,data=message',
      'PKSIGD_SERVER=O=pksigd, CN=server deep',
      'PKSIGD_SERVER_VERIFIED=no',
      'PKSIGD_TLS=1.2',
      'PKSIGD_TUNNEL=office',
      'SSH_ASKPASS_PROMPT=confirm',
      '',
    ]);
  });

  test('is told whether the server was seen to be who it says it is', async () => {
    const told = join(folder, 'verified');
    const confirm = `printf '%s\\n' "$PKSIGD_SERVER_VERIFIED" "$1" > '${told}'`;
    const by = await policy({ confirm, serverCa: HANDSHAKES_CA });
    const [handshake] = TRANSCRIPTS.filter(({ name }) => name.includes(' p256 1.2 server-long'));
    if (!handshake) throw new Error('no such handshake');
    expect(await decide(by, askedOf(handshake))).toBe(undefined);
    expect(readFileSync(told, 'utf8')).toBe(
      'yes\nSign with a key for tunnel office, at server O=pksigd, CN=server deep?\n',
    );
  });

  test('is told no server where none was seen', async () => {
    const told = join(folder, 'no-server');
    const by = await policy({
      confirm: `printf '%s\\n' "$1" > '${told}'; env | grep ^PKSIGD_SERVER >> '${told}'; true`,
    });
    expect(await decide(by, askedOf(ec))).toBe(undefined);
    expect(readFileSync(told, 'utf8')).toBe('Sign with a key for tunnel office?\n');
  });

  test('is told that a name alone makes nobody the server', async () => {
    const told = join(folder, 'name-alone');
    const by = await policy({ confirm: `echo "$PKSIGD_SERVER_VERIFIED" > '${told}'`, serverName: 'server deep' });
    const [handshake] = TRANSCRIPTS.filter(({ name }) => name.includes(' p256 1.2 server-long'));
    if (!handshake) throw new Error('no such handshake');
    expect(await decide(by, askedOf(handshake))).toBe(undefined);
    expect(readFileSync(told, 'utf8')).toBe('no\n');
  });

  test('may say as much as it likes', async () => {
    expect(await decide(await policy({ confirm: 'head -c 1000000 /dev/zero' }), askedOf(ec))).toBe(undefined);
  });

  test.for(['', ' ', '# ask', '\n  # ask\n'])('says no that runs nothing: %j', async (confirm) => {
    expect(await decide(await policy({ confirm }), askedOf(ec))).toBe('ERR_POLICY_CONFIRM');
  });

  test.for(['false', 'exit 3', 'kill -TERM $$', '/no/such/program'])('says no: %s', async (confirm) => {
    expect(await decide(await policy({ confirm }), askedOf(ec))).toBe('ERR_POLICY_CONFIRM');
  });

  test('is not asked for what is refused anyhow', async () => {
    const asked = join(folder, 'asked');
    const by = await policy({ confirm: `echo >> '${asked}'` });
    expect(await decide(by, askedOf(ec, Buffer.from('a contract')))).toBe('ERR_POLICY_CONTEXT');
    expect(() => readFileSync(asked)).toThrow(/ENOENT/);
  });

  test('has as long as the request has', async () => {
    const started = join(folder, 'asked-long');
    const said = join(folder, 'said');
    const by = await policy({ confirm: `: > '${started}'; until [ -e '${said}' ]; do sleep 0.05; done` });
    const waiting = decide(by, askedOf(ec));
    await expect.poll(() => existsSync(started)).toBe(true);
    clock.pass(3_000);
    writeFileSync(said, '');
    expect(await waiting).toBe(undefined);
  });

  test('is ended with all that it started', async () => {
    const started = join(folder, 'started');
    const killGroup = vi.fn();
    const by = await policy({ confirm: `echo $$ > '${started}'; exec sleep 1000` }, killGroup);
    const late = new AbortController();
    const waiting = decide(by, askedOf(ec), late.signal);
    await expect.poll(() => existsSync(started) && readFileSync(started, 'utf8')).toMatch(/\d+\n/);
    killGroup.mockImplementation((leader: number) => process.kill(-leader, 'SIGKILL'));
    late.abort();
    await waiting;
    await expect.poll(() => killGroup.mock.calls).toEqual([[Number(readFileSync(started, 'utf8'))]]);
  });

  test('is ended with the request, and the next one has its turn', async () => {
    const by = await policy({ confirm: '[ "$PKSIGD_TLS" = 1.3 ] || exec sleep 1000' });
    const late = new AbortController();
    const [first] = TRANSCRIPTS.filter(({ name }) => name.includes(' p256 1.2'));
    if (!first) throw new Error('no such handshake');
    const waiting = decide(by, askedOf(first), late.signal);
    const behind = decide(by, askedOf(ec));
    late.abort();
    await waiting;
    expect(await behind).toBe(undefined);
  });
});
