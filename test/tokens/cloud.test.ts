import { describe, expect, test } from 'vitest';
import type { KeysDocument } from '../../src/cli/keys-document.ts';
import { unhurriedLines } from '../support/check.ts';
import { cloudSetup, type CloudBed, type CloudKind } from './setup/cloud.ts';
import type { BedKey } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';
import { requestsFor, type Request } from './support/requests.ts';
import { TokenTunnel } from './support/tunnel.ts';

const HASH = /hashalg=([A-Z0-9-]+)/;
const SALT = /saltlen=(\w+)/;

/** What a request asks for, in short: `PSS SHA256 digest`. */
function nameOf({ column, algorithm, data }: Request): string {
  const [, hash = `${data.length} bytes`] = HASH.exec(algorithm) ?? [];
  const [, salt = ''] = SALT.exec(algorithm) ?? [];
  return [column, hash, salt].filter(Boolean).join(' ');
}

/** Signs all that a daemon may ask of a key. @returns by what, and what could not be signed, with its error */
async function signAll(
  bed: CloudBed,
  key: BedKey,
): Promise<{ signed: Map<string, string>; refused: Map<string, string> }> {
  await using agent = await AgentKey.open(bed, key);
  const signed = new Map<string, string>();
  const refused = new Map<string, string>();
  for (const request of requestsFor(bed.bench, key.name)) {
    const { algorithm, data, verifies } = request;
    try {
      const { bytes, mechanism } = await agent.sign(algorithm, data);
      expect(verifies(bytes, key.publicKey), algorithm).toBe(true);
      signed.set(nameOf(request), mechanism);
    } catch (error) {
      refused.set(nameOf(request), (error as { code: string }).code);
    }
  }
  return { signed, refused };
}

const named = (of: ReadonlyMap<string, string>, pattern: RegExp): string[] =>
  [...new Set([...of].filter(([name]) => pattern.test(name)).map(([, value]) => value))].toSorted();

/** `keys` and `check --login` on a key: the ways of signing that are listed, and the check's lines. */
async function look(bed: CloudBed, key: BedKey): Promise<{ ways: string[]; check: string[]; status: number | null }> {
  const env = { ...bed.environment };
  const uri = `pkcs11:${key.uri}?module-path=${bed.modulePath}`;
  const keys = await bed.bench.pksigd(['keys', uri, '--json'], { env });
  expect(await keys.exited, keys.transcript).toBe(0);
  const [entry] = (JSON.parse(keys.stdout.join('\n')) as KeysDocument).modules.flatMap(({ tokens }) =>
    tokens.flatMap((token) => token.keys),
  );
  const { check, status } = await unhurriedLines(
    async () => {
      const started = await bed.bench.pksigd(['check', '--key', uri, '--login'], { env });
      return { status: await started.exited, check: started.stdout };
    },
    (done) => done.check,
  );
  const ways = entry?.signs.flatMap((row) => row.ways.map(({ way }) => way)) ?? [];
  return { ways: [...new Set(ways)], check, status };
}

function describeShim(
  kind: CloudKind,
  tests: (withShim: (use: (bed: CloudBed) => Promise<void>) => Promise<void>) => void,
) {
  const setup = cloudSetup(kind);
  describe.skipIf(setup.unavailable() !== undefined)(`a module that behaves as ${kind}'s`, () => {
    tests((use) => withBed(setup, use));
  });
}

describeShim('aws', (withShim) => {
  test('lists less than it does, and signs another hash than it was given: RSA', { timeout: 120_000 }, async () => {
    await withShim(async (bed) => {
      const { signed, refused } = await signAll(bed, bed.key('rsa2048'));
      // PSS is not listed; the module does it with three hashes, and a salt as long as the hash
      expect(named(signed, /^PSS, .* SHA(256|384|512) digest/)).toEqual(['CKM_RSA_PKCS_PSS']);
      expect(named(refused, /^PSS, .* (SHA1|SHA224) /)).toEqual(['ERR_SCHEME_UNSUPPORTED']);
      expect(named(refused, /^PSS, .* (max|0)$/)).toEqual(['ERR_SCHEME_UNSUPPORTED', 'ERR_SIGNATURE_INVALID']);
      expect(named(signed, /^PKCS #1, (DigestInfo (51|67|83)|message SHA(256|384|512))/)).toEqual(['CKM_RSA_PKCS']);
      // signed as a digest of SHA-384
      expect(named(refused, /MD5-SHA1|36 bytes/)).toEqual(['ERR_SIGNATURE_INVALID']);
    });
  });

  test.each(['p256', 'p384', 'p521'] as const)('%s: all digests, r and s without leading zeros', async (name) => {
    await withShim(async (bed) => {
      for (let round = 0; round < 2; round++) {
        const { signed, refused } = await signAll(bed, bed.key(name));
        expect(refused).toEqual(new Map());
        expect(new Set(signed.values())).toEqual(new Set(['CKM_ECDSA', 'zeros + CKM_ECDSA']));
      }
    });
  });

  test('check tries what is not listed, and writes the lines that it makes possible', async () => {
    await withShim(async (bed) => {
      const { ways, check, status } = await look(bed, bed.key('rsa2048'));
      expect(ways).toEqual(['CKM_RSA_PKCS']);
      expect(status).toBe(0);
      expect(check).toContainEqual(expect.stringMatching(/RSA_PKCS1_PSS_PADDING of a digest .* by CKM_RSA_PKCS_PSS/));
      expect(check).toContain('management-external-key pkcs1 pss');
    });
  });

  test('run says that what is not listed may work', async () => {
    await withShim(async (bed) => {
      const { bench, environment: env, modulePath } = bed;
      const { uri } = bed.key('rsa2048');
      const complaints = async (words: string): Promise<string[]> => {
        const cert = bench.recipe('rsa2048.crt');
        const text = `management m unix\nmanagement-hold\ncert ${cert}\nmanagement-external-key ${words}\n`;
        const config = await bench.write('x.ovpn', text);
        const args = ['run', '--openvpn-config', config, '--key', `pkcs11:${uri}?module-path=${modulePath}`];
        const pksigd = await bench.pksigd([...args, '--log-level', 'debug'], { env: { ...env } });
        const said = (): string[] => pksigd.log.map(({ level, msg }) => `${String(level)} ${String(msg)}`);
        await pksigd.until('the last check', () => said().find((line) => line.includes(' config: TLS 1.3')));
        pksigd.kill();
        await pksigd.exited;
        return said().filter((line) => line.includes(' config: '));
      };
      const may = expect.stringMatching(
        /^warn config: TLS 1\.3 .* it may do more: 'pksigd check' with a login tries it/,
      ) as string;
      expect(await complaints('pkcs1 pss')).toEqual(['debug config: management-external-key pkcs1 pss', may]);
    });
  });

  test('under a real tunnel with TLS 1.3: the unlisted mechanism is tried once', { timeout: 120_000 }, async () => {
    await withShim(async (bed) => {
      await using tunnel = await TokenTunnel.start(bed, bed.key('rsa2048'), {
        clientArgs: ['--management-external-key', 'pss', 'pkcs1'],
      });
      await tunnel.client.connected();
      await tunnel.again();
      const [first] = await bed.signatures();
      expect(first).toBe('0xd 32 0x0');
      expect(new Set(await bed.signatures())).toEqual(new Set([first]));
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
    });
  });
});

describeShim('google', (withShim) => {
  test('one algorithm a key: only that is tried', { timeout: 120_000 }, async () => {
    await withShim(async (bed) => {
      const pss = await signAll(bed, bed.key('rsa2048'));
      expect(named(pss.signed, /^PSS, .* SHA256 digest/)).toEqual(['CKM_RSA_PKCS_PSS']);
      expect(named(pss.refused, /^(PKCS|raw)/)).toEqual(['ERR_SCHEME_UNSUPPORTED']);
      expect([...pss.signed.keys()].filter((name) => !name.endsWith(' SHA256 digest'))).toEqual([]);
      const tried = (await bed.signatures()).map((line) => line.split(' ')[0]);
      expect(new Set(tried)).toEqual(new Set(['0xd']));
      const pkcs1 = await signAll(bed, bed.key('rsa3072'));
      expect(named(pkcs1.signed, /./)).toEqual(['CKM_RSA_PKCS']);
      expect(named(pkcs1.refused, /^PSS/)).toEqual(['ERR_SCHEME_UNSUPPORTED']);
    });
  });

  test('P-384: a digest of SHA-256 gets zeros before it', async () => {
    await withShim(async (bed) => {
      const { signed, refused } = await signAll(bed, bed.key('p384'));
      expect(refused).toEqual(new Map());
      expect(signed.get('P-384 32 bytes')).toBe('zeros + CKM_ECDSA');
      expect(signed.get('P-384 48 bytes')).toBe('CKM_ECDSA');
    });
  });

  test('keys and check promise what the key allows, not what the token lists', async () => {
    await withShim(async (bed) => {
      expect(await look(bed, bed.key('rsa2048'))).toMatchObject({
        ways: ['CKM_RSA_PKCS_PSS'],
        check: expect.arrayContaining(['management-external-key pss']) as string[],
        status: 0,
      });
      const pkcs1 = await look(bed, bed.key('rsa3072'));
      expect(pkcs1.ways).toEqual(['CKM_RSA_PKCS']);
      expect(pkcs1.check).toContain('management-external-key pkcs1');
      expect(pkcs1.check).toContain('tls-version-max 1.2');
    });
  });
});
