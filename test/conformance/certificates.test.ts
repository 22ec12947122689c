import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, inject } from 'vitest';
import { type Bench, test } from '../support/bench.ts';
import { type CertificateOptions, type Issuer, makeCertificate } from '../support/certificates.ts';
import { type OpenVpnClient, type OpenVpnServer, managementArgs } from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';

// A certificate that lives: the daemon is a real OpenVPN, the server knows the root alone.

const run = promisify(execFile);
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** The CA that the server trusts. */
async function rootOf(bench: Bench): Promise<Issuer> {
  return {
    certificate: new X509Certificate(await readFile(bench.recipe('ca.crt'))),
    privateKey: createPrivateKey(await readFile(bench.recipe('ca.pem'))),
    subject: [['CN', 'pksigd test CA']],
    keyId: Buffer.alloc(0),
  };
}

async function issued(bench: Bench, name: string, options: CertificateOptions = {}): Promise<Issuer> {
  const issuer = options.issuer ?? (await rootOf(bench));
  return makeCertificate({
    ...{ subject: [['CN', name]], issuer, isBare: issuer.keyId.length === 0, usages: [CLIENT_AUTH] },
    ...options,
  });
}

const keyOf = async (bench: Bench, name: string): Promise<KeyObject> =>
  createPrivateKey(await readFile(bench.recipe(`${name}.pem`)));

interface Tunnel {
  readonly pksigd: Pksigd;
  readonly client: OpenVpnClient;
  readonly server: OpenVpnServer;
}

async function tunnel(
  bench: Bench,
  args: readonly string[],
  { hint = 'any', clientArgs = [] }: { hint?: string; clientArgs?: readonly string[] } = {},
): Promise<Tunnel> {
  const management = { address: bench.path('management'), port: 'unix' };
  const server = await bench.server();
  const pksigd = await bench.pksigd(['run', ...managementArgs(management), ...args]);
  const client = bench.client(server, { management, certificate: { hint }, args: clientArgs });
  return { pksigd, client, server };
}

const ACTION = ['--on-certificate-change', 'restart'];
const verified = (server: OpenVpnServer, depth: number, name: string): Promise<unknown> =>
  server.logged(new RegExp(`VERIFY OK: depth=${depth}, (.*, )?CN=${name}$`));

/** Changes what is on the token, as its owner. */
async function onToken(bench: Bench, program: 'pkcs11-tool' | 'softhsm2-util', ...args: string[]): Promise<void> {
  const pin = ['--pin', await bench.pin()];
  const module =
    program === 'pkcs11-tool' ? ['--module', inject('softhsmModule'), '--token-label', 'pksigd', '--login'] : [];
  const env = { ...process.env, SOFTHSM2_CONF: await bench.token() };
  await run(program, [...module, ...args, ...pin], { env });
}

async function putCertificate(bench: Bench, label: string, id: string, { certificate }: Issuer): Promise<void> {
  const file = await bench.write(`${label}.der`, certificate.raw);
  await onToken(bench, 'pkcs11-tool', '--write-object', file, '--type', 'cert', '--label', label, '--id', id);
}

/** p256's place in softhsm/make-token. */
const P256 = '04';

describe('a certificate that is renewed under a running tunnel', () => {
  test.for([
    { about: '', clientArgs: [], signals: ['SIGUSR1'] },
    { about: ', with persist-key', clientArgs: ['--persist-key'], signals: ['SIGUSR1', 'SIGHUP'] },
  ])('in its file: SIGHUP, and the next handshake uses it$about', async ({ clientArgs, signals }, { bench }) => {
    const key = await keyOf(bench, 'p256');
    const cert = await bench.write('client.crt', (await issued(bench, 'before', { key })).certificate.toString());
    const args = ['--key', bench.recipe('p256.pem'), '--cert', cert, ...ACTION];
    const { pksigd, client, server } = await tunnel(bench, args, { clientArgs });
    await client.connected();
    await verified(server, 0, 'before');

    await bench.write('client.crt', (await issued(bench, 'after', { key })).certificate.toString());
    pksigd.kill('SIGHUP');
    expect(await pksigd.message('the key has another certificate')).toMatchObject({ certificate: 'CN=after' });
    await verified(server, 0, 'after');
    const sent = pksigd.messages('the certificate has changed: the daemon gets a signal');
    expect(sent.map(({ signal }) => signal)).toEqual(signals);
    expect(pksigd.messages('failed')).toEqual([]);
  });

  test('on its token: it is read when the daemon asks, and with it what leads to the root', async ({ bench }) => {
    const key = await keyOf(bench, 'p256');
    const sub = await issued(bench, 'sub', { isCa: true, usages: [] });
    const low = await issued(bench, 'low', { issuer: { ...sub, keyId: Buffer.alloc(0) }, isCa: true, usages: [] });
    const byLow = { ...low, keyId: Buffer.alloc(0) };
    await putCertificate(bench, 'p256', P256, await issued(bench, 'before', { key, issuer: byLow }));
    await putCertificate(bench, 'sub', '71', sub);
    await putCertificate(bench, 'low', '72', low);
    await putCertificate(bench, 'root', '73', await rootOf(bench));
    const { pksigd, client, server } = await tunnel(bench, ['--key', bench.key('p256', 'SoftHSM')]);
    await client.connected();
    await verified(server, 2, 'sub');
    await verified(server, 1, 'low');
    await verified(server, 0, 'before');

    await putCertificate(
      bench,
      'p256',
      P256,
      await issued(bench, 'after', { key, issuer: byLow, to: new Date(Date.now() + 300 * 86_400_000) }),
    );
    client.kill('SIGUSR1');
    await client.connected(2);
    await verified(server, 0, 'after');
    expect(pksigd.messages('the key has another certificate')).toHaveLength(1);
  });

  test('with another key pair under the same label: it is taken over, with a warning', async ({ bench }) => {
    const args = ['--key', bench.key('p256', 'SoftHSM'), ...ACTION];
    const { pksigd, client, server } = await tunnel(bench, args);
    await client.connected();
    await verified(server, 0, 'pksigd p256');

    for (const type of ['privkey', 'pubkey', 'cert'])
      await onToken(bench, 'pkcs11-tool', '--delete-object', '--type', type, '--id', P256);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const file = await bench.write('other.pem', String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
    await onToken(bench, 'softhsm2-util', '--import', file, '--token', 'pksigd', '--label', 'p256', '--id', P256);
    await putCertificate(bench, 'p256', P256, await issued(bench, 'other', { key: privateKey }));
    pksigd.kill('SIGHUP');
    await pksigd.message('another key pair is in its place: it is used from now on');
    await client.connected(2);
    await verified(server, 0, 'other');
  });
});

describe('a certificate that is chosen', () => {
  const anyKey = (bench: Bench): string => bench.key('p256', 'SoftHSM').replace(';object=p256', '');

  test('by words, among all of a token', async ({ bench }) => {
    const args = ['--key', anyKey(bench), '--select', 'SUBJ:P384', 'EKU:clientAuth'];
    const { client, server, pksigd } = await tunnel(bench, args);
    await client.connected();
    await verified(server, 0, 'pksigd p384');
    expect(pksigd.messages('key ready')[0]).toMatchObject({ certificate: 'CN=pksigd p384', daysLeft: 29 });
  });

  test("by words in the daemon's hint", async ({ bench }) => {
    const args = ['--key', anyKey(bench), '--select', 'EKU:clientAuth'];
    const { client, server } = await tunnel(bench, args, { hint: 'SUBJ:pksigd p521 ISSUER:test ca' });
    await client.connected();
    await verified(server, 0, 'pksigd p521');
  });

  test('by words that fit nothing: it is said what is there, and what comes is taken', async ({ bench }) => {
    const args = ['--key', bench.key('p256', 'SoftHSM')];
    const { client, server, pksigd } = await tunnel(bench, args, { hint: 'SUBJ:Jane Doe' });
    expect(await pksigd.message("the daemon's hint names no certificate that can be used")).toMatchObject({
      code: 'ERR_CERTIFICATE_NOT_FOUND',
      error: expect.stringMatching(/^no certificate that 'SUBJ:Jane Doe' fits: there is CN=pksigd /) as string,
    });
    await putCertificate(bench, 'p256', P256, await issued(bench, 'Jane Doe', { key: await keyOf(bench, 'p256') }));
    pksigd.kill('SIGHUP');
    await client.connected();
    await verified(server, 0, 'Jane Doe');
  });

  test('by nothing, where there are several: that is refused', async ({ bench }) => {
    const { pksigd } = await tunnel(bench, ['--key', anyKey(bench)]);
    expect(await pksigd.exited).toBe(2);
  });
});
