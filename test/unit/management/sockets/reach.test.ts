import type * as FsPromises from 'node:fs/promises';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { walkPath } from '../../../../src/management/sockets/path-walk.ts';
import { isLocal, nameOf, whoReaches, whoReplaces } from '../../../../src/management/sockets/reach.ts';
import { PRETENDED } from '../../../support/pretended-owners.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { pretending } = await import('../../../support/pretended-owners.ts');
  return { ...fs, lstat: pretending(fs.lstat) };
});

const SELF = process.geteuid?.() ?? 0;
const [OTHER, GROUP] = [SELF + 1_000, SELF + 2_000];

let folder: string;
let path: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-reach-')));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'run'));
  path = join(folder, 'run', 'd.sock');
});
afterEach(() => {
  PRETENDED.clear();
  rmSync(folder, { recursive: true });
});

describe('who can connect', () => {
  test('over TCP: this host’s users, or the network', async () => {
    expect(isLocal({ kind: 'unix', path })).toBe(true);
    expect(await whoReaches({ kind: 'tcp', host: '127.0.0.1', port: 1 }, 0)).toBe('users');
    expect(await whoReaches({ kind: 'tcp', host: '192.0.2.1', port: 1 }, 0o666)).toBe('network');
  });

  test('to a unix socket: all users, if its mode and every folder above let them', async () => {
    const reaching = (mode = 0o666, at = path): Promise<string> => whoReaches({ kind: 'unix', path: at }, mode);
    expect(await reaching()).toBe('users');
    expect(await reaching(0o666, relative('.', path))).toBe('users');
    expect(await reaching(0o664)).toBe('nobody');
    expect(await reaching(0o602)).toBe('users');
    for (const each of [dirname(path), folder]) {
      chmodSync(each, 0o750);
      expect(await reaching()).toBe('nobody');
      chmodSync(each, 0o751);
      expect(await reaching()).toBe('users');
    }
  });
});

describe('who can put another socket in the place of ours', () => {
  const replacing = (at = path): Promise<string | undefined> => whoReplaces(at, SELF);

  test('nobody, in folders of this user and of root', async () => {
    expect(await replacing()).toBeUndefined();
    PRETENDED.set(folder, { uid: 0 });
    expect(await replacing()).toBeUndefined();
    // whoever this user is
    PRETENDED.set(folder, { uid: OTHER });
    PRETENDED.set(dirname(path), { uid: 0 });
    expect(await whoReplaces(path, OTHER)).toBeUndefined();
    PRETENDED.clear();
    // what is not there yet is made by us
    expect(await replacing(join(folder, 'later', 'd.sock'))).toBeUndefined();
  });

  test('another user, by a folder or a link', async () => {
    symlinkSync('run', join(folder, 'link'));
    for (const [by, at] of [
      [folder, path],
      [dirname(path), path],
      [join(folder, 'link'), join(folder, 'link', 'd.sock')],
    ] as const) {
      PRETENDED.set(by, { uid: OTHER });
      expect(await replacing(at)).toContain(`user ${OTHER} can put another socket in the place of ${at}, by ${by}`);
      PRETENDED.clear();
    }
  });

  test('a group, or everybody', async () => {
    chmodSync(dirname(path), 0o770);
    PRETENDED.set(dirname(path), { gid: GROUP });
    expect(await replacing()).toContain(`group ${GROUP} can`);
    // root's, and the one that a user has alone
    for (const gid of [0, OTHER]) {
      PRETENDED.set(folder, { uid: OTHER });
      PRETENDED.set(dirname(path), { uid: OTHER, gid });
      expect(await whoReplaces(path, OTHER)).toBeUndefined();
    }
    PRETENDED.clear();
    chmodSync(dirname(path), 0o707);
    expect(await replacing()).toContain('everybody can');
    chmodSync(dirname(path), 0o1777);
    expect(await replacing()).toBeUndefined();
  });

  test('is called by what it is', () => {
    expect([nameOf('everybody'), nameOf({ group: 1 }), nameOf({ user: 2 })]).toEqual([
      'everybody',
      'group 1',
      'user 2',
    ]);
  });
});

describe('the way to a path', () => {
  const passed = async (at: string): Promise<string[]> => {
    const seen: string[] = [];
    await walkPath(at, { pass: (each) => seen.push(each) });
    return seen;
  };

  test('begins at the root, and at the working folder for a path that is not whole', async () => {
    const whole = await passed(join(folder, 'run'));
    expect(whole[0]).toBe('/');
    expect(whole.slice(-2)).toEqual([folder, join(folder, 'run')]);
    // a folder is no end
    expect(await walkPath(folder, {})).toBeUndefined();
    const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
    expect(await passed('./run//')).toEqual(whole);
    expect(await passed('run/../run')).toEqual([...whole, join(folder, 'run')]);
    cwd.mockRestore();
  });

  test('goes through a link to a whole path from the root', async () => {
    symlinkSync(folder, join(folder, 'run', 'back'));
    const seen = await passed(join(folder, 'run', 'back'));
    expect(seen.slice(-2)).toEqual([dirname(folder), folder]);
    expect(seen.filter((each) => each === '/')).toHaveLength(1);
  });

  test.each([
    [40, undefined],
    [41, 'ELOOP'],
  ])('ends after %i links as the kernel’s does: %s', async (count, code) => {
    for (let at = 0; at < count; at += 1) symlinkSync(at === 0 ? 'run' : `l${at - 1}`, join(folder, `l${at}`));
    const walked = await walkPath(join(folder, `l${count - 1}`), {}).catch((error: unknown) => error);
    expect((walked as NodeJS.ErrnoException | undefined)?.code).toBe(code);
  });

  test('fails where a folder on it is not there, and comes to nothing where only its end is not', async () => {
    expect(await walkPath(path, {})).toBeUndefined();
    await expect(walkPath(join(folder, 'no', 'd.sock'), {})).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(walkPath(join(folder, 'x'.repeat(300)), {})).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  });
});
