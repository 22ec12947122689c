import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench } from '../support/bench.ts';
import { readChecked, unhurried } from '../support/check.ts';
import { example } from '../support/exec-examples.ts';
import { managementArgs } from '../support/openvpn.ts';
import { missing, run } from './setup/token-bed.ts';
import { startSwtpm } from './setup/tpm2.ts';

const lacks = missing([], ['swtpm', 'tpm2_sign', 'tpm2_create']);
if (lacks !== undefined) console.warn(`exec-tpm: left out: ${lacks}`);

const PARENT = '0x81000001';
const PIN = 'the password of the key';
const ATTRIBUTES = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign';

/** A TPM with a persistent parent, and what its users find it by. */
class Tpm {
  readonly env: Record<string, string>;
  readonly #bench: Bench;

  private constructor(bench: Bench, env: Record<string, string>) {
    this.#bench = bench;
    this.env = env;
  }

  /** swtpm has no resource manager, as /dev/tpmrm0 is one: each tool is followed by one that flushes. */
  static async start(bench: Bench): Promise<Tpm> {
    await mkdir(bench.path('tpm'));
    const { tcti } = await startSwtpm(bench);
    await mkdir(bench.path('tools'));
    const flush = 'for what in t l s; do tpm2_flushcontext -$what; done >/dev/null 2>&1';
    for (const tool of ['createprimary', 'evictcontrol', 'create', 'load', 'readpublic', 'sign']) {
      const file = join(bench.path('tools'), `tpm2_${tool}`);
      await writeFile(file, `#!/bin/sh\n/usr/bin/tpm2_${tool} "$@"\nstatus=$?\n${flush}\nexit $status\n`);
      await chmod(file, 0o755);
    }
    const path = `${bench.path('tools')}:${process.env['PATH'] ?? ''}`;
    const tpm = new Tpm(bench, { PATH: path, TPM2TOOLS_TCTI: tcti, TSS2_LOG: 'all+NONE' });
    await tpm.tool('createprimary', '-C', 'o', '-c', bench.path('primary.ctx'));
    await tpm.tool('evictcontrol', '-C', 'o', '-c', bench.path('primary.ctx'), PARENT);
    return tpm;
  }

  async tool(name: string, ...args: string[]): Promise<void> {
    await run(`tpm2_${name}`, ['-Q', ...args], { env: this.env });
  }

  /** Makes a key in files. @returns the words that name it */
  async key(algorithm: string, pin?: string): Promise<string> {
    const [publicFile, privateFile] = [this.#bench.path('key.pub'), this.#bench.path('key.priv')];
    const files = ['-u', publicFile, '-r', privateFile];
    const auth = pin === undefined ? [] : ['-p', pin];
    await this.tool('create', '-C', PARENT, '-G', algorithm, '-a', ATTRIBUTES, ...files, ...auth);
    return `${publicFile} ${privateFile} ${PARENT}`;
  }

  /** A certificate for a key in files, by the tests' CA. */
  async certificate(): Promise<string> {
    const at = (name: string): string => this.#bench.path(name);
    await this.tool('load', '-C', PARENT, '-u', at('key.pub'), '-r', at('key.priv'), '-c', at('key.ctx'));
    await this.tool('readpublic', '-c', at('key.ctx'), '-f', 'pem', '-o', at('key.pem'));
    const issuer = ['-CA', this.#bench.recipe('ca.crt'), '-CAkey', this.#bench.recipe('ca.pem')];
    const subject = ['-force_pubkey', at('key.pem'), '-subj', '/CN=tpm', '-days', '30'];
    await run('openssl', ['x509', '-new', ...subject, ...issuer, '-out', at('key.crt')]);
    return at('key.crt');
  }
}

describe.skipIf(lacks !== undefined)('a key of a TPM, by tpm2-tools', () => {
  const cells = [
    { algorithm: 'ecc256', signs: ['ECDSA'] },
    { algorithm: 'rsa2048', signs: ['RSA_PKCS1_PADDING', 'RSA_PKCS1_PSS_PADDING'] },
  ];
  test.for(cells)('$algorithm: all that the program claims is signed', async ({ algorithm, signs }, { bench }) => {
    const tpm = await Tpm.start(bench);
    const key = `exec:${await example(bench, 'tpm2')} ${await tpm.key(algorithm)}`;
    const { code, of } = await unhurried(
      async () => await readChecked(await bench.pksigd(['check', '--json', '--key', key], { env: tpm.env })),
    );
    const wanted = signs.flatMap((scheme) =>
      ['digest', 'message'].map((kind) => `${scheme} of a ${kind} (SHA256, SHA384)`),
    );
    const signed = of('signature').filter(({ outcome }) => outcome === 'ok');
    expect(signed.map(({ detail }) => detail.replace(/ by .*/, ''))).toEqual(wanted);
    expect(of('signature').some(({ outcome }) => outcome === 'fail')).toBe(false);
    expect(code).toBe(0);
  });

  test('a real OpenVPN connects with it, and its password goes over standard input', async ({ bench }) => {
    const tpm = await Tpm.start(bench);
    const key = `exec:${await example(bench, 'tpm2')} --pin ${await tpm.key('ecc256', PIN)}`;
    const certificate = await tpm.certificate();
    const server = await bench.server({ tls: '1.3' });
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    const client = bench.client(server, { management, externalKey: 'nopadding', certificate: { hint: 'tpm' } });
    const pin = await bench.write('pin', `${PIN}\n`);
    const args = [...managementArgs(management), '--key', key, '--cert', certificate, '--pin-source', pin];
    const pksigd = await bench.pksigd(['run', ...args], { env: tpm.env });
    await client.connected();
    const [line] = await pksigd.signed(1);
    expect(line).toMatchObject({ mechanism: 'TPM ecdsa' });
    expect(await pksigd.stop()).toBe(0);
  });

  test('a wrong password is told as such, and tried once', async ({ bench }) => {
    const tpm = await Tpm.start(bench);
    const key = `exec:${await example(bench, 'tpm2')} --pin ${await tpm.key('ecc256', PIN)}`;
    const wrong = await bench.write('wrong', 'wrong\n');
    const sign = async (): Promise<string> => {
      const input = Buffer.alloc(32, 7).toString('base64');
      const args = ['sign', '--algorithm', 'ECDSA', '--key', key, '--pin-source', wrong];
      const pksigd = await bench.pksigd(args, { env: tpm.env, input });
      expect(await pksigd.exited).toBe(4);
      return pksigd.stderr.join('\n');
    };
    expect(await sign()).toMatch(/TPM error \(0x98e\)/);
    expect(await sign()).toMatch(/refused this PIN before/);
  });
});
