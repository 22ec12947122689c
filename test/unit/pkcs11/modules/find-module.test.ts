import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findModule } from '../../../../src/pkcs11/modules/find-module.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pksigd-module-'));
  path = join(folder, 'module.so');
  await writeFile(path, '');
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('a relative path counts from the current folder, also where it is a bare name that the loader would look for elsewhere', async () => {
  const name = relative('.', path);
  const bare = 'package.json';
  expect(await findModule({ modulePath: name }, undefined)).toBe(path);
  expect(await findModule({}, name)).toBe(path);
  expect(await findModule({ modulePath: bare }, undefined)).toBe(join(process.cwd(), bare));
});

test('one that is not there is told by its whole path', async () => {
  const text = `no PKCS#11 module at ${join(process.cwd(), 'none.so')}`;
  await expect(findModule({ modulePath: 'none.so' }, undefined)).rejects.toMatchObject({
    code: 'ERR_MODULE_NOT_FOUND',
    message: expect.stringContaining(text) as string,
  });
});

test('where none is named, there is none to wait for', async () => {
  await expect(findModule({ token: 'x' }, undefined)).rejects.toMatchObject({ code: 'ERR_URI', reason: 'no-module' });
});
