import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SYSTEM_CLOCK } from '../../../src/clock.ts';
import { absoluteSource, parseSecretSource, readSecret } from '../../../src/config/secret-source.ts';
import { Secret } from '../../../src/secret.ts';
import { type CommandOptions, runCommand } from '../../../src/shell-command.ts';

let folder: string;
const warnings: string[] = [];
const surroundings = () => ({
  credentialsDirectory: join(folder, 'credentials'),
  prompt: (what: string) => Promise.resolve(new Secret(`typed for ${what}`)),
  warn: (text: string) => warnings.push(text),
  run: (command: string, options: CommandOptions = {}) =>
    runCommand(command, options, { clock: SYSTEM_CLOCK, environment: process.env }),
});
const read = async (source: string): Promise<string> =>
  (await readSecret(parseSecretSource(source), 'PIN', surroundings())).reveal();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-secret-'));
  const { mkdirSync } = await import('node:fs');
  mkdirSync(join(folder, 'credentials'));
  writeFileSync(join(folder, 'credentials', 'token-pin'), 'from systemd');
  writeFileSync(join(folder, 'lf'), '123456\nsecond line\n', { mode: 0o600 });
  writeFileSync(join(folder, 'crlf'), ' 12 34 \r\n', { mode: 0o600 });
  writeFileSync(join(folder, 'empty'), '\n', { mode: 0o600 });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('readSecret', () => {
  it('takes the first line of a file, blanks kept', async () => {
    expect(await read(`file:${folder}/lf`)).toBe('123456');
    expect(await read(`file://${folder}/lf`)).toBe('123456');
    expect(await read(join(folder, 'crlf'))).toBe(' 12 34 ');
    expect(warnings).toEqual([]);
  });
  it('keeps a byte order mark: what made a passphrase, or OpenVPN of its password, read it too', async () => {
    writeFileSync(join(folder, 'mark'), '\ufeffsecret\n', { mode: 0o600 });
    expect(await read(join(folder, 'mark'))).toBe('\ufeffsecret');
  });
  it('warns of a file that others can read', async () => {
    chmodSync(join(folder, 'lf'), 0o644);
    expect(await read(join(folder, 'lf'))).toBe('123456');
    expect(warnings).toEqual([expect.stringContaining('others can read')]);
  });
  it('takes a credential by name', async () => {
    expect(await read('credential:token-pin')).toBe('from systemd');
    expect(await read('token-pin')).toBe('from systemd');
  });
  it('takes the output of a command', async () => {
    expect(await read('|echo 99; echo more')).toBe('99');
    expect(await read('command:printf %s 77')).toBe('77');
  });
  it.each([
    ['promt', "did you mean 'prompt'?"],
    ['pin-entry', "did you mean 'pinentry'?"],
    ['credentail:token-pin', "did you mean 'credential:…'?"],
    ['comand:echo 1', "did you mean 'command:…'?"],
  ])('takes %s for a file, and says what may be meant', async (text, hint) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'ERR_PIN_SOURCE', hint });
    expect(() => absoluteSource(text, '/no/such/folder')).toThrow(expect.objectContaining({ code: 'ERR_USAGE', hint }));
  });
  it('asks on the terminal', async () => {
    expect(await read('prompt')).toBe('typed for PIN');
  });

  it.each(['nothing-there', 'empty', 'credential:absent', '|false', '|echo 4711; exit 3', 'command:true'])(
    'fails for %s without a word of the secret',
    async (source) => {
      const where = source === 'empty' ? join(folder, source) : source;
      const error: unknown = await read(where).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'ERR_PIN_SOURCE' });
      expect(inspect(error)).not.toContain('4711');
    },
  );
});

describe('what a source says', () => {
  const failure = async (source: string, kind: 'PIN' | 'password' = 'PIN'): Promise<string> => {
    const error: unknown = await Promise.resolve()
      .then(() => readSecret(parseSecretSource(source, kind), `${kind} of x`, surroundings(), kind))
      .catch((reason: unknown) => reason);
    // the names of fast-check's own functions are in it
    (error as Error).stack = String(error);
    return `${inspect(error, { depth: 9 })} ${(error as Error & { line: string }).line}`;
  };

  it('is shown where it is a path in a folder that exists', async () => {
    expect(await failure(`${folder}/office.pin`)).toContain(`from ${folder}/office.pin: there is no such file`);
    expect(await failure(folder)).toContain(`from ${folder}: it is a directory`);
  });
  it('is a device, which never ends', async () => {
    expect(await failure('/dev/zero')).toContain('from /dev/zero: it is a device');
  });
  it('is shown where it is a path by its looks', async () => {
    expect(await failure('/no/such/file')).toContain('from /no/such/file: there is no such file');
  });
  it('is not shown where it may be the secret itself', async () => {
    expect(await failure('4711')).toContain('not the PIN itself');
    const secret = fc.string({ minLength: 6, unit: 'binary-ascii' }).filter((text) => /[^./\\s]{4}/.test(text));
    const around = fc.constantFrom('', '/', './', '../', 'file:', 'file:/', 'file://', 'credential:', '/Nowhere/');
    await fc.assert(
      fc.asyncProperty(around, secret, fc.constantFrom('PIN', 'password'), async (before, text, kind) => {
        fc.pre(!/^(\||command:|prompt)/.test(before + text));
        expect(await failure(before + text, kind)).not.toContain(text);
      }),
    );
  });
  it('speaks of a password where one is wanted', async () => {
    const text = await failure('opensesame', 'password');
    expect(text).toContain('ERR_MANAGEMENT_PASSWORD');
    expect(text).not.toContain('PIN');
  });
  it('is not the name of a file beside a configuration', async () => {
    const source = { kind: 'file', path: join(folder, 'opensesame'), folder } as const;
    const error: unknown = await readSecret(source, 'password', surroundings(), 'password').catch((e: unknown) => e);
    expect((error as Error).message).toBe(`can't read the password from a file in ${folder}: there is no such file`);
  });
});

it.each(['', '|', 'command:', 'credential:', 'credential:../x', 'file:', 'file://host/x'])('refuses %j', (source) => {
  expect(() => parseSecretSource(source)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
});

it.each(['#2', '?x', ' ', '\\x', '\tx'])('refuses a file: URL with %j, which would name another file', (rest) => {
  expect(() => parseSecretSource(`file:///run/pin${rest}`)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
});

it('a Secret does not print', () => {
  const secret = new Secret('4711');
  expect(
    [inspect({ secret }), JSON.stringify({ secret }), String(secret), inspect(secret, { showHidden: true })].join(),
  ).not.toContain('4711');
  secret.destroy();
  expect(secret.reveal()).toBe('\0\0\0\0');
});
