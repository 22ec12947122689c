import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readChecked, unhurried } from '../support/check.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';

describe.skipIf(faultSetup.unavailable() !== undefined)('check --config --login', () => {
  let bed: FaultBed;
  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  /** Two keys of one token, and three tunnels. */
  async function checked(pinFile: string) {
    const key = (name: string): string =>
      `[key.${name}]\nkey = "pkcs11:token=pksigd;object=${name}?module-path=${bed.modulePath}"\n`;
    const tunnel = (name: string, uses: string): string =>
      `[tunnel.${name}]\nkey = "${uses}"\nmanagement = "${name}.sock unix"\nmanagement-client = true\n`;
    const text = [
      ...[`[token]\npin-source = "${pinFile}"\n`, key('p256'), key('rsa2048')],
      ...[tunnel('a', 'p256'), tunnel('b', 'p256'), tunnel('c', 'rsa2048')],
    ].join('');
    const { bench } = bed;
    const args = ['check', '--json', '--config', await bench.write('p.toml', text), '--login'];
    const env = { ...bed.moduleEnvironment, XDG_STATE_HOME: bench.path('state') };
    return await unhurried(async () => {
      const before = (await bed.calls('C_Login')).length;
      const result = await readChecked(await bench.pksigd(args, { env }));
      return { ...result, logins: (await bed.calls('C_Login')).length - before };
    });
  }

  test('signs with each key, after one login', async () => {
    const { code, of, logins } = await checked(bed.pinFile);
    expect(code).toBe(0);
    expect(logins).toBe(1);
    expect(of('signature').every(({ outcome }) => outcome === 'ok')).toBe(true);
    expect(of('lines')).toHaveLength(3);
  });

  test('tries a wrong PIN once, however many keys and tunnels it is for', async () => {
    const { code, of, logins } = await checked(await bed.bench.write('wrong', '000000\n'));
    expect(code).toBe(4);
    expect(logins).toBe(1);
    expect(of('listen')).toHaveLength(3);
  });
});
