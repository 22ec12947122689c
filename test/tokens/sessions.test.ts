import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { softHsmSetup } from './setup/softhsm.ts';
import { recipeKey, run, SO_PIN, type BedKey, type TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';

const DIGEST = Buffer.alloc(32, 7);
/** Milliseconds between looks at a token. */
const WATCH = 50;

/** A second token in the bed's SoftHSM, and its folder. */
async function addToken(bed: TokenBed): Promise<{ key: BedKey; folder: string }> {
  const folder = bed.bench.path('tokens');
  const before = await readdir(folder);
  const tool = (...args: string[]): Promise<string> => run('softhsm2-util', args, { env: bed.environment });
  const pin = ['--pin', bed.pin ?? ''];
  await tool('--init-token', '--free', '--label', 'second', ...pin, '--so-pin', SO_PIN);
  const key = ['--import', bed.bench.recipe('p384.pem'), '--label', 'p384', '--id', '0a'];
  await tool(...key, '--token', 'second', ...pin);
  const [added = ''] = (await readdir(folder)).filter((name) => !before.includes(name));
  return { key: await recipeKey(bed.bench, 'p384', 'token=second;object=p384'), folder: join(folder, added) };
}

describe.skipIf(softHsmSetup.unavailable() !== undefined)('two tokens of one module', () => {
  test('one goes and comes back: the other one signs on, and so does it in the end', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { key, folder } = await addToken(bed);
      await using first = await AgentKey.open(bed, bed.key('p256'), { watchInterval: WATCH });
      await using second = await AgentKey.open(bed, key, { beside: first, watchInterval: WATCH });
      const types = (): string[] => second.events.map(({ type }) => type).filter((type) => type !== 'recovering');
      await rename(folder, bed.bench.path('away'));
      // SoftHSM goes on listing it: only a signature notices
      await expect(second.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_TOKEN_/) });
      await expect.poll(types, { timeout: 120_000 }).toEqual(['lost']);
      await first.sign('ECDSA', DIGEST);
      await rename(bed.bench.path('away'), folder);
      await expect.poll(types, { timeout: 120_000 }).toEqual(['lost', 'found']);
      await second.sign('ECDSA', DIGEST);
      await first.sign('ECDSA', DIGEST);
      expect(first.events.filter(({ type }) => type === 'lost')).toEqual([]);
    });
  });
});
