import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { missing } from '../tokens/setup/token-bed.ts';
import { firstDifference, readPage } from '../support/pages/page.ts';

const ROOT = join(import.meta.dirname, '../..');
const TUTORIALS = join(ROOT, 'docs/tutorials');
const tutorials = readdirSync(TUTORIALS).filter((file) => file.endsWith('.md') && file !== 'README.md');
/** What a page needs of this machine, beside OpenVPN and SoftHSM: modules and programs (scripts/setup-tokens). */
const NEEDS: Readonly<Record<string, readonly [string[], string[]]>> = {
  'yubikey.md': [
    ['opensc-pkcs11.so', 'serial/libifdvpcd.so'],
    ['pcscd', 'opensc-tool'],
  ],
  'tpm.md': [['libtpm2_pkcs11.so.1'], ['swtpm']],
};
const lacks = (file: string): string | undefined => {
  const needs = NEEDS[basename(file)];
  return needs && missing(...needs);
};
const pages = ['README.md', ...tutorials.map((file) => `docs/tutorials/${file}`)];

declare module 'vitest' {
  interface TaskMeta {
    /** Why the test was left out: .ci/run prints it. */
    why?: string;
  }
}

/** Why there is not all that a page's commands are kept apart with; undefined if there is. */
function hindrance(): string | undefined {
  if (process.geteuid?.() !== 0) return 'it takes root';
  const script =
    'mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w && mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc';
  try {
    execFileSync('unshare', ['--mount', '--net', '--pid', '--fork', '--mount-proc', 'sh', '-c', script], {
      stdio: 'ignore',
    });
  } catch {
    return 'no namespaces, or no overlay in one (unshare, overlayfs)';
  }
  return existsSync('/dev/net/tun') ? undefined : 'there is no /dev/net/tun';
}
const HINDRANCE = hindrance();

interface Run {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a script as a page's reader would, to its end; all that it has started ends with it. */
async function runPage(script: string, folder: string): Promise<Run> {
  const path = join(folder, 'page.sh');
  await writeFile(path, script);
  const scratch = join(folder, 'scratch');
  await mkdir(scratch);
  const child = spawn(
    'unshare',
    ['--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child', 'bash', path],
    {
      env: { ...process.env, PAGE: scratch, ROOT },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, output };
}

test('from the package to a connected tunnel with a YubiKey it is four commands, and one to look', () => {
  expect(readPage(join(TUTORIALS, 'yubikey.md')).commands).toBe(5);
});

describe('pages do what they say', () => {
  test.for(pages)('%s', async (file, { skip, task }) => {
    const why = HINDRANCE ?? lacks(file);
    if (why !== undefined) task.meta.why = why;
    skip(why !== undefined, why);
    const page = readPage(join(ROOT, file));
    const folder = await mkdtemp(join(tmpdir(), 'pksigd-page-'));
    try {
      const { status, output } = await runPage(page.script, folder);
      expect({ status, output }).toEqual({ status: 0, output: expect.any(String) });
      for (const { line, command, file: printed, output: expected } of page.expectations) {
        const text = readFileSync(join(folder, 'scratch', printed), 'utf8');
        expect({ line, command, missing: firstDifference(text, expected), text }).toMatchObject({ missing: undefined });
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
