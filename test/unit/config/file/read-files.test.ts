import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigurationError, type Fault } from '../../../../src/config/file/fault.ts';
import { readFiles } from '../../../../src/config/file/read-files.ts';
import { valueOf } from '../../../../src/config/file/toml-tree.ts';
import { errorText } from '../../../../src/errors.ts';

let folder: string;
let file: string;
let dropIns: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-config-'));
  file = join(folder, 'p.toml');
  dropIns = `${file}.d`;
  mkdirSync(dropIns, { mode: 0o755 });
  writeFileSync(file, 'a = 1\n');
  writeFileSync(join(dropIns, 'm.toml'), 'b = 2\n');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What the files say, or what is wrong with them, without the folder. */
async function read(path = file): Promise<unknown> {
  const faults: Fault[] = [];
  const short = (line: string): string => line.replaceAll(folder, '');
  try {
    const { tree } = await readFiles(path, faults);
    return faults.length === 0 ? valueOf(tree) : new ConfigurationError(path, faults).details.map(short);
  } catch (error) {
    return short(errorText(error));
  }
}

const STRANGER = 4242;
const isRoot = process.getuid?.() === 0;

describe('who may have written what names commands', () => {
  test('this user, with groups, and in a folder that is sticky', async () => {
    chmodSync(file, 0o664);
    chmodSync(dropIns, 0o775);
    chmodSync(folder, 0o1777);
    expect(await read()).toEqual({ a: 1, b: 2 });
  });

  test('not everybody: the file', async () => {
    chmodSync(file, 0o666);
    expect(await read()).toBe("can't read the configuration: everybody can write /p.toml: chmod o-w it");
  });

  test('not everybody: a drop-in', async () => {
    chmodSync(join(dropIns, 'm.toml'), 0o666);
    expect(await read()).toEqual([
      "/p.toml.d/m.toml:1:1: can't read the configuration: everybody can write /p.toml.d/m.toml: chmod o-w it",
    ]);
  });

  test('not everybody: the folder of drop-ins, also when it is empty', async () => {
    chmodSync(dropIns, 0o777);
    const told = ['/p.toml.d:1:1: the configuration is not safe: others can write /p.toml.d: chmod o-w /p.toml.d'];
    expect(await read()).toEqual(told);
    rmSync(join(dropIns, 'm.toml'));
    expect(await read()).toEqual(told);
  });

  test('not everybody: the folder of the file, and one that a link leads through', async () => {
    const other = join(folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'real.toml'), '');
    symlinkSync(join(other, 'real.toml'), join(folder, 'link.toml'));
    expect(await read(join(folder, 'link.toml'))).toEqual({});
    chmodSync(other, 0o777);
    expect(await read(join(folder, 'link.toml'))).toBe(
      'the configuration is not safe: others can write /other: chmod o-w /other',
    );
    chmodSync(folder, 0o777);
    expect(await read()).toMatch(/^the configuration is not safe: others can write : chmod o-w /);
  });

  test.runIf(isRoot)('no other user: the file', async () => {
    chownSync(file, STRANGER, STRANGER);
    expect(await read()).toBe("can't read the configuration: /p.toml belongs to another user (uid 4242): chown it");
  });

  test.runIf(isRoot)('no other user: a drop-in', async () => {
    chownSync(join(dropIns, 'm.toml'), STRANGER, STRANGER);
    expect(await read()).toEqual([
      "/p.toml.d/m.toml:1:1: can't read the configuration: /p.toml.d/m.toml belongs to another user (uid 4242): chown it",
    ]);
  });

  test.runIf(isRoot)('no other user: the folders', async () => {
    chownSync(dropIns, STRANGER, STRANGER);
    expect(await read()).toEqual([
      '/p.toml.d:1:1: the configuration is not safe: /p.toml.d belongs to another user (uid 4242)',
    ]);
    chownSync(folder, STRANGER, STRANGER);
    expect(await read()).toBe('the configuration is not safe:  belongs to another user (uid 4242)');
  });
});

describe('drop-ins that are of no use', () => {
  test('are told with the mistakes of all other files', async () => {
    writeFileSync(file, 'a = \n');
    writeFileSync(join(dropIns, 'a.toml'), Buffer.from('x = 1\ny = "\xe9"\n', 'latin1'));
    writeFileSync(
      join(dropIns, 'b.toml'),
      Buffer.concat([Buffer.from('x = 1\ny = "\ufffd\u00e9'), Buffer.from([0xff])]),
    );
    mkdirSync(join(dropIns, 'c.toml'));
    symlinkSync('gone', join(dropIns, 'd.toml'));
    writeFileSync(join(dropIns, 'n.toml'), 'b = \n');
    expect(await read()).toEqual([
      '/p.toml:2:1: TOML: Unspecified values are invalid',
      '/p.toml.d/a.toml:2:6: this is not UTF-8',
      '/p.toml.d/b.toml:2:8: this is not UTF-8',
      "/p.toml.d/c.toml:1:1: can't read the configuration: /p.toml.d/c.toml is a directory",
      "/p.toml.d/d.toml:1:1: can't read the configuration: ENOENT: no such file or directory, open '/p.toml.d/d.toml'",
      '/p.toml.d/n.toml:2:1: TOML: Unspecified values are invalid',
    ]);
  });

  test('are not those that are masked', async () => {
    symlinkSync('/dev/null', join(dropIns, 'z.toml'));
    expect(await read()).toEqual({ a: 1, b: 2 });
  });

  test('have a name that is UTF-8', async () => {
    writeFileSync(Buffer.concat([Buffer.from(join(dropIns, 'caf')), Buffer.from([0xe9]), Buffer.from('.toml')]), '');
    expect(await read()).toEqual(['/p.toml.d:1:1: the name of the file "caf\ufffd.toml" is not UTF-8']);
  });
});

test('a file has 8 MB at most', async () => {
  writeFileSync(file, `#${'x'.repeat(9_000_000)}`);
  expect(await read()).toBe("can't read the configuration: /p.toml has more than 8388608 bytes");
});
