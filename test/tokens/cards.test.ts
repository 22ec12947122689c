import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { openScSetup, ykcs11Setup, type PivBed } from './setup/piv.ts';
import { run } from './setup/token-bed.ts';
import { AgentKey, library } from './support/agent.ts';

const PKCS1 = 'RSA_PKCS1_PADDING,hashalg=SHA256,data=message';
const MESSAGE = Buffer.from('message');
const WRONG_PIN = '999999';
/** Milliseconds between looks at the token: a test does not wait as long as a service may. */
const WATCH = 100;
/** Milliseconds: OpenSC hangs in C_CloseSession after a card went away in the middle of something. */
const DEADLINE = 10_000;

describe.each([openScSetup, ykcs11Setup])('a card by $name', (setup) => {
  let bed: PivBed;
  beforeAll(async () => {
    if (setup.unavailable() === undefined) bed = await setup.start();
  });
  afterAll(async () => {
    if (setup.unavailable() === undefined) await bed.stop();
  });
  beforeEach(({ skip }) => {
    const reason = setup.unavailable();
    skip(reason !== undefined, reason);
  });
  // a test that fails must not fail the others
  beforeEach(async () => {
    if (bed.pcscd.ended) await bed.startPcscd();
    if (bed.card.ended) await bed.insert();
  });

  async function attempt(agent: AgentKey): Promise<string> {
    return await agent.sign(PKCS1, MESSAGE).then(
      () => 'signed',
      (error: unknown) => (error as { code: string }).code,
    );
  }

  test('pulled and put back between signatures: it signs again', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'));
    for (let round = 0; round < 3; round++) {
      await agent.sign(PKCS1, MESSAGE);
      await bed.remove();
      expect(await attempt(agent)).toMatch(/^ERR_(TOKEN|MODULE)_/);
      await bed.insert();
      await agent.sign(PKCS1, MESSAGE);
    }
  });

  test('pulled and put back: noticed without a signature', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'), { watchInterval: WATCH, deadline: DEADLINE });
    const types = (): string[] => agent.events.map(({ type }) => type).filter((type) => type !== 'recovering');
    await bed.remove();
    await expect.poll(types, { timeout: 120_000 }).toEqual(['lost']);
    await bed.insert();
    await expect.poll(types, { timeout: 120_000 }).toEqual(['lost', 'found']);
    await agent.sign(PKCS1, MESSAGE);
  });

  test('pulled in the middle of a signature: it signs again when it is back', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'), { deadline: DEADLINE });
    bed.card.kill('SIGUSR2');
    expect(await attempt(agent)).toMatch(/^ERR_(TOKEN|MODULE)_/);
    await bed.remove(); // the reader has to notice before another can come
    await bed.insert();
    await agent.sign(PKCS1, MESSAGE);
  });

  test('a card that fails once signs at the second try', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'));
    bed.card.kill('SIGUSR1');
    await agent.sign(PKCS1, MESSAGE);
  });

  test('pcscd killed and started again: it signs again', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'), { deadline: DEADLINE });
    await agent.sign(PKCS1, MESSAGE);
    bed.pcscd.kill('SIGKILL');
    await bed.pcscd.exited;
    await bed.card.exited;
    expect(await attempt(agent)).toMatch(/^ERR_(TOKEN|MODULE)_/);
    await bed.startPcscd();
    await bed.insert();
    await agent.sign(PKCS1, MESSAGE);
  });

  test('the key of 9c gets its PIN for each signature, that of 9e signs as well', async () => {
    await using always = await AgentKey.open(bed, bed.slot('9c'));
    await using never = await AgentKey.open(bed, bed.slot('9e'));
    for (let round = 0; round < 3; round++) {
      await always.sign(PKCS1, MESSAGE);
      await never.sign('ECDSA', Buffer.alloc(48, 1));
    }
    expect(always.steps).toEqual([]);
  });

  test('two processes at one card', async () => {
    await using one = await AgentKey.open(bed, bed.slot('9a'));
    await using other = await AgentKey.open(bed, bed.slot('9a'));
    for (let round = 0; round < 4; round++) {
      await one.sign(PKCS1, MESSAGE);
      await other.sign(PKCS1, MESSAGE);
    }
  });

  test('a host that is killed is replaced', async () => {
    await using agent = await AgentKey.open(bed, bed.slot('9a'));
    for (let round = 0; round < 5; round++) {
      process.kill(agent.hostPid, 'SIGKILL');
      await agent.sign(PKCS1, MESSAGE);
    }
  });

  test('more keys than ykcs11 has sessions share one', async () => {
    await using first = await AgentKey.open(bed, bed.slot('9a'));
    const others = await Promise.all(
      Array.from({ length: 17 }, () => AgentKey.open(bed, bed.slot('9d'), { beside: first })),
    );
    await Promise.all([first.sign(PKCS1, MESSAGE), ...others.map((other) => other.sign('ECDSA', Buffer.alloc(32, 1)))]);
    expect(first.hostEvents.filter(({ type }) => type === 'started')).toHaveLength(1);
    for (const other of others) await other[Symbol.asyncDispose]();
    await first.sign(PKCS1, MESSAGE);
  });

  describe('the PIN', () => {
    test('a PIN of a length that the card can not have is not tried', async () => {
      for (const pin of ['1', '123456789']) {
        await expect(AgentKey.open(bed, bed.slot('9a'), { pin })).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      }
      expect(await bed.tries()).toBe(3);
    });

    test('ten starts of the command with a wrong one use up one try', async () => {
      const pin = await bed.bench.write('wrong.pin', `${WRONG_PIN}\n`);
      const uri = `pkcs11:${bed.slot('9a').uri}?module-path=${bed.modulePath}`;
      const state = ['--state-directory', bed.bench.path('state')];
      const args = [MAIN, 'sign', '--key', uri, '--pin-source', `file:${pin}`, '--algorithm', PKCS1, ...state];
      for (let start = 0; start < 10; start++) {
        const input = MESSAGE.toString('base64');
        const outcome = await run(process.execPath, args, { env: bed.moduleEnvironment, input }).catch(String);
        expect(outcome).toContain('PIN');
      }
      expect(await bed.tries()).toBe(2);
    });

    test('the right one gives the tries back, and nothing is remembered of it', async () => {
      const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
      await using agent = await AgentKey.open(bed, bed.slot('9a'), { refusedPins });
      await agent.sign(PKCS1, MESSAGE);
      expect(await bed.tries()).toBe(3);
    });

    test('the last try is not used, a locked PIN is said to be', async () => {
      for (const pin of ['111111', '222222']) {
        await expect(AgentKey.open(bed, bed.slot('9a'), { pin })).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      }
      await expect(AgentKey.open(bed, bed.slot('9a'))).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
      expect(await bed.tries()).toBe(1);
      const last = { pin: '333333', useFinalPinTry: true };
      await expect(AgentKey.open(bed, bed.slot('9a'), last)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_PIN_(INCORRECT|LOCKED)$/),
      });
      await expect(AgentKey.open(bed, bed.slot('9a'), { useFinalPinTry: true })).rejects.toMatchObject({
        code: 'ERR_PIN_LOCKED',
      });
      expect(await bed.tries()).toBe(0);
    });
  });
});
