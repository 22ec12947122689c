import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { presentSigningKey, signingKey } from '../../../../src/agent/audit/signing-key.ts';
import { coded } from '../../management/pair.ts';

const UID = process.geteuid?.();
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-signing-key-'));
  path = join(folder, 'audit-key.pem');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const pemOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }) as string;
const refused = (text: string): unknown => coded('ERR_STATE_DIRECTORY', text);

describe('the key of audit logs', () => {
  test('is made when it is first wanted, and is the same from then on', async () => {
    expect(await presentSigningKey(folder, UID)).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);
    const key = await signingKey(folder, UID);
    expect([key.type, key.asymmetricKeyType]).toEqual(['private', 'ed25519']);
    expect(readdirSync(folder)).toEqual(['audit-key.pem']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(createPrivateKey(readFileSync(path)).equals(key)).toBe(true);
    expect((await signingKey(folder, UID)).equals(key)).toBe(true);
    expect((await presentSigningKey(folder, UID))?.equals(key)).toBe(true);
  });

  test('of agents that begin at once is one', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => signingKey(folder, UID)));
    for (const key of keys) expect(keys[0]?.equals(key)).toBe(true);
    expect(readdirSync(folder)).toEqual(['audit-key.pem']);
  });

  test('leaves no file open', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    await signingKey(folder, UID);
    const before = open();
    for (let times = 0; times < 20; times += 1) {
      rmSync(path);
      await signingKey(folder, UID);
      await presentSigningKey(folder, UID);
    }
    expect(open()).toBeLessThan(before + 10);
  });

  test.each([0o640, 0o604])('is not taken where others can read it: %o', async (mode) => {
    writeFileSync(path, pemOf(generateKeyPairSync('ed25519').privateKey), { mode });
    await expect(signingKey(folder, UID)).rejects.toEqual(refused(`others can read ${path}`));
  });

  test.each([
    [
      'a key of another kind',
      pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
      'is not an Ed25519 key',
    ],
    ['no key', 'x', `can't read the key of audit logs`],
    ['nothing', '', `can't read the key of audit logs`],
  ])('is not taken where there is %s', async (_, text, error) => {
    writeFileSync(path, text, { mode: 0o600 });
    await expect(signingKey(folder, UID)).rejects.toEqual(refused(error));
    await expect(presentSigningKey(folder, UID)).rejects.toEqual(refused(error));
    expect(readFileSync(path, 'latin1')).toBe(text);
  });

  test('that can not be read says what to do', async () => {
    writeFileSync(path, 'x', { mode: 0o600 });
    await expect(signingKey(folder, UID)).rejects.toMatchObject({ hint: 'remove it, and a new one is made' });
  });

  test('is not taken where a link leads', async () => {
    symlinkSync(join(folder, 'elsewhere'), path);
    await expect(signingKey(folder, UID)).rejects.toEqual(refused(`${path} is a symbolic link`));
    expect(readdirSync(folder)).toEqual(['audit-key.pem']);
  });

  test('can not be made where there is no folder', async () => {
    const other = join(folder, 'none');
    await expect(signingKey(other, UID)).rejects.toEqual(
      refused(`can't make the key of audit logs ${join(other, 'audit-key.pem')}`),
    );
  });

  test('leaves nothing behind where it can not get its name', async () => {
    mkdirSync(path);
    await expect(signingKey(folder, UID)).rejects.toEqual(refused(`${path} is not a file`));
    expect(readdirSync(folder)).toEqual(['audit-key.pem']);
  });
});
