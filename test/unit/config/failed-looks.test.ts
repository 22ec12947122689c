import type * as FsPromises from 'node:fs/promises';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readConfiguration } from '../../../src/config/file/configuration.ts';
import { filesOf, isPattern } from '../../../src/config/file-pattern.ts';
import { parseSecretSource, readSecret } from '../../../src/config/secret-source.ts';
import { Secret } from '../../../src/secret.ts';
import { FAILING } from '../../support/failing-calls.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../support/failing-calls.ts');
  return { ...fs, readdir: unlessFailing(fs.readdir), stat: unlessFailing(fs.stat) };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-looks-'));
  for (const name of ['a', 'b']) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'x.ovpn'), 'management x.sock unix\nmanagement-external-key\n');
  }
});
afterEach(() => {
  FAILING.clear();
  rmSync(folder, { recursive: true });
});

const NOW = ['EMFILE', 'ENFILE', 'EIO', 'ENOMEM'];

test.each([...NOW, 'EACCES', 'ELOOP'])('a folder that can not be read (%s) is not one without files', async (code) => {
  FAILING.set(join(folder, 'a'), code);
  await expect(filesOf(join(folder, 'a', '*.ovpn'))).rejects.toThrow(`can't look at ${join(folder, 'a')}: ${code}`);
});

test.each([...NOW, 'EACCES'])('a file that can not be looked at (%s) is not gone', async (code) => {
  FAILING.set(join(folder, 'a', 'x.ovpn'), code);
  await expect(filesOf(join(folder, 'a', '*.ovpn'))).rejects.toThrow(code);
  FAILING.set(join(folder, '[a].ovpn'), code);
  await expect(isPattern(join(folder, '[a].ovpn'))).rejects.toThrow(code);
});

test('of folders that a pattern fits one that is closed, or behind links in a circle, is passed over', async () => {
  symlinkSync('circle', join(folder, 'circle'));
  symlinkSync('y.ovpn', join(folder, 'a', 'y.ovpn'));
  FAILING.set(join(folder, 'b'), 'EACCES');
  expect(await filesOf(join(folder, '*', '*.ovpn'))).toEqual([join(folder, 'a', 'x.ovpn')]);
  expect(await filesOf(join(folder, 'a', '*.ovpn'))).toEqual([join(folder, 'a', 'x.ovpn')]);
  FAILING.set(join(folder, 'b'), 'EMFILE');
  await expect(filesOf(join(folder, '*', '*.ovpn'))).rejects.toThrow('EMFILE');
});

test('a pattern that is longer than any name is one', async () => {
  expect(await isPattern(join(folder, `${'x'.repeat(300)}*`))).toBe(true);
});

test('a configuration whose pattern can not be looked at is refused, so that a reload ends no tunnel', async () => {
  const path = join(folder, 'p.toml');
  writeFileSync(path, '[key.k]\nkey = "k.pem"\n[tunnel.all]\nopenvpn-config = "*/*.ovpn"\n');
  expect(Object.keys((await readConfiguration(path)).settings.tunnels)).toEqual(['x']);
  FAILING.set(join(folder, 'a'), 'EMFILE');
  await expect(readConfiguration(path)).rejects.toMatchObject({
    code: 'ERR_CONFIG_NOT_FOUND',
    details: [`${path}:4:18: can't look at ${join(folder, 'a')}: EMFILE: made to fail, readdir`],
  });
});

describe('a credential', () => {
  const read = async (source: string): Promise<string> => {
    const secret = await readSecret(parseSecretSource(source), 'PIN', {
      credentialsDirectory: join(folder, 'a'),
      prompt: () => Promise.resolve(new Secret('')),
      warn: () => undefined,
      run: () => Promise.reject(new Error('nothing is run')),
    });
    return secret.reveal();
  };

  test.each(NOW)('that can not be looked at (%s) is not a file of its name in the current folder', async (code) => {
    writeFileSync(join(folder, 'a', 'package.json'), '4711');
    expect(await read('package.json')).toBe('4711');
    FAILING.set(join(folder, 'a', 'package.json'), code);
    expect(await read('package.json')).toBe('4711');
    FAILING.set(join(folder, 'a'), code);
    await expect(read('package.json')).rejects.toThrow(`the folder of credentials can't be read (${code})`);
    await expect(read('credential:package.json')).rejects.toThrow(code);
  });

  test('whose name is longer than any is none', async () => {
    await expect(read('x'.repeat(300))).rejects.toThrow('the name is too long for a file');
  });
});
