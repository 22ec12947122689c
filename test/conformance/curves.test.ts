import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench } from '../support/bench.ts';
import { managementArgs } from '../support/openvpn.ts';

const run = promisify(execFile);
const CURVES = ['secp256k1', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'];

/** A key on a curve, and a certificate of the tests' CA. */
async function keyOn(bench: Bench, curve: string): Promise<{ key: string; certificate: string }> {
  const [key, certificate] = [await bench.write('key.pem', ''), bench.path('key.crt')];
  await run('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-out', key]);
  await run('openssl', ['pkey', '-in', key, '-pubout', '-out', bench.path('key.pub')]);
  const issuer = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem')];
  const subject = ['-force_pubkey', bench.path('key.pub'), '-subj', `/CN=${curve}`, '-days', '30'];
  await run('openssl', ['x509', '-new', ...subject, ...issuer, '-out', certificate]);
  return { key, certificate };
}

describe.concurrent("a key on a curve that is not NIST's completes a handshake", () => {
  const cells = CURVES.flatMap((curve) => ['nopadding', 'nopadding digest'].map((words) => ({ curve, words })));
  test.for(cells)('$curve, TLS 1.2, $words', async ({ curve, words }, { bench }) => {
    const { key, certificate } = await keyOn(bench, curve);
    const groups = ['--tls-groups', `${curve}:prime256v1`];
    const server = await bench.server({ tls: '1.2', args: groups });
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    const options = { management, externalKey: words, certificate: { hint: curve }, args: groups };
    const client = bench.client(server, options);
    const args = ['run', ...managementArgs(management), '--key', key, '--cert', certificate];
    const pksigd = await bench.pksigd(args);
    await client.connected();
    const [line] = await pksigd.signed(1);
    expect(String(line?.['scheme']).endsWith(',data=message')).toBe(words.endsWith(' digest'));
  });
});
