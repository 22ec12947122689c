import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultSetup } from './setup/fault.ts';
import { p11KitClientSetup, softHsm, softHsmSetup, startP11KitServer } from './setup/softhsm.ts';
import { run, SO_PIN, type TokenBed, type TokenSetup } from './setup/token-bed.ts';
import { killAll, withBed } from './support/beds.ts';
import { QUICK, TokenTunnel } from './support/tunnel.ts';

const FAILED = 'a copy of the key failed';
const WORKS = 'a copy of the key works again';

/** Milliseconds in which a copy that failed is asked again, for certain: its pauses double from 5 s on, and may be in vain. */
const ASKED_AGAIN_WITHIN = 120_000;

/** Makes handshakes until pksigd has said something: a copy that failed is not asked at once. */
async function untilSaid(tunnel: TokenTunnel, message: string): Promise<void> {
  const end = Date.now() + ASKED_AGAIN_WITHIN;
  while (tunnel.said(message).length === 0) {
    if (Date.now() > end) throw new Error(`'${message}' was not said in ${tunnel.connections} handshakes`);
    await tunnel.again();
  }
}

/** A second token in the bed's SoftHSM, with the same PIN and a key of the recipe; the first one's folder. */
async function addToken(bed: TokenBed, label: string): Promise<string> {
  const tokens = bed.bench.path('tokens');
  const [first = ''] = await readdir(tokens);
  const pin = bed.pin ?? '';
  const tool = (...args: string[]): Promise<string> => run('softhsm2-util', args, { env: bed.environment });
  await tool('--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', SO_PIN);
  const key = ['--label', 'p256', '--id', '0a', '--pin', pin];
  await tool('--import', bed.bench.recipe('p256.pem'), '--token', label, ...key);
  return join(tokens, first);
}

/** A test with a bed, if there can be one. */
function bedTest<Bed extends TokenBed>(
  title: string,
  setup: TokenSetup & { readonly start: () => Promise<Bed> },
  use: (bed: Bed) => Promise<void>,
): void {
  test.skipIf(setup.unavailable() !== undefined)(title, () => withBed(setup, use));
}

/** A tunnel by the bed's key and a copy of it. */
async function startWithCopy(bed: TokenBed, copy: string, args: readonly string[] = []): Promise<TokenTunnel> {
  const key = bed.key('p256');
  // the first one has its share of that
  const all = ['--deadline', '15', ...args];
  return await TokenTunnel.start(bed, key, { ...QUICK, keys: [TokenTunnel.uri(bed, key), copy], args: all });
}

function expectNothingLost(tunnel: TokenTunnel): void {
  expect(tunnel.pksigd.messages('failed')).toEqual([]);
  expect(tunnel.lost).toBe(0);
}

describe.concurrent('a tunnel with copies of its key', () => {
  bedTest('the first one hangs: the file signs, later the token again', faultSetup, async (bed) => {
    await using tunnel = await startWithCopy(bed, bed.bench.recipe('p256.pem'));
    await tunnel.client.connected();
    const lastSigner = async (): Promise<unknown> =>
      (await tunnel.pksigd.signed(tunnel.connections)).at(-1)?.['mechanism'];
    await bed.fault('C_Sign', { hang: true, times: 1 });
    await tunnel.again();
    expect(await lastSigner()).not.toBe('CKM_ECDSA');
    await tunnel.pksigd.message(FAILED);
    await untilSaid(tunnel, WORKS);
    // by an answer that came too late for its handshake, perhaps
    await tunnel.again();
    expect(await lastSigner()).toBe('CKM_ECDSA');
    expectNothingLost(tunnel);
  });

  const failures = { crash: { crash: true }, error: { rv: 0x30 } } as const;
  for (const [name, rule] of Object.entries(failures)) {
    bedTest(`the first one signs with a ${name}: the same token without the shim does`, faultSetup, async (bed) => {
      await using tunnel = await startWithCopy(
        bed,
        TokenTunnel.uri(bed, bed.key('p256'), bed.environment['FAULT_MODULE']),
      );
      await tunnel.client.connected();
      await bed.fault('C_Sign', rule);
      await tunnel.again();
      await tunnel.pksigd.message(FAILED);
      await bed.heal();
      await untilSaid(tunnel, WORKS);
      expectNothingLost(tunnel);
    });
  }

  bedTest("the first one's token is moved away: the file signs, later the token", softHsmSetup, async (bed) => {
    const tokens = bed.bench.path('tokens');
    await using tunnel = await startWithCopy(bed, bed.bench.recipe('p256.pem'));
    await tunnel.client.connected();
    await rename(tokens, bed.bench.path('away'));
    await untilSaid(tunnel, FAILED);
    await rename(bed.bench.path('away'), tokens);
    await untilSaid(tunnel, WORKS);
    expectNothingLost(tunnel);
  });

  bedTest(
    'on two tokens of a module, one is moved away: the other signs, later that one',
    softHsmSetup,
    async (bed) => {
      const folder = await addToken(bed, 'copy');
      const copy = TokenTunnel.uri(bed, { ...bed.key('p256'), uri: 'token=copy;object=p256' });
      await using tunnel = await startWithCopy(bed, copy);
      await tunnel.client.connected();
      await rename(folder, bed.bench.path('away'));
      await untilSaid(tunnel, FAILED);
      await rename(bed.bench.path('away'), folder);
      // it takes longer than alone: SoftHSM finds it at C_Initialize, which costs the other one its session
      await tunnel.pksigd.message(WORKS);
      await tunnel.again();
      expectNothingLost(tunnel);
    },
  );

  bedTest('the first one is behind a server that is killed', p11KitClientSetup, async (bed) => {
    const { modulePath, environment } = await softHsm(bed.bench);
    const settings = Object.entries(environment ?? {}).map(([name, value]) => `${name}=${value}`);
    const copy = TokenTunnel.uri(bed, bed.key('p256'), modulePath);
    await using tunnel = await startWithCopy(bed, copy, ['--module-env', ...settings]);
    await tunnel.client.connected();
    await killAll(bed.daemon);
    await untilSaid(tunnel, FAILED);
    await startP11KitServer(bed.bench);
    await untilSaid(tunnel, WORKS);
    expectNothingLost(tunnel);
  });

  bedTest('that are different keys: refused, and the daemon is held', softHsmSetup, async (bed) => {
    await using tunnel = await startWithCopy(bed, bed.bench.recipe('p384.pem'));
    const { pksigd, client } = tunnel;
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.messages('pksigd ends')).toMatchObject([
      {
        level: 'fatal',
        code: 'ERR_CERTIFICATE_MISMATCH',
        error: expect.stringMatching(/p384.* is another key than .*p256/) as string,
      },
    ]);
    expect(client.count(/CMD 'hold release'/)).toBe(0);
    expect(client.ended).toBe(false);
  });
});
