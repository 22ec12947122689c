import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEYS } from '../support/bench.ts';
import { SETUPS } from './setup/index.ts';
import type { TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { requestsFor } from './support/requests.ts';

for (const setup of SETUPS) {
  const reason = setup.unavailable();
  describe.skipIf(reason !== undefined)(setup.name, () => {
    let bed: TokenBed;
    beforeAll(async () => {
      bed = await setup.start();
    });
    afterAll(async () => {
      await bed?.stop();
    });
    test('x', async () => {
      for (const key of bed.keys) {
        const t = performance.now();
        const fam = new Map<string, Set<string>>();
        try {
          await using agent = await AgentKey.open(bed, key);
          for (const r of requestsFor(bed.bench, key.name)) {
            let how: string;
            try {
              const { bytes, mechanism } = await agent.sign(r.algorithm, r.data);
              how = r.verifies(bytes, key.publicKey) ? mechanism : 'WRONG';
            } catch (e) {
              how = `${r.algorithm}: ${String(e)}`;
            }
            fam.set(r.family, (fam.get(r.family) ?? new Set()).add(how));
          }
          if (agent.events.length) console.log(agent.events);
        } catch (e) {
          console.log(setup.name, key.uri, e);
        }
        console.log(setup.name, key.uri, Math.round(performance.now() - t), fam);
      }
    });
  });
}
