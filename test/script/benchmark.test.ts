import { execFile, spawnSync } from 'node:child_process';
import { sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { test } from '../support/bench.ts';

const SCRIPTS = join(import.meta.dirname, '../../scripts/bench');
const compiles =
  spawnSync('cc', ['-fsyntax-only', '-x', 'c', '-'], { input: '#include <openssl/evp.h>\n' }).status === 0;

/** What the test needs of `scripts/bench/lib/requests.mjs`. */
interface RequestsModule {
  Requests: new (
    workshop: { keyFile(name: string, ending: string): string },
    subject: { key: string; data: string },
  ) => {
    lines: string[];
    verify(answers: { request: number; base64: string }[]): void;
  };
}

describe('the benchmark', () => {
  test.runIf(compiles)('of latency runs, and says what pksigd takes beside C', async () => {
    const words = ['--only', 'file p256 message', '--only', 'softhsm p256 digest'];
    const quick = ['--rounds', '1', '--each', '5', '--pause', '0'];
    const { stdout } = await promisify(execFile)(process.execPath, [join(SCRIPTS, 'latency.mjs'), ...words, ...quick]);
    expect(stdout.match(/^ {2}pksigd( +[\d.]+){10}$/gm)).toHaveLength(2);
    expect(stdout.match(/^ {2}C, verifies( +[\d.]+){10}$/gm)).toHaveLength(2);
  });

  test.runIf(compiles)('writes a page, a plot and data', async ({ bench }) => {
    const words = ['--quick', '--only', 'start', '--out', bench.folder];
    await promisify(execFile)(process.execPath, [join(SCRIPTS, 'run.mjs'), ...words]);
    expect(await readFile(bench.path('PERFORMANCE.md'), 'utf8')).toMatch(
      /^\| file p256 digest \| [\d.]+ \(at most 2.2\) \|/m,
    );
    expect(await readFile(bench.path('performance.svg'), 'utf8')).toMatch(/^<svg [^]*<\/svg>\n$/);
    expect(JSON.parse(await readFile(bench.path('performance.json'), 'utf8'))).toMatchObject({
      node: process.version,
      results: [{ name: 'start' }],
    });
  });

  test.for(['p256', 'ed25519', 'rsa2048'])('takes no wrong signature of %s', async (key, { bench }) => {
    const { Requests } = (await import(join(SCRIPTS, 'lib/requests.mjs'))) as RequestsModule;
    const workshop = { keyFile: (name: string, ending: string): string => bench.recipe(`${name}.${ending}`) };
    const requests = new Requests(workshop, { key, data: 'message' });
    const pem = await readFile(bench.recipe(`${key}.pem`));
    const answer = (request: number): string => {
      const [base64 = ''] = requests.lines[request]?.split(',') ?? [];
      const hash = key === 'ed25519' ? null : 'sha256';
      const pss = key === 'rsa2048' ? { padding: 6, saltLength: 32 } : {};
      return sign(hash, Buffer.from(base64, 'base64'), { key: pem, ...pss }).toString('base64');
    };
    requests.verify([0, 1].map((request) => ({ request, base64: answer(request) })));
    expect(() => {
      requests.verify([{ request: 0, base64: answer(1) }]);
    }).toThrow('a wrong signature');
    expect(() => {
      requests.verify([{ request: 0, base64: '' }]);
    }).toThrow('a wrong signature');
  });
});
