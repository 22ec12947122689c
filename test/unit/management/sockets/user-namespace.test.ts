import type * as Fs from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const UID_MAP = '/proc/self/uid_map';
const NUMBER = '/proc/sys/kernel/overflowuid';
/** What the kernel says, or the code of an error. */
const files = new Map<string, string>();
vi.mock('node:fs', async (importOriginal) => ({
  ...(await importOriginal<typeof Fs>()),
  readFileSync: (path: string) => {
    const text = files.get(path) ?? 'ENOENT';
    if (text.startsWith('E')) throw Object.assign(new Error(text), { code: text });
    return text;
  },
}));

/** Which of these users have no number of their own, to a process that has just begun. */
async function unmapped(...users: number[]): Promise<number[]> {
  vi.resetModules();
  const { isUnmapped } = await import('../../../../src/management/sockets/user-namespace.ts');
  return users.filter((user) => isUnmapped(user));
}

beforeEach(() => {
  files.set(NUMBER, '65534\n');
});
afterEach(() => {
  files.clear();
});

test('outside of user namespaces each user has a number, nobody too', async () => {
  files.set(UID_MAP, '         0          0 4294967295\n');
  expect(await unmapped(0, 1_000, 65_534)).toEqual([]);
});

test.each([
  ['of one user', '         0       1000          1\n'],
  ['of users from another number on', '         0     100000 4294967295\n'],
  ['whose numbers begin later', '       100          0 4294967295\n'],
  ['of some', '         0          0 429496729\n'],
  ['in two ranges', '         0          0 4294967295\n         1          1 1\n'],
])('in a namespace %s all others share a number', async (_, map) => {
  files.set(UID_MAP, map);
  files.set(NUMBER, '4711\n');
  expect(await unmapped(0, 1_000, 4_711, 65_534)).toEqual([4_711]);
});

test.each(['ENOENT', 'EACCES'])('where the system does not tell, each user has a number (%s)', async (code) => {
  files.set(UID_MAP, code);
  expect(await unmapped(0, 65_534)).toEqual([]);
});

test('where it can not be told at the moment, nobody has', async () => {
  files.set(UID_MAP, 'EMFILE');
  await expect(unmapped(0)).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_PEER' });
});
