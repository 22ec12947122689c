import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { check } from '../support/check.ts';

/** A key file of so many bits. */
async function keyFile(bench: Bench, modulusLength: number): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return await bench.write(`rsa${modulusLength}.pem`, pem, 0o600);
}

test('an RSA key below 2,048 bits is warned of, below 1,024 refused', async ({ bench }) => {
  const small = await check(bench, '--key', await keyFile(bench, 1024));
  expect(small.of('key')).toContainEqual(
    expect.objectContaining({ outcome: 'warn', detail: expect.stringContaining('weak') }),
  );
  const tiny = await check(bench, '--key', await keyFile(bench, 1016));
  expect(tiny.of('key')).toEqual([expect.objectContaining({ outcome: 'fail', code: 'ERR_KEY_UNSUPPORTED' })]);
  const run = await bench.pksigd(['run', '--management', bench.path('m'), 'unix', '--key', await keyFile(bench, 1024)]);
  await run.logged(/an RSA key of 1024 bits is weak/);
});
