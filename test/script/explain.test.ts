import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function explain(bench: Bench, ...args: string[]): Promise<Result> {
  const pksigd = await bench.pksigd(['explain', ...args]);
  const status = await pksigd.exited;
  return { status, stdout: pksigd.stdout.join('\n'), stderr: pksigd.stderr.join('\n') };
}

async function help(bench: Bench, ...command: string[]): Promise<string> {
  const pksigd = await bench.pksigd([...command, '--help']);
  await pksigd.exited;
  return pksigd.stdout.join('\n');
}

/** Options of other programs: OpenVPN's, and those of tools that a cure names. */
const FOREIGN = ['--management', '--management-client', '--management-external-key', '--management-external-cert'];
const OF_TOOLS = ['--unblock-pin', '--init-pin', '--change-pin', '--global', '--allow-scripts', '--print-architecture'];
const OF_OPENVPN = [
  '--key',
  '--cert',
  '--pkcs11-provider',
  '--management-client-user',
  '--management-client-group',
  '--daemon',
];
const OF_CONTAINERS = ['--cap-add', '--device'];

describe.concurrent('explain', () => {
  test('says what a code means, its exit code, and what to do', async ({ bench }) => {
    const { status, stdout, stderr } = await explain(bench, 'ERR_KEY_PERMISSIONS');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^ERR_KEY_PERMISSIONS \(exit code 2\)\n/);
    expect(stdout).toContain('chmod 600 it, or give --allow-readable-key.');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  test('takes a line of OpenVPN as it is', async ({ bench }) => {
    const line = 'OpenSSL: RSA padding mode not supported by management-client <pss>';
    expect((await explain(bench, line)).stdout).toContain("Write 'management-external-key nopadding pkcs1 pss'.");
    expect((await explain(bench, ...line.split(' '))).stdout).toContain('pkcs1 pss');
  });

  test('lists what is known, as JSON too', async ({ bench }) => {
    const { stdout } = await explain(bench);
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['  ERR_URI', '  CKR_PIN_LOCKED', '  seat-taken', '  4']),
    );
    const entries = JSON.parse((await explain(bench, '--json')).stdout) as { name: string; causes: unknown[] }[];
    expect(entries.find(({ name }) => name === 'ERR_LOCKED')?.causes).toEqual([
      { why: 'Somebody called pksigd lock.', cure: 'pksigd unlock' },
    ]);
  });

  test('suggests what was meant', async ({ bench }) => {
    const { status, stdout, stderr } = await explain(bench, 'ERR_PIN_LOKED');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe("pksigd: nothing is known of 'ERR_PIN_LOKED': did you mean ERR_PIN_LOCKED?");
    expect((await explain(bench, 'the weather')).stderr).toBe(
      "pksigd: nothing is known of 'the weather': pksigd explain lists what is",
    );
    expect((await explain(bench, 'CKR_NEXT_OTP')).stderr).toContain('see pksigd explain ERR_TOKEN_FAILED');
  });

  test('names options that there are', async ({ bench }) => {
    const commands = [[], ['run'], ['check'], ['sign'], ['keys'], ['enrol'], ['management'], ['status'], ['lock']];
    const texts = await Promise.all(commands.map((command) => help(bench, ...command)));
    const known = new Set([...texts.join('\n').matchAll(/--[a-z][a-z0-9-]*/g)].map(([option]) => option));
    const { stdout } = await explain(bench, '--json');
    const named = new Set([...stdout.matchAll(/--[a-z][a-z0-9-]*/g)].map(([option]) => option));
    const foreign = [...FOREIGN, ...OF_TOOLS, ...OF_OPENVPN, ...OF_CONTAINERS];
    expect([...named].filter((option) => !known.has(option) && !foreign.includes(option))).toEqual([]);
  });
});

test('a command that fails says its code, for explain', async ({ bench }) => {
  const pksigd = await bench.pksigd(['sign', '--key', bench.path('none.pem')], { input: 'AAAA' });
  expect(await pksigd.exited).toBe(3);
  expect(pksigd.stderr.join()).toMatch(/^pksigd: .*none\.pem' \[ERR_KEY_NOT_FOUND\]$/);
  const check = await bench.pksigd(['check', '--key', bench.path('none.pem')]);
  await check.exited;
  expect(check.stdout).toContainEqual(expect.stringMatching(/^fail .* \[ERR_KEY_NOT_FOUND\]$/));
});
