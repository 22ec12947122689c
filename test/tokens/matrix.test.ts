import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SETUPS } from './setup/index.ts';
import { COLUMNS, type Column, type TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { requestsFor } from './support/requests.ts';
import { document, rowsOf, type Cell } from './support/table.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/TOKENS.md');
const UPDATE = process.env['UPDATE_DOCS'] === '1';
/** Names of keys as COLUMNS has them, where a whole column is one kind of key. */
const COLUMN_OF: Readonly<Record<string, Column>> = {
  p256: 'P-256',
  p384: 'P-384',
  p521: 'P-521',
  ed25519: 'Ed25519',
  ed448: 'Ed448',
};
const rows: Map<string, string>[] = [];

for (const setup of SETUPS) {
  const reason = setup.unavailable();
  if (reason !== undefined) console.warn(`${setup.name} is left out: ${reason} (packages ${setup.packages.join(' ')})`);

  describe.skipIf(reason !== undefined)(setup.name, () => {
    let bed: TokenBed;
    const cells: Cell[] = [];

    beforeAll(async () => {
      bed = await setup.start();
    });
    afterAll(async () => {
      await bed.stop();
    });

    test('every key signs all that a daemon may ask for', async () => {
      for (const key of bed.keys) {
        await using agent = await AgentKey.open(bed, key);
        expect(agent.signer.publicKey.equals(key.publicKey), key.uri).toBe(true);
        const column = COLUMN_OF[key.name];
        const lacking = column === undefined ? undefined : setup.lacks?.[column];
        for (const { column, algorithm, data, verifies } of requestsFor(bed.bench, key.name)) {
          const what = `${key.uri} ${algorithm}, ${data.length} bytes`;
          if (lacking !== undefined) {
            await expect(agent.sign(algorithm, data), what).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
            continue;
          }
          const { bytes, mechanism } = await agent.sign(algorithm, data);
          expect(verifies(bytes, key.publicKey), `${what}, by ${mechanism}`).toBe(true);
          cells.push({ column, algorithm, mechanism });
        }
        expect(agent.steps, 'nothing had to be recovered').toEqual([]);
      }
    });

    test('no cell is empty, and none that the token is said to lack is filled', () => {
      const filled = new Set(cells.map(({ column }) => column));
      for (const column of Object.values(COLUMNS).flat()) {
        expect(filled.has(column), column).toBe(setup.lacks?.[column] === undefined);
      }
      rows.push(rowsOf(setup, cells));
    });
  });
}

test.runIf(UPDATE)('all modules are there: else docs/TOKENS.md is left as it is', () => {
  expect(SETUPS.flatMap((setup) => setup.unavailable() ?? [])).toEqual([]);
});

test.skipIf(SETUPS.some((setup) => setup.unavailable() !== undefined))('docs/TOKENS.md says the same', async () => {
  expect(rows, 'modules that were tested').toHaveLength(SETUPS.length);
  const now = document(rows);
  if (UPDATE) await writeFile(DOCUMENT, now);
  expect(await readFile(DOCUMENT, 'utf8'), 'run scripts/update-tokens-doc').toBe(now);
});
