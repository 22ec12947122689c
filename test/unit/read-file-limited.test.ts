import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readOpenVpnConfig } from '../../src/config/openvpn-config.ts';
import { readCertificateFile } from '../../src/keyfile/certificate-file.ts';
import { FileKey } from '../../src/keyfile/key-file.ts';
import { readFileLimited } from '../../src/read-file-limited.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const limits = { what: 'the thing', code: 'ERR_CONFIG', maxBytes: 100_000, pipeTimeout: 200 } as const;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-read-'));
  execFileSync('sh', ['-c', 'mkfifo silent said endless'], { cwd: folder });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test.each([0, 1, 65_536, 65_537, 100_000])('reads %i bytes', async (length) => {
  writeFileSync(at('file'), 'x'.repeat(length));
  symlinkSync(at('file'), at(`link-${length}`));
  expect(await readFileLimited(at(`link-${length}`), limits)).toHaveLength(length);
});

test('reads what comes through a pipe', async () => {
  const writer = spawn('sh', ['-c', `(echo one; echo two) >'${at('said')}'`]);
  expect((await readFileLimited(at('said'), { ...limits, pipeTimeout: 60_000 })).toString()).toBe('one\ntwo\n');
  writer.kill();
});

test('waits no longer for a pipe where the machine’s time is set back', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const reading = readFileLimited(at('silent'), limits);
  vi.setSystemTime(Date.now() - 86_400_000);
  await expect(reading).rejects.toThrow('nothing more came through the pipe');
  vi.useRealTimers();
});

test.each([
  ['/dev/zero', /the thing: \/dev\/zero is a device/],
  ['/dev/null', /is a device/],
  ['', /is a directory/],
  ['nothing', /ENOENT/],
  ['silent', /nothing more came through the pipe .* in 0.2 s/],
  ['long', /has more than 100000 bytes/],
])('refuses %s', async (name, message) => {
  writeFileSync(at('long'), 'x'.repeat(100_001));
  const path = name.startsWith('/') ? name : at(name);
  await expect(readFileLimited(path, limits)).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringMatching(message),
  });
});

test('a pipe that never ends has a limit like a file', async () => {
  const writer = spawn('sh', ['-c', `exec cat /dev/zero >'${at('endless')}'`]);
  await expect(readFileLimited(at('endless'), { ...limits, pipeTimeout: 60_000 })).rejects.toThrow(/more than/);
  writer.kill();
});

test.each([
  ['configuration', 'ERR_CONFIG', readOpenVpnConfig],
  ['certificate', 'ERR_CERTIFICATE_NOT_FOUND', readCertificateFile],
  ['key', 'ERR_KEY_FILE', (path: string) => FileKey.open(path, { allowReadableByOthers: true })],
] as const)('every kind of file: %s', async (_, code, read) => {
  writeFileSync(at('huge'), '');
  truncateSync(at('huge'), 100 * 1024 * 1024);
  for (const path of ['/dev/zero', folder, at('huge')]) await expect(read(path)).rejects.toMatchObject({ code });
});
