// How many tries of a PIN many starts use up, counted by a shim before the module. PIN_STARTS=40: more starts.
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createHash, randomInt } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup, type FaultBed, type FaultRule } from './setup/fault.ts';
import { recipeKey, run } from './setup/token-bed.ts';
import { AgentKey, library, type AgentOptions } from './support/agent.ts';
import { CKF, CKR } from './support/numbers.ts';

const STARTS = Number(process.env['PIN_STARTS'] ?? 6);
const TIMEOUT = 120_000 + STARTS * 15_000;
const DIGEST = Buffer.alloc(32, 7);
const WRONG_PIN = '00000000';

interface Outcome {
  readonly status: number | null;
  readonly text: string;
  readonly milliseconds: number;
}

describe.skipIf(faultSetup.unavailable() !== undefined)('the tries of a PIN', () => {
  let bed: FaultBed;
  const mounts: string[] = [];

  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    for (const path of mounts.splice(0)) spawnSync('umount', [path]);
    await bed.stop();
  });

  interface StartOptions {
    readonly pin?: string;
    readonly keys?: readonly string[];
    readonly state?: string;
    readonly killAfter?: number;
  }

  /** One start of the command, which signs once. */
  async function start({ pin = WRONG_PIN, keys, state, killAfter }: StartOptions = {}): Promise<Outcome> {
    const file = await bed.bench.write('given.pin', `${pin}\n`);
    const uri = `pkcs11:${bed.key('p256').uri}?module-path=${bed.modulePath}`;
    const named = (keys ?? [uri]).flatMap((key) => ['--key', key]);
    const args = [MAIN, 'sign', ...named, '--pin-source', `file:${file}`, '--algorithm', 'ECDSA', '--deadline', '10'];
    const folder = ['--state-directory', state ?? bed.bench.path('state')];
    const began = performance.now();
    const child = spawn(process.execPath, [...args, ...folder], { env: bed.moduleEnvironment });
    child.stdin.on('error', () => undefined).end(DIGEST.toString('base64'));
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const kill = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    clearTimeout(kill);
    return { status, text, milliseconds: performance.now() - began };
  }

  async function startOften(options: StartOptions = {}): Promise<(number | null)[]> {
    const statuses: (number | null)[] = [];
    for (let round = 0; round < STARTS; round++) statuses.push((await start(options)).status);
    return statuses;
  }

  const report = async (what: string): Promise<void> => {
    console.log(`${STARTS} starts, ${what}: ${await bed.logins()} C_Login`);
  };

  test('a wrong PIN: one', { timeout: TIMEOUT }, async () => {
    expect(new Set(await startOften())).toEqual(new Set([4]));
    await report('the token says no');
    expect(await bed.logins()).toBe(1);
  });

  test.each<[string, FaultRule, number]>([
    ['hangs', { hang: true }, 2],
    ['crashes', { crash: true }, 2],
    ['answers GENERAL_ERROR', { rv: CKR.GENERAL_ERROR }, 2],
    // the token's flags say that it has seen a wrong PIN
    ['hangs once the token has seen the PIN', { hang: true, late: true }, 1],
    ['crashes once the token has seen the PIN', { crash: true, late: true }, 1],
    ['answers GENERAL_ERROR once the token has seen the PIN', { rv: CKR.GENERAL_ERROR, late: true }, 1],
  ])('a wrong PIN and a module that %s', { timeout: TIMEOUT }, async (what, rule, most) => {
    await bed.fault('C_Login', rule);
    expect(new Set(await startOften())).toEqual(new Set([4]));
    await report(`a module that ${what}`);
    expect(await bed.logins()).toBe(most);
  });

  test('a wrong PIN and kill -9 at random moments: two at most', { timeout: TIMEOUT }, async () => {
    const { milliseconds } = await start({ pin: bed.pin ?? '' });
    const before = await bed.logins();
    for (let round = 0; round < STARTS; round++) await start({ killAfter: randomInt(Math.ceil(milliseconds)) });
    console.log(`${STARTS} starts, kill -9 at random moments: ${(await bed.logins()) - before} C_Login`);
    expect((await bed.logins()) - before).toBeLessThanOrEqual(2);
  });

  test('no room for the record: none', { timeout: TIMEOUT }, async ({ skip }) => {
    const folder = bed.bench.path('full');
    await mkdir(folder, { mode: 0o700 });
    const options = 'size=16k,mode=0700';
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]).status !== 0) {
      skip('a full file system of its own needs root');
    }
    mounts.push(folder);
    await writeFile(`${folder}/filler`, Buffer.alloc(1 << 20)).catch(() => undefined);
    const { status, text } = await start({ state: folder });
    expect({ status, text }).toEqual({ status: 2, text: expect.stringMatching(/^pksigd: .*ENOSPC.*\n$/) });
    expect(new Set(await startOften({ state: folder }))).toEqual(new Set([2]));
    await report('no space');
    expect(await bed.logins()).toBe(0);
  });

  test('a right PIN behind one hang signs without help', { timeout: TIMEOUT }, async () => {
    await bed.fault('C_Login', { hang: true, times: 1 });
    const { status, text } = await start({ pin: bed.pin ?? '' });
    expect({ status, text }).toMatchObject({ status: 0 });
    // and the next hang is a first one again
    await bed.fault('C_Login', { hang: true, times: 1 });
    expect((await start({ pin: bed.pin ?? '' })).status).toBe(0);
  });

  test('two keys on one token, and starts side by side: one', { timeout: TIMEOUT }, async () => {
    const source = await bed.bench.write('both.pin', `${WRONG_PIN}\n`);
    const key = `pkcs11:token=pksigd;object=p256?module-path=${bed.modulePath}&pin-source=file:${source}`;
    const keys = [key, key];
    const outcomes = await Promise.all([start({ keys }), start({ keys }), start({ keys })]);
    expect(outcomes.map(({ status }) => status)).toEqual([4, 4, 4]);
    expect(await bed.logins()).toBe(1);
  });

  test('a copy that is absent and one whose PIN is wrong: exit code 4', async () => {
    const absent = `pkcs11:token=elsewhere;object=p256?module-path=${bed.modulePath}`;
    const there = `pkcs11:${bed.key('p256').uri}?module-path=${bed.modulePath}`;
    expect((await start({ keys: [absent, there] })).status).toBe(4);
  });

  describe('return values of C_Login', () => {
    const open = (options: AgentOptions = {}): Promise<AgentKey> => AgentKey.open(bed, bed.key('p256'), options);
    const memory = () => new library.RefusedPins(bed.bench.path('state'), process.pid);

    test.each([
      'GENERAL_ERROR',
      'FUNCTION_FAILED',
      'DEVICE_ERROR',
      'DEVICE_REMOVED',
      'SESSION_CLOSED',
      'HOST_MEMORY',
      'FUNCTION_CANCELED',
      'VENDOR',
    ] as const)('%s: twice at most, over requests, recovery and starts', async (ckr) => {
      const refusedPins = memory();
      await using agent = await open({ refusedPins });
      const before = await bed.logins();
      await bed.fault('C_Login', { rv: CKR[ckr] });
      await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR });
      for (let round = 0; round < 3; round++) {
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
        await expect(open({ refusedPins })).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
      }
      expect((await bed.logins()) - before).toBe(2);
    });

    test.each(['PIN_INCORRECT', 'PIN_INVALID', 'PIN_LEN_RANGE', 'PIN_EXPIRED', 'PIN_LOCKED', 'ARGUMENTS_BAD'] as const)(
      '%s: once',
      async (ckr) => {
        const refusedPins = memory();
        await bed.fault('C_Login', { rv: CKR[ckr] });
        for (let round = 0; round < 3; round++) {
          await expect(open({ refusedPins })).rejects.toMatchObject({
            code: expect.stringMatching(/^ERR_PIN_(INCORRECT|LOCKED)$/),
          });
        }
        expect(await bed.logins()).toBe(1);
      },
    );

    test.each(['TOKEN_NOT_PRESENT', 'SLOT_ID_INVALID', 'SESSION_HANDLE_INVALID'] as const)(
      '%s: the PIN was not looked at, and may be sent again',
      async (ckr) => {
        const refusedPins = memory();
        await using agent = await open({ refusedPins });
        await bed.fault('C_Sign', { rv: CKR.SESSION_HANDLE_INVALID, times: 1 });
        await bed.fault('C_Login', { rv: CKR[ckr], times: 3 });
        await agent.sign('ECDSA', DIGEST);
        expect(await bed.logins()).toBe(5);
      },
    );

    test.each([CKF.COUNT_LOW, CKF.FINAL_TRY])(
      'without an outcome, and few tries left: no other (flag %i)',
      async (setFlags) => {
        const refusedPins = memory();
        await bed.fault('C_Login', { crash: true, times: 1 });
        // set from the second look on, as the token would
        await bed.fault('C_GetTokenInfo', { skip: 2, setFlags });
        await expect(open({ refusedPins, useFinalPinTry: true })).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
        expect(await bed.logins()).toBe(1);
      },
    );

    test('without a folder the same rules hold, as long as the hosts', async () => {
      await using agent = await open();
      await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR });
      await bed.fault('C_Login', { crash: true });
      for (let round = 0; round < 3; round++) {
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
      }
      expect(await bed.logins()).toBe(3);
    });
  });

  describe('a key that wants the PIN for each signature', () => {
    async function openAlways(refusedPins: InstanceType<typeof library.RefusedPins>): Promise<AgentKey> {
      return await AgentKey.open(bed, await recipeKey(bed.bench, 'p256', 'token=pksigd;object=aa'), {
        refusedPins,
        deadline: 10_000,
      });
    }
    beforeEach(async () => {
      const { SOFTHSM2_CONF = '' } = bed.environment;
      const tool = ['--module', bed.environment['FAULT_MODULE'] ?? '', '--token-label', 'pksigd'];
      const make = ['--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'aa', '--id', '77', '--always-auth'];
      await run('pkcs11-tool', [...tool, '--login', '--pin', bed.pin ?? '', ...make], { env: { SOFTHSM2_CONF } });
    });

    test.each<[string, FaultRule, number]>([
      ['refuses it', { rv: CKR.PIN_INCORRECT, skip: 1 }, 1],
      ['answers FUNCTION_FAILED, as to a mechanism', { rv: CKR.FUNCTION_FAILED, skip: 1 }, 2],
    ])('a token that %s at the first signature', async (_what, rule, most) => {
      const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
      await using agent = await openAlways(refusedPins);
      await bed.fault('C_Login', { ...rule, skip: 0 });
      for (let round = 0; round < 3; round++) {
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_PIN_/) });
      }
      await expect(openAlways(refusedPins)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_PIN_/) });
      expect(await bed.logins()).toBeLessThanOrEqual(1 + most);
    });

    test('a token that refuses it at a later signature: once, over starts', async () => {
      const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
      await using agent = await openAlways(refusedPins);
      await agent.sign('ECDSA', DIGEST);
      await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT });
      await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      await expect(openAlways(refusedPins)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      expect(await bed.logins()).toBe(3);
    });

    test('a hang in C_Sign says nothing of the PIN', async () => {
      const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
      await using agent = await openAlways(refusedPins);
      await bed.fault('C_Sign', { hang: true, times: 3 });
      for (let round = 0; round < 3; round++) {
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
      }
      await agent.sign('ECDSA', DIGEST);
    });
  });

  test('the record of a version before is read', async () => {
    const salt = Buffer.alloc(16, 1);
    const { scryptSync } = await import('node:crypto');
    const hash = scryptSync(WRONG_PIN, salt, 32).toString('hex');
    const info = await run('pkcs11-tool', ['--module', bed.environment['FAULT_MODULE'] ?? '', '--list-slots'], {
      env: bed.environment,
    });
    const field = (name: string): string => new RegExp(`${name} *: (.*?) *\n`).exec(info)?.[1] ?? '';
    const names = [field('token manufacturer'), field('token model'), field('serial num'), field('token label')];
    const name = createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 24);
    await mkdir(bed.bench.path('state'), { mode: 0o700 });
    const record = [{ salt: salt.toString('hex'), hash, refusedAt: '2026-01-01T00:00:00.000Z' }];
    await bed.bench.write(`state/refused-pin-${name}.json`, JSON.stringify(record));
    const { status, text } = await start();
    expect({ status, text }).toEqual({
      status: 4,
      text: expect.stringContaining('refused this PIN before (2026-01-01'),
    });
    expect(await bed.logins()).toBe(0);
  });
});
