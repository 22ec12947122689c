import { describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { Child } from '../support/child.ts';
import { spySetup } from './setup/softhsm.ts';
import type { TokenBed } from './setup/token-bed.ts';
import { withBed } from './support/beds.ts';

/** Signs through pkcs11-spy, which prints each argument of each call. @returns all that pksigd said */
async function sign(bed: TokenBed, ...options: string[]): Promise<string> {
  const { PKCS11SPY_OUTPUT, ...environment } = bed.moduleEnvironment;
  expect(PKCS11SPY_OUTPUT).toBeDefined(); // without it, it prints on standard error
  const uri = `pkcs11:${bed.key('p256').uri}?module-path=${bed.modulePath}`;
  const args = ['sign', '--key', uri, '--pin-source', bed.pinFile, '--algorithm', 'ECDSA', ...options];
  const env = { ...environment, XDG_STATE_HOME: bed.bench.path('state') };
  const input = Buffer.alloc(32, 7).toString('base64');
  const pksigd = bed.bench.adopt(new Child('pksigd', process.execPath, [MAIN, ...args], { env, input }));
  expect(await pksigd.exited, pksigd.transcript).toBe(0);
  return pksigd.lines.join('\n');
}

describe.skipIf(spySetup.unavailable() !== undefined)('what a module prints', () => {
  test('is in no log, at no level: it may be the PIN in pieces', async () => {
    await withBed(spySetup, async (bed) => {
      const pin = bed.pin ?? '';
      const said = await sign(bed, '--log-level', 'trace');
      expect(said).toContain('the module prints something');
      const bytes = Buffer.from(pin).toString('hex');
      for (const form of [pin, bytes, bytes.replace(/..(?=.)/g, '$& '), 'C_Login']) expect(said).not.toContain(form);
    });
  });

  test('is logged where --module-output asks for it, with a warning', async () => {
    await withBed(spySetup, async (bed) => {
      const said = await sign(bed, '--log-level', 'info', '--module-output');
      expect(said).toMatch(/"level":"warn".*some print PINs/);
      expect(said).toContain('C_Login');
      expect(said).not.toContain(bed.pin);
    });
  });
});
