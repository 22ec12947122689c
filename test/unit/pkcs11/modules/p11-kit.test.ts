import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configuredModules } from '../../../../src/pkcs11/modules/find-module.ts';
import { p11KitModules, type P11KitFolders } from '../../../../src/pkcs11/modules/p11-kit.ts';

let root: string;
let folders: P11KitFolders;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pksigd-p11-kit-'));
  folders = { packages: join(root, 'packages'), system: join(root, 'system'), user: join(root, 'user') };
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

/** Writes files; `packages/`, `system/`, `user/` as in P11KitFolders. */
async function configure(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

const MODULES = {
  'packages/a.module': 'module: /packages/a.so\n',
  'system/modules/b.module': 'module: /system/b.so\n',
  'user/modules/c.module': 'module: /user/c.so\n',
};
const namesOf = async (): Promise<string[]> => (await p11KitModules(folders)).map(({ name }) => name);

test('no configuration at all: no modules', async () => {
  expect(await p11KitModules(folders)).toEqual([]);
});

describe('user-config', () => {
  const cases: [string, Record<string, string>, string[]][] = [
    ['is merge where nobody says', {}, ['a', 'b', 'c']],
    ['none: the system only', { 'system/pkcs11.conf': 'user-config: none\n' }, ['a', 'b']],
    ['merge: both', { 'system/pkcs11.conf': 'user-config: merge\n' }, ['a', 'b', 'c']],
    ['only: the user only', { 'system/pkcs11.conf': 'user-config: only\n' }, ['c']],
    ['override is its old name', { 'system/pkcs11.conf': 'user-config: override\n' }, ['c']],
    ["only, in the user's own", { 'user/pkcs11.conf': 'user-config: only\n' }, ['c']],
    ["none, in the user's own", { 'user/pkcs11.conf': 'user-config: none\n' }, ['a', 'b']],
    [
      'none is the last word',
      { 'system/pkcs11.conf': '# a comment\nuser-config: none\n', 'user/pkcs11.conf': 'user-config: only\n' },
      ['a', 'b'],
    ],
  ];
  test.for(cases)('%s', async ([, files, names]) => {
    await configure({ ...MODULES, ...files });
    expect(await namesOf()).toEqual(names);
  });

  test('root gets the system only, whatever it says', async () => {
    await configure({ ...MODULES, 'system/pkcs11.conf': 'user-config: only\n' });
    folders = { ...folders, user: undefined };
    expect(await namesOf()).toEqual(['a', 'b']);
  });
});

describe('what can not be read', () => {
  // a link to itself fails for everybody, root too
  const spoil = async (path: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await symlink(join(root, path), join(root, path));
  };

  test.for(['system/pkcs11.conf', 'user/pkcs11.conf', 'system/modules', 'packages/d.module', 'user/modules/d.module'])(
    '%s is an error: it may say that a module is not for us',
    async (path) => {
      await configure({ 'packages/a.module': 'module: /packages/a.so\n' });
      await spoil(path);
      const refused = { code: 'ERR_CONFIG', message: expect.stringContaining("can't read the settings of p11-kit") };
      await expect(p11KitModules(folders)).rejects.toMatchObject(refused);
    },
  );

  test('a folder and a link to nothing are no module files', async () => {
    await configure({ ...MODULES, 'packages/d.module/file': '' });
    await symlink(join(root, 'nowhere'), join(root, 'packages/e.module'));
    expect(await namesOf()).toEqual(['a', 'b', 'c']);
  });

  test.for([
    ['user/pkcs11.conf', ['a', 'b', 'c']],
    ['user/modules', ['a', 'b']],
    ['system/pkcs11.conf', undefined],
    ['system/modules', undefined],
  ] as const)('%s, where access is denied', async ([path, names]) => {
    await configure({ ...MODULES, 'system/pkcs11.conf': '', 'user/pkcs11.conf': '' });
    await chmod(root, 0o755);
    await chmod(join(root, path), 0);
    // root may read all
    if (process.getuid?.() === 0) process.seteuid?.(65_534);
    try {
      if (names) expect(await namesOf()).toEqual(names);
      else
        await expect(namesOf()).rejects.toMatchObject({
          code: 'ERR_CONFIG',
          message: expect.stringContaining('EACCES'),
        });
    } finally {
      if (process.getuid?.() === 0) process.seteuid?.(0);
      await chmod(join(root, path), 0o700);
    }
  });
});

test('a user-config that is none of the words is an error, as with p11-kit', async () => {
  await configure({ ...MODULES, 'system/pkcs11.conf': 'user-config: nobody\n' });
  await expect(p11KitModules(folders)).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: `${join(root, 'system/pkcs11.conf')}: user-config is none, merge or only`,
  });
});

test('files of one name are merged setting by setting: the user before the administrator before the package', async () => {
  await configure({
    'packages/card.module': 'module: /packages/card.so\npriority: 1\ntrust-policy: yes\n',
    'system/modules/card.module': 'module: /system/card.so\ntrust-policy: no\n',
    'user/modules/card.module': 'disable-in: pksigd\n',
  });
  expect(await p11KitModules(folders)).toEqual([
    { name: 'card', file: '/system/card.so', isUsers: true, isTrust: false, isEnabled: false },
  ]);
});

test('an empty module: takes a module of the system out', async () => {
  await configure({ ...MODULES, 'user/modules/a.module': 'module:\n' });
  expect(await namesOf()).toEqual(['b', 'c']);
});

test('in the order of priority, then of names', async () => {
  await configure({
    ...MODULES,
    'packages/z.module': 'priority: 5\nmodule: z.so\n',
    'packages/0.module': 'module: 0.so',
  });
  expect(await namesOf()).toEqual(['z', '0', 'a', 'b', 'c']);
});

test('comments, blanks, foreign files and remote modules', async () => {
  await configure({
    'packages/a.module': '\n# module: /no.so\n  module :  /with blank.so  \nx-custom: y\nno setting\n',
    'packages/far.module': 'remote: |ssh host p11-kit remote x.so\n',
    'packages/.hidden.module': 'module: /hidden.so\n',
    'packages/a.module.orig': 'module: /old.so\n',
  });
  expect(await p11KitModules(folders)).toMatchObject([{ name: 'a', file: '/with blank.so' }]);
});

describe('for pksigd are', () => {
  const cases: [string, boolean][] = [
    ['enable-in: geary, midori', false],
    ['enable-in: geary pksigd', true],
    ['enable-in: pksigd-2', false],
    ['disable-in: firefox,pksigd', false],
    ['disable-in: p11-kit-proxy', true],
    ['trust-policy: yes', false],
    ['managed: no\ncritical: yes', true],
  ];
  test.for(cases)('%s: %s', async ([settings, isThere]) => {
    await configure({ 'packages/a.module': `module: /a.so\n${settings}\n` });
    expect(await configuredModules(folders)).toEqual(isThere ? [{ path: '/a.so', name: 'a' }] : []);
  });
});

test('a module that only the user configured has no name for others', async () => {
  await configure(MODULES);
  expect(await configuredModules(folders)).toEqual([
    { path: '/packages/a.so', name: 'a' },
    { path: '/system/b.so', name: 'b' },
    { path: '/user/c.so' },
  ]);
});

test('a library of two names is there once', async () => {
  await configure({ 'packages/a.module': 'module: /x.so\n', 'packages/b.module': 'module: /x.so\n' });
  expect(await configuredModules(folders)).toEqual([{ path: '/x.so', name: 'a' }]);
});
