import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  isFree,
  isNoneOfOurs,
  isRotatedName,
  openLogFile,
  openToRead,
  rotatedName,
  siblingsOf,
} from '../../../../src/agent/audit/log-file.ts';
import { coded } from '../../management/pair.ts';

const UID = process.geteuid?.();
let folder: string;
let path: string;
const files: FileHandle[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-log-file-'));
  path = join(folder, 'log');
});
afterEach(async () => {
  await Promise.all(files.splice(0).map((file) => file.close()));
  rmSync(folder, { recursive: true });
});

async function kept(opening: Promise<FileHandle | undefined>): Promise<FileHandle | undefined> {
  const file = await opening;
  if (file) files.push(file);
  return file;
}
const refused = (text: string): unknown => coded('ERR_AUDIT_FILE', text);

describe('a file that is to be written', () => {
  test('is made, for its owner alone, and grows at its end', async () => {
    await (await kept(openLogFile(path, UID)))?.write('one\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const again = await kept(openLogFile(path, UID));
    await again?.write('two\n');
    expect(readFileSync(path, 'latin1')).toBe('one\ntwo\n');
    // what stands there is looked at, too
    expect((await again?.read(Buffer.alloc(4), 0, 4, 0))?.buffer.toString('latin1')).toBe('one\n');
  });

  test('is not one that a link leads to', async () => {
    symlinkSync(join(folder, 'other'), path);
    await expect(kept(openLogFile(path, UID))).rejects.toEqual(refused(`${path} is a symbolic link`));
    expect(await isFree(join(folder, 'other'))).toBe(true);
  });

  test('is a file', async () => {
    execFileSync('mkfifo', ['-m', '600', path]);
    await expect(kept(openLogFile(path, UID))).rejects.toEqual(refused(`${path} is not a file`));
    rmSync(path);
    mkdirSync(path);
    await expect(kept(openLogFile(path, UID))).rejects.toEqual(refused(`can't open the audit log ${path}`));
  });

  test('is this user’s', async () => {
    writeFileSync(path, '', { mode: 0o600 });
    const { uid } = statSync(path);
    await expect(kept(openLogFile(path, uid + 1))).rejects.toEqual(
      refused(`${path} belongs to another user (uid ${uid})`),
    );
    // where the system has no users, nobody asks
    expect(await kept(openLogFile(path, undefined))).toBeDefined();
  });

  test.each([0o640, 0o620, 0o604, 0o602, 0o610])('is nothing that others can use: %o', async (mode) => {
    writeFileSync(path, '');
    chmodSync(path, mode);
    await expect(kept(openLogFile(path, UID))).rejects.toEqual(refused(`others can read or write ${path}`));
  });

  test('has one name', async () => {
    writeFileSync(path, '', { mode: 0o600 });
    linkSync(path, join(folder, 'other'));
    await expect(kept(openLogFile(path, UID))).rejects.toEqual(refused(`${path} has another name, too`));
  });
});

test.each([
  ['/l/audit.log', 1, '/l/audit.log.000001'],
  ['/l/audit.log', 123_456, '/l/audit.log.123456'],
  ['/l/audit.log', 1_234_567, '/l/audit.log.1234567'],
])('%s, number %d, is called %s', (log, number, name) => {
  expect(rotatedName(log, number)).toBe(name);
  expect(isRotatedName(log, name.slice('/l/'.length))).toBe(true);
});

test.each([
  'audit.log',
  'audit.log.1',
  'audit.log.00001',
  'audit.log.1234567890',
  'audit.log.000001.gz',
  'other.000001',
])('%s is no such name', (name) => {
  expect(isRotatedName('/l/audit.log', name)).toBe(false);
});

test.each(['audit.logx000001', 'xaudit.log.000001', 'audit.log.x000001'])('nor is %s', (name) => {
  expect(isRotatedName('/l/audit.log', name)).toBe(false);
});

test('what lies beside a log and begins like it, in order', async () => {
  for (const name of ['log', 'log.2', 'log.1', 'log-old', 'logs', 'lo', 'other', '.log.lock'])
    writeFileSync(join(folder, name), '');
  expect(await siblingsOf(path)).toEqual(['log-old', 'log.1', 'log.2', 'logs']);
});

describe('what may have been a file of a log', () => {
  test('is opened to look at it', async () => {
    writeFileSync(path, 'abc');
    const file = await kept(openToRead(path));
    expect((await file?.read(Buffer.alloc(3), 0, 3, 0))?.buffer.toString('latin1')).toBe('abc');
    await expect(file?.write('x')).rejects.toMatchObject({ code: 'EBADF' });
  });

  test('is none if it is not there, or no file', async () => {
    expect(await kept(openToRead(path))).toBeUndefined();
    expect(await kept(openToRead(join(path, 'below')))).toBeUndefined();
    mkdirSync(path);
    expect(await kept(openToRead(path))).toBeUndefined();
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    expect(await kept(openToRead(join(folder, 'fifo')))).toBeUndefined();
    writeFileSync(join(folder, 'file'), '');
    symlinkSync(join(folder, 'file'), join(folder, 'link'));
    expect(await kept(openToRead(join(folder, 'link')))).toBeUndefined();
    const socket = join(folder, 'socket');
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await kept(openToRead(socket))).toBeUndefined();
    server.close();
  });

  test('can’t be told where the system says something else', async () => {
    await expect(kept(openToRead(join(folder, 'x'.repeat(300))))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  });

  test.each(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EACCES', 'EPERM'])('is none of ours: %s', (code) => {
    expect(isNoneOfOurs(Object.assign(new Error('x'), { code }))).toBe(true);
  });

  test.each(['EIO', 'EMFILE', 'ESTALE'])('may be ours: %s', (code) => {
    expect(isNoneOfOurs(Object.assign(new Error('x'), { code }))).toBe(false);
    expect(isNoneOfOurs(new Error('x'))).toBe(false);
  });
});

test('a name is free where nothing has it, a link that leads nowhere either', async () => {
  expect(await isFree(path)).toBe(true);
  symlinkSync(join(folder, 'nothing'), path);
  expect(await isFree(path)).toBe(false);
  await expect(isFree(join(folder, 'x'.repeat(300)))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
});
