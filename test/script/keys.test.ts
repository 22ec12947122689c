import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, inject } from 'vitest';
import type { KeysDocument, KeyEntry } from '../../src/cli/keys-document.ts';
import { KEYS, test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { Pksigd, type PksigdOptions } from '../support/pksigd.ts';

const USAGE = 2;
const ABSENT = 3;
const PIN = 4;

async function keys(bench: Bench, args: readonly string[], options?: PksigdOptions): Promise<Pksigd> {
  const pksigd = bench.adopt(new Pksigd(bench.folder, ['keys', ...args], await bench.token(), options ?? {}));
  await pksigd.exited;
  return pksigd;
}

const here = (): string[] => ['--module', inject('softhsmModule')];

/** The document that it printed, after it ended well. */
async function listed(bench: Bench, args: readonly string[]): Promise<KeysDocument> {
  const pksigd = await keys(bench, [...args, '--json']);
  expect(await pksigd.exited, pksigd.transcript).toBe(0);
  return JSON.parse(pksigd.stdout.join('\n')) as KeysDocument;
}

const keysOf = ({ modules }: KeysDocument): KeyEntry[] =>
  modules.flatMap(({ tokens }) => tokens.flatMap((token) => token.keys));

async function run(bench: Bench, command: string, ...args: string[]): Promise<void> {
  const child = bench.adopt(new Child(command, command, args, { env: { SOFTHSM2_CONF: await bench.token() } }));
  expect(await child.exited, child.transcript).toBe(0);
}

/** Another token beside the bench's. */
async function addToken(bench: Bench, label: string): Promise<void> {
  const pin = ['--so-pin', await bench.pin(), '--pin', await bench.pin()];
  await run(bench, 'softhsm2-util', '--init-token', '--free', '--label', label, ...pin);
}

async function importKey(bench: Bench, at: readonly string[], label: string): Promise<void> {
  const key = ['--import', bench.recipe('p256.pem'), '--label', label, '--id', '7f', '--pin', await bench.pin()];
  await run(bench, 'softhsm2-util', ...key, ...at);
}

/** Signs with what was printed, as --key and as --cert. */
async function signs(bench: Bench, uri: string, more: readonly string[] = []): Promise<void> {
  const args = ['sign', '--key', uri, '--pin-source', bench.pinFile, ...more];
  const input = Buffer.alloc(32, 7).toString('base64');
  const pksigd = await bench.pksigd(args, { input });
  expect(await pksigd.exited, pksigd.transcript).toBe(0);
  expect(pksigd.stdout).not.toEqual([]);
}

const KINDS = ['RSA-2048', 'RSA-3072', 'RSA-4096', 'P-256', 'P-384', 'P-521', 'ED25519', 'ED448'];

describe.concurrent('pksigd keys', () => {
  test('without a PIN shows what everybody may see, and asks nobody', async ({ bench }) => {
    const document = await listed(bench, here());
    expect(document.modules).toMatchObject([
      { path: inject('softhsmModule'), tokens: [{ label: 'pksigd', login: 'needed', pin: 'ok', keypad: false }] },
    ]);
    const found = keysOf(document);
    expect(found.map(({ kind }) => kind)).toEqual(KINDS);
    expect(found.map(({ label }) => label)).toEqual(KEYS);
    for (const { privateKey, signs, certificates, label } of found) {
      expect(privateKey).toBe('unseen');
      expect(signs).not.toEqual([]);
      expect(certificates).toMatchObject([
        { subject: `CN=pksigd ${label}`, issuer: 'CN=pksigd test CA', validity: 'valid' },
      ]);
    }
    expect(existsSync(bench.path('state'))).toBe(false);
  });

  test('with a PIN shows private keys; what it prints can be pasted as --key and as --cert; the PIN is nowhere', async ({
    bench,
  }) => {
    const withPin = [...here(), '--pin-source', bench.pinFile, '--log-level', 'trace'];
    const found = keysOf(await listed(bench, withPin));
    expect(found).toHaveLength(KEYS.length);
    for (const { privateKey, alwaysAuthenticate } of found) {
      expect({ privateKey, alwaysAuthenticate }).toEqual({ privateKey: 'present', alwaysAuthenticate: false });
    }
    const text = await keys(bench, withPin);
    const line = text.stdout.find((each) => each.includes('object=p256'));
    const [, uri = ''] = /^ +'(pkcs11:[^']+)'$/.exec(line ?? '') ?? [];
    await signs(bench, uri, ['--cert', uri]);
    expect(bench.transcript.includes(await bench.pin())).toBe(false);
  });

  test('what is printed without a PIN can be pasted too', async ({ bench }) => {
    const p256 = keysOf(await listed(bench, here())).find(({ label }) => label === 'p256');
    await signs(bench, p256?.uri ?? '', ['--cert', p256?.uri ?? '']);
  });

  test('for people: kinds, URIs and a few lines of how', async ({ bench }) => {
    const { stdout } = await keys(bench, [...here(), 'pkcs11:object=rsa2048']);
    expect(stdout).toEqual([
      `module ${inject('softhsmModule')}`,
      expect.stringMatching(/^ {2}token 'pksigd' \(SoftHSM project, SoftHSM v2, serial \w+\): login needed$/),
      "    RSA-2048 'rsa2048' id 01 (needs login to be certain: its private key is not visible without)",
      `      'pkcs11:token=pksigd;id=%01?module-path=${inject('softhsmModule')}'`,
      `      in a systemd unit: 'pkcs11:token=pksigd;id=%%01?module-path=${inject('softhsmModule')}'`,
      expect.stringMatching(
        /^ {6}certificate CN=pksigd rsa2048, issued by CN=pksigd test CA, valid until \d{4}-\d\d-\d\d$/,
      ),
      expect.stringMatching(/^ {6}PKCS #1 \(TLS 1.0 and 1.1, TLS 1.2\) +CKM_RSA_PKCS$/),
      expect.stringMatching(/^ {6}PSS \(TLS 1.2 and 1.3\) +CKM_RSA_PKCS_PSS$/),
      expect.stringMatching(/^ {6}padded block \(TLS 1.2 and 1.3; argument 'nopadding'\) +CKM_RSA_X_509$/),
      expect.stringContaining('pksigd check'),
    ]);
  });

  test('tokens of one label are told apart by their serial, in URIs that work', async ({ bench }) => {
    await addToken(bench, 'pksigd');
    const found = keysOf(await listed(bench, here()));
    expect(found).toHaveLength(KEYS.length);
    for (const { uri } of found) expect(uri).toMatch(/^pkcs11:token=pksigd;serial=\w+;id=/);
    await signs(bench, found.find(({ label }) => label === 'p256')?.uri ?? '');
  });

  test('keys of one label are told apart by their id', async ({ bench }) => {
    await importKey(bench, ['--token', 'pksigd'], 'p256');
    const found = keysOf(await listed(bench, [...here(), '--pin-source', bench.pinFile, 'pkcs11:object=p256']));
    expect(found.map(({ uri }) => uri.replace(/\?.*/, ''))).toEqual([
      'pkcs11:token=pksigd;id=%04',
      'pkcs11:token=pksigd;id=%7F',
    ]);
    await signs(bench, found[1]?.uri ?? '');
  });

  test('labels do nothing to a terminal', async ({ bench }) => {
    await addToken(bench, 'evil\u001b[2J');
    const evil = 'a\u001b[31m\u202eb\nmodule /fake';
    await importKey(bench, ['--token', 'evil\u001b[2J'], evil);
    const text = await keys(bench, here());
    expect(text.stdout.join('\n').replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(text.stdout.filter((line) => line.startsWith('module '))).toHaveLength(1);
    expect(text.stdout).toContainEqual(expect.stringContaining("'a\\u{1b}[31m\\u{202e}b\\u{a}module /fake'"));
    const ambiguous = await keys(bench, [...here(), '--pin-source', bench.pinFile]);
    expect(ambiguous.stderr).toEqual([expect.stringContaining("'evil\\u{1b}[2J'")]);
    const document = await listed(bench, here());
    const key = keysOf(document).find(({ label }) => label === evil);
    await signs(bench, key?.uri ?? '');
  });

  test('a module that does not load hides no other', async ({ bench }) => {
    const pksigd = await keys(bench, ['--module', bench.recipe('ca.crt'), ...here(), '--json']);
    expect(await pksigd.exited).toBe(0);
    const document = JSON.parse(pksigd.stdout.join('\n')) as KeysDocument;
    expect(document.modules).toMatchObject([{ error: { code: 'ERR_MODULE_LOAD' }, tokens: [] }, { tokens: [{}] }]);
    expect(keysOf(document)).toHaveLength(KEYS.length);
    expect(pksigd.stderr).toEqual([expect.stringMatching(/^pksigd: .*ca\.crt/)]);
  });
});

describe.concurrent('pksigd keys fails', () => {
  async function fails(bench: Bench, args: readonly string[], code: number, line: RegExp): Promise<void> {
    const pksigd = await keys(bench, args);
    expect(await pksigd.exited, pksigd.transcript).toBe(code);
    expect(pksigd.stdout).toEqual([]);
    expect(pksigd.stderr.filter((each) => each.startsWith('pksigd: '))).toEqual([expect.stringMatching(line)]);
  }

  test('when no module loads', ({ bench }) =>
    fails(bench, ['--module', bench.recipe('ca.crt')], USAGE, /^pksigd: .*ca\.crt.* \[ERR_MODULE_LOAD\]$/));

  test.for([['--module'], []])('when the module is not there: %s', ([option], { bench }) => {
    const path = bench.path('none.so');
    const named = option === undefined ? [`pkcs11:?module-path=${path}`] : [option, path];
    return fails(bench, named, ABSENT, /^pksigd: no PKCS#11 module at .*none\.so \[ERR_MODULE_NOT_FOUND\]$/);
  });

  test('when no token fits', ({ bench }) => fails(bench, [...here(), 'pkcs11:token=other'], ABSENT, /no token that/));

  test('when no key fits', ({ bench }) =>
    fails(bench, [...here(), 'pkcs11:object=other'], ABSENT, /no key that .*--pin-source/));

  test('for a URI that is none', ({ bench }) =>
    fails(bench, [...here(), 'token=pksigd'], USAGE, /bad pkcs11 URI|pkcs11:/));

  test('with one initialisation string for several modules', ({ bench }) =>
    fails(bench, [...here(), '--module', bench.recipe('ca.crt'), '--module-init-args', 'x'], USAGE, /for one module/));

  test('with one PIN for several tokens, before it is tried on any; named, one takes it', async ({ bench }) => {
    await addToken(bench, 'other');
    const withPin = [...here(), '--pin-source', bench.pinFile];
    await fails(bench, withPin, USAGE, /^pksigd: one PIN for several tokens: .*'other'.*'pksigd'|'pksigd'.*'other'/);
    expect(existsSync(bench.path('state'))).toBe(false);
    const found = keysOf(await listed(bench, [...withPin, 'pkcs11:token=pksigd']));
    expect(found.map(({ privateKey }) => privateKey)).toContain('present');
  });

  test('with a wrong PIN, which is tried once', async ({ bench }) => {
    const wrong = [...here(), '--pin-source', await bench.write('wrong.pin', '5550123\n'), '--log-level', 'trace'];
    await fails(bench, wrong, PIN, /^pksigd: token 'pksigd' refused the PIN .*CKR_PIN_INCORRECT/);
    await fails(bench, wrong, PIN, /^pksigd: token 'pksigd' refused this PIN before/);
    expect(bench.transcript.includes('5550123')).toBe(false);
  });
});

const MODULE_FILE = '/usr/share/p11-kit/modules/softhsm2.module';
test.skipIf(!existsSync(MODULE_FILE))("without --module: p11-kit's, by their names", async ({ bench }) => {
  expect(await readFile(MODULE_FILE, 'utf8')).toContain('module:');
  const { modules } = await listed(bench, []);
  expect(modules.map(({ name }) => name)).not.toContain('p11-kit-trust');
  const softhsm = modules.find(({ name }) => name === 'softhsm2');
  const p256 = softhsm?.tokens[0]?.keys.find(({ label }) => label === 'p256');
  expect(p256?.uri).toBe('pkcs11:token=pksigd;id=%04?module-name=softhsm2');
  await signs(bench, p256?.uri ?? '');
});
