import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { run } from './setup/token-bed.ts';
import { AgentKey, library, type AgentOptions } from './support/agent.ts';
import { CKF, CKR } from './support/numbers.ts';

const DIGEST = Buffer.alloc(32, 7);
const WRONG_PIN = '00000000';

describe.skipIf(faultSetup.unavailable() !== undefined)('the PIN', () => {
  let bed: FaultBed;
  const open = (name: 'rsa2048' | 'p256' = 'p256', options: AgentOptions = {}): Promise<AgentKey> =>
    AgentKey.open(bed, bed.key(name), options);
  const calls = async (name: string): Promise<number> => (await bed.calls(name)).length;

  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  test('a wrong one costs one try, whatever is asked for afterwards', async () => {
    const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
    for (let start = 0; start < 5; start++) {
      await expect(open('p256', { pin: WRONG_PIN, refusedPins })).rejects.toMatchObject({
        code: 'ERR_PIN_INCORRECT',
      });
    }
    expect(await bed.calls('C_Login')).toEqual(['C_Login 0xa0']);
    await using agent = await open('p256', { refusedPins });
    await agent.sign('ECDSA', DIGEST);
  });

  test('one that is changed while the agent runs costs one try, over all steps of recovery', async () => {
    await using agent = await open();
    await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times: 4 });
    await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT });
    await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect((await bed.calls('C_Login')).filter((call) => call === 'C_Login 0xa0')).toHaveLength(1);
  });

  test('one that changes at its source is tried once as well, and then signs', async () => {
    let pin = bed.pin ?? '';
    const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
    await using agent = await open('p256', { pin: () => pin, refusedPins });
    // as if it had been changed on the token
    await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT, times: 1 });
    await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times: 1 });
    pin = WRONG_PIN;
    await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    for (let round = 0; round < 3; round++) {
      await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    }
    const refused = (): Promise<string[]> =>
      bed.calls('C_Login').then((lines) => lines.filter((call) => call === 'C_Login 0xa0'));
    expect(await refused(), 'the old one and the new one, once each').toHaveLength(2);
    // the old one is right after all, and the person says so
    pin = bed.pin ?? '';
    await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ hint: expect.stringContaining('remove /') });
    expect(await refused(), 'not again by itself').toHaveLength(2);
    await rm(bed.bench.path('state'), { recursive: true });
    pin = WRONG_PIN;
    await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    pin = bed.pin ?? '';
    await agent.sign('ECDSA', DIGEST);
  });

  test('few tries left: a warning', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.COUNT_LOW });
    await using agent = await open();
    expect(agent.events).toContainEqual({ type: 'pin-count-low', token: 'pksigd' });
  });

  test('one try left: not used unless told to', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.FINAL_TRY });
    await expect(open()).rejects.toMatchObject({
      code: 'ERR_PIN_FINAL_TRY',
      reason: 'final-pin-try',
    });
    expect(await calls('C_Login')).toBe(0);
    await using agent = await open('p256', { useFinalPinTry: true });
    await agent.sign('ECDSA', DIGEST);
  });

  test('locked: said, with what to do, and not tried', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.LOCKED });
    await expect(open('p256', { useFinalPinTry: true })).rejects.toMatchObject({
      code: 'ERR_PIN_LOCKED',
      hint: expect.stringMatching(/PUK|SO PIN/),
    });
    expect(await calls('C_Login')).toBe(0);
  });

  test('a keypad on the token: whoever watches the log is told', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.PROTECTED_AUTHENTICATION_PATH });
    // SoftHSM has no keypad: the shim plays the person who types there, and takes a second for it
    await bed.fault('C_Login', { rv: CKR.USER_ALREADY_LOGGED_IN, delay: 1_000 });
    const events: AgentOptions['events'] = [];
    await expect(open('p256', { events })).rejects.toMatchObject({ ckr: 'CKR_USER_ALREADY_LOGGED_IN' });
    expect(events).toContainEqual({ type: 'pin-pad', token: 'pksigd' });
    expect(await bed.calls('C_Login')).toEqual(['C_Login 0x100']);
  });

  test('a keypad that is none: its empty PIN is refused at once, and not tried again over restarts', async () => {
    const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.PROTECTED_AUTHENTICATION_PATH });
    await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT });
    // on a machine so busy that the answer takes half a second, it passes for a person's
    let typed = 0;
    for (let start = 0; start < 3; start++) {
      const events: AgentOptions['events'] = [];
      await expect(open('p256', { refusedPins, events })).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      if (events.some(({ type }) => type === 'pin-pad')) typed++;
    }
    expect(typed).toBeLessThan(3);
    expect(await bed.calls('C_Login')).toEqual(Array.from({ length: typed + 1 }, () => 'C_Login 0xa0'));
  });

  test('what somebody typed wrong on a keypad can be typed again after a restart', async () => {
    const refusedPins = new library.RefusedPins(bed.bench.path('state'), process.pid);
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.PROTECTED_AUTHENTICATION_PATH });
    await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT, delay: 1_000 });
    for (let start = 0; start < 2; start++) {
      await expect(open('p256', { refusedPins })).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    }
    expect(await bed.calls('C_Login')).toHaveLength(2);
  });

  test('a keypad and one try left: not used', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.PROTECTED_AUTHENTICATION_PATH | CKF.FINAL_TRY });
    await expect(open()).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
    expect(await calls('C_Login')).toBe(0);
  });

  test('somebody is logged in already: as good as done', async () => {
    await using agent = await open();
    await bed.fault('C_Login', { rv: CKR.USER_ALREADY_LOGGED_IN, times: 1, late: true });
    await bed.fault('C_Sign', { rv: CKR.SESSION_HANDLE_INVALID, times: 1 });
    await agent.sign('ECDSA', DIGEST);
  });

  test('somebody is said to be logged in, and nobody is: the session is opened anew', async () => {
    await using agent = await open();
    await bed.fault('C_Login', { rv: CKR.USER_ALREADY_LOGGED_IN, times: 1 });
    await bed.fault('C_Sign', { rv: CKR.SESSION_HANDLE_INVALID, times: 1 });
    await agent.sign('ECDSA', DIGEST);
    expect(agent.steps).toEqual(['reopen the session', 'log out and in']);
  });

  test('ten starts of the command with a wrong PIN use up one try, as the token itself says', async () => {
    const pin = await bed.bench.write('wrong.pin', `${WRONG_PIN}\n`);
    const uri = `pkcs11:${bed.key('p256').uri}?module-path=${bed.modulePath}`;
    const args = [MAIN, 'sign', '--key', uri, '--pin-source', `file:${pin}`, '--algorithm', 'ECDSA'];
    const env = { ...bed.moduleEnvironment, STATE_DIRECTORY: bed.bench.path('service-state') };
    for (let start = 0; start < 10; start++) {
      const outcome = await run(process.execPath, args, { env, input: DIGEST.toString('base64') }).catch(String);
      expect(outcome).toContain('PIN');
    }
    expect(await bed.calls('C_Login')).toEqual(['C_Login 0xa0']);
    const tool = ['--module', bed.environment['FAULT_MODULE'] ?? '', '--list-slots'];
    const slots = await run('pkcs11-tool', tool, { env: bed.environment });
    expect(slots).toContain('user PIN count low');
    expect(slots).not.toContain('final user PIN try');
  });
});
