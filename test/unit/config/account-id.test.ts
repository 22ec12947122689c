import { afterEach, expect, test, vi } from 'vitest';
import { groupId, userId } from '../../../src/config/account-id.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('numbers and names', async () => {
  expect(await userId('0', '--x')).toBe(0);
  expect(await userId('root', '--x')).toBe(0);
  expect(await groupId('4294967293', '--x')).toBe(0xff_ff_ff_fd);
  expect(await groupId('root', '--x')).toBe(0);
});

test('a name that nobody has, and a number that stands for nobody', async () => {
  for (const name of ['no-such-one', '4294967294', '-1', '']) {
    const refused = { code: 'ERR_USAGE', message: `there is no group '${name}'`, hint: 'see --x' };
    await expect(groupId(name, '--x')).rejects.toMatchObject(refused);
  }
});

test('where the system has no program to look a name up with, that is said', async () => {
  vi.stubEnv('PATH', '/nowhere');
  const refused = { code: 'ERR_USAGE', message: "can't look up 'root': spawn getent ENOENT", hint: 'give its number' };
  await expect(groupId('root', '--x')).rejects.toMatchObject(refused);
  expect(await groupId('12', '--x')).toBe(12);
});
