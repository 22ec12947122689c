import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import type { Pksigd } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { CKF } from './support/numbers.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;
const PATIENTLY = { timeout: 120_000, interval: 20 };

describe.skipIf(faultSetup.unavailable() !== undefined)('a person hears by a command', () => {
  let bed: FaultBed;
  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  const heard = (): string =>
    existsSync(bed.bench.path('heard')) ? readFileSync(bed.bench.path('heard'), 'utf8') : '';
  const uri = (token = 'pksigd'): string =>
    `pkcs11:token=${token};object=p256?module-path=${bed.modulePath}&pin-source=${bed.pinFile}`;

  async function run(key: string, ...options: string[]): Promise<Pksigd> {
    const notify = `printf '%s: %s\\n' "$PKSIGD_NOTICE" "$1" >>'${bed.bench.path('heard')}'`;
    const management = ['--management', bed.bench.path('m.sock'), 'unix', '--management-client'];
    const args = ['run', ...management, '--key', key, '--notify', notify, ...options];
    return await bed.bench.pksigd(args, { env: { ...bed.moduleEnvironment } });
  }

  test('that a token may want a touch, while it signs', async () => {
    await bed.fault('C_Sign', { delay: 3_500, times: 1 });
    const pksigd = await run(uri());
    await pksigd.message('key ready');
    const daemon = await FakeDaemon.open(bed.bench.path('m.sock'));
    daemon.say(GREETING);
    daemon.say(REQUEST);
    await pksigd.signed(1);
    // the command may end behind the signature
    await expect.poll(heard, PATIENTLY).toMatch(/^touch: Tunnel .*m\.sock waits for a signature: touch your token/);
    daemon.say(REQUEST);
    const [, second] = await pksigd.signed(2);
    // on a busy machine it may be as slow itself
    if (Number(second?.['durationMs']) < 3_000) expect(heard().split('\n')).toHaveLength(2);
    expect(await pksigd.stop()).toBe(0);
  });

  test('that a token wants its PIN on its keypad', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.PROTECTED_AUTHENTICATION_PATH });
    await bed.fault('C_Login', { delay: 1_500 });
    const pksigd = await run(uri());
    await expect.poll(heard, PATIENTLY).toBe('keypad: Token pksigd wants its PIN on its own keypad.\n');
    await pksigd.stop();
  });

  test('that a PIN was refused, before the agent ends', async () => {
    const pin = await bed.bench.write('wrong', '00000000\n');
    const pksigd = await run(uri().replace(bed.pinFile, pin));
    expect(await pksigd.exited).toBe(4);
    expect(heard()).toMatch(/^pin: Key key can't be used: .*refused the PIN.*\n$/);
    expect(heard()).not.toContain('00000000');
  });

  test('that a token is waited for, once', async () => {
    const pksigd = await run(uri('other'), '--wait-for-token');
    await expect.poll(() => pksigd.messages('waiting for the token').length, PATIENTLY).toBeGreaterThan(1);
    expect(heard()).toMatch(/^token: no token 'other'.*there is 'pksigd'.*\n$/);
    expect(await pksigd.stop()).toBe(0);
  });

  test('by the file, which a reload changes', async () => {
    const { bench } = bed;
    const path = bench.path('heard');
    const text = (notify: string): string =>
      `[agent]\nnotify = "${notify}"\n[key.k]\nkey = "${uri('other')}"\nwait-for-token = true\n` +
      `[tunnel.a]\nmanagement = "a.sock unix"\nmanagement-client = true\n`;
    const config = await bench.write('p.toml', text(`echo one: >>'${path}'`));
    const pksigd = await bench.pksigd(['run', '--config', config], { env: { ...bed.moduleEnvironment } });
    await expect.poll(heard, PATIENTLY).toBe('one:\n');
    await bench.write('p.toml', text(`echo two: >>'${path}'`).replace('=other', '=another'));
    pksigd.kill('SIGHUP');
    await expect.poll(heard, PATIENTLY).toBe('one:\ntwo:\n');
    await pksigd.stop();
  });
});
