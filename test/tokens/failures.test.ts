import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { recipeKey, run } from './setup/token-bed.ts';
import { AgentKey, type AgentOptions } from './support/agent.ts';
import { CKA, CKM, CKR, HASHING } from './support/numbers.ts';
import { requestsFor } from './support/requests.ts';

const PSS = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest';
const DIGEST = Buffer.alloc(32, 7);

describe.skipIf(faultSetup.unavailable() !== undefined)('a module that fails', () => {
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

  /** Signs everything; the mechanisms by the requests' columns. */
  async function signAll(agent: AgentKey, name: 'rsa2048' | 'p256'): Promise<Record<string, string[]>> {
    const mechanisms: Record<string, string[]> = {};
    for (const { column, algorithm, data, verifies } of requestsFor(bed.bench, name)) {
      const { bytes, mechanism } = await agent.sign(algorithm, data);
      expect(verifies(bytes, bed.key(name).publicKey), algorithm).toBe(true);
      mechanisms[column] = [...new Set([...(mechanisms[column] ?? []), mechanism])];
    }
    return mechanisms;
  }

  describe('mechanisms', () => {
    const refusals = ['MECHANISM_INVALID', 'MECHANISM_PARAM_INVALID', 'KEY_TYPE_INCONSISTENT'] as const;
    const lateRefusals = [
      'FUNCTION_NOT_SUPPORTED',
      'FUNCTION_FAILED',
      'ARGUMENTS_BAD',
      'KEY_FUNCTION_NOT_PERMITTED',
    ] as const;

    test.each([
      ...refusals.map((ckr) => ['C_SignInit', ckr] as const),
      ...lateRefusals.map((ckr) => ['C_Sign', ckr] as const),
    ])('PSS refused by %s with %s: padding in software, and no second try', async (functionName, ckr) => {
      await bed.fault(functionName, { mechanism: CKM.RSA_PKCS_PSS, rv: CKR[ckr], late: functionName === 'C_Sign' });
      await using agent = await open('rsa2048');
      const pss = requestsFor(bed.bench, 'rsa2048').filter(({ algorithm }) => algorithm === PSS);
      for (const { algorithm, data, verifies } of [...pss, ...pss]) {
        const { bytes, mechanism } = await agent.sign(algorithm, data);
        expect(mechanism).toBe('EMSA-PSS + CKM_RSA_X_509');
        expect(verifies(bytes, bed.key('rsa2048').publicKey)).toBe(true);
      }
      expect((await bed.calls(functionName)).filter((call) => !call.endsWith(' 0x0'))).toHaveLength(1);
    });

    test('PSS refused for one hash is used for the others', async () => {
      await bed.fault('C_SignInit', { mechanism: CKM.RSA_PKCS_PSS, rv: CKR.MECHANISM_PARAM_INVALID, times: 1 });
      await using agent = await open('rsa2048');
      const mechanismFor = async (hash: string, length: number): Promise<string> => {
        const algorithm = `RSA_PKCS1_PSS_PADDING,hashalg=${hash},saltlen=digest`;
        return (await agent.sign(algorithm, Buffer.alloc(length, 7))).mechanism;
      };
      expect(await mechanismFor('SHA224', 28)).toBe('EMSA-PSS + CKM_RSA_X_509');
      expect(await mechanismFor('SHA256', 32)).toBe('CKM_RSA_PKCS_PSS');
      expect(await mechanismFor('SHA224', 28)).toBe('EMSA-PSS + CKM_RSA_X_509');
    });

    test('an operation that a refused C_Sign leaves active costs a session, not the signature', async () => {
      await bed.fault('C_Sign', { mechanism: CKM.RSA_PKCS_PSS, rv: CKR.FUNCTION_FAILED });
      await using agent = await open('rsa2048');
      for (let round = 0; round < 3; round++) {
        expect((await agent.sign(PSS, DIGEST)).mechanism).toBe('EMSA-PSS + CKM_RSA_X_509');
      }
      expect(agent.steps).toEqual(['reopen the session']);
    });

    test('only raw RSA: all is padded in software', async () => {
      await bed.fault('C_GetMechanismList', { hide: [CKM.RSA_PKCS, CKM.RSA_PKCS_PSS, ...HASHING] });
      await using agent = await open('rsa2048');
      const mechanisms = await signAll(agent, 'rsa2048');
      expect(new Set(Object.values(mechanisms).flat())).toEqual(
        new Set(['EMSA-PKCS1-v1_5 + CKM_RSA_X_509', 'EMSA-PSS + CKM_RSA_X_509', 'CKM_RSA_X_509']),
      );
    });

    test('only mechanisms that hash: messages are signed, digests refused with what to change', async () => {
      await bed.fault('C_GetMechanismList', { hide: [CKM.RSA_PKCS, CKM.RSA_PKCS_PSS, CKM.RSA_X_509] });
      await using agent = await open('rsa2048');
      const messages = requestsFor(bed.bench, 'rsa2048').filter(({ algorithm }) =>
        /=SHA256.*data=message/.test(algorithm),
      );
      expect(messages).toHaveLength(4);
      for (const { algorithm, data, verifies } of messages) {
        const { bytes, mechanism } = await agent.sign(algorithm, data);
        expect(mechanism).toMatch(/^CKM_SHA256_RSA_PKCS(_PSS)?$/);
        expect(verifies(bytes, bed.key('rsa2048').publicKey), algorithm).toBe(true);
      }
      await expect(agent.sign(PSS, DIGEST)).rejects.toMatchObject({
        code: 'ERR_SCHEME_UNSUPPORTED',
        message: expect.stringContaining('EMSA-PSS + CKM_RSA_X_509'),
        hint: expect.stringContaining('digest'),
      });
    });
  });

  describe('objects', () => {
    test.each([
      ['rsa2048', [CKA.MODULUS, CKA.PUBLIC_EXPONENT]],
      ['p256', [CKA.EC_POINT]],
    ] as const)('%s without a public key: from the certificate', async (name, hide) => {
      await bed.fault('C_GetAttributeValue', { hide });
      await using agent = await open(name);
      expect(agent.signer.publicKey.equals(bed.key(name).publicKey)).toBe(true);
      await signAll(agent, name);
    });

    test('a key that wants the PIN for each signature gets it', async () => {
      const { SOFTHSM2_CONF = '' } = bed.environment;
      const tool = ['--module', bed.environment['FAULT_MODULE'] ?? '', '--token-label', 'pksigd'];
      const make = ['--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'aa', '--id', '77', '--always-auth'];
      await run('pkcs11-tool', [...tool, '--login', '--pin', bed.pin ?? '', ...make], { env: { SOFTHSM2_CONF } });
      const key = { ...(await recipeKey(bed.bench, 'p256', 'token=pksigd;object=aa')) };
      await using agent = await AgentKey.open(bed, key);
      await agent.sign('ECDSA', DIGEST);
      await agent.sign('ECDSA', DIGEST);
      const sequence = (await bed.calls())
        .filter((call) => /C_(Login|SignInit|Sign) /.test(call))
        .map((call) => call.split(' ')[0]);
      expect(sequence).toEqual([
        'C_Login',
        ...['C_SignInit', 'C_Login', 'C_Sign'],
        ...['C_SignInit', 'C_Login', 'C_Sign'],
      ]);
    });
  });

  describe('the process', () => {
    test.each(['C_Sign', 'C_SignInit'])(
      'a hang in %s ends with its deadline, and the next signature works',
      async (name) => {
        await using agent = await open('p256', { deadline: 10_000 });
        await bed.fault(name, { hang: true, times: 1 });
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
        await agent.sign('ECDSA', DIGEST);
        expect(agent.hostEvents.filter(({ type }) => type === 'started')).toHaveLength(2);
      },
    );

    test.each(['C_Initialize', 'C_GetSlotList', 'C_FindObjects'])(
      'a hang in %s ends the start with its deadline',
      async (name) => {
        await bed.fault(name, { hang: true });
        await expect(open('p256', { deadline: 2_000 })).rejects.toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
      },
    );

    test('a machine so busy that the host starts after the deadline of a call: the start has one of its own', async () => {
      const slow = await bed.bench.write('slow-start', `#!/bin/sh\nsleep 9\nexec '${bed.launcher}' "$@"\n`, 0o700);
      await using agent = await open('p256', { deadline: 8_000, launcher: slow });
      await agent.sign('ECDSA', DIGEST);
      expect(agent.hostEvents.map(({ type }) => type)).toEqual(['started', 'signed']);
    });

    test('a host that ends before it takes calls fails the start', async () => {
      const broken = await bed.bench.write('broken-start', '#!/bin/sh\nexit 7\n', 0o700);
      await expect(open('p256', { launcher: broken })).rejects.toMatchObject({
        code: 'ERR_MODULE_DIED',
        message: expect.stringContaining('exited with status 7') as string,
      });
    });

    test.each(['C_Sign', 'C_SignInit'])('a crash in %s costs a new host, not the signature', async (name) => {
      await using agent = await open();
      await bed.fault(name, { crash: true, times: 1 });
      await agent.sign('ECDSA', DIGEST);
      expect(agent.hostEvents).toContainEqual(
        expect.objectContaining({ type: 'ended', reason: 'was killed by SIGSEGV' }),
      );
    });

    test('a crash at each signature fails the request, and no more', async () => {
      await using agent = await open();
      await bed.fault('C_Sign', { crash: true });
      await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: 'ERR_MODULE_DIED' });
      await bed.heal();
      await agent.sign('ECDSA', DIGEST);
    });

    test('a host that is killed between signatures is replaced, ten times', async () => {
      await using agent = await open();
      for (let round = 0; round < 10; round++) {
        process.kill(agent.hostPid, 'SIGKILL');
        await agent.sign('ECDSA', DIGEST);
      }
      expect(agent.hostEvents.filter(({ type }) => type === 'started')).toHaveLength(11);
    });

    test('what the module prints is not taken for a reply', async () => {
      await bed.fault('C_Sign', { print: 'garbage' });
      await bed.fault('C_Initialize', { print: '\u0000\u0000\u0000\u0004{}' });
      await using agent = await open('p256', { showOutput: true });
      await agent.sign('ECDSA', DIGEST);
      await expect
        .poll(() => agent.hostEvents)
        .toContainEqual(expect.objectContaining({ type: 'output', text: 'garbage' }));
    });
  });

  describe('recovery', () => {
    test.each([
      [1, ['reopen the session']],
      [2, ['reopen the session', 'log out and in']],
      [3, ['reopen the session', 'log out and in', 'finalize and initialize the module']],
      [4, ['reopen the session', 'log out and in', 'finalize and initialize the module', 'start a new module host']],
    ])('C_Sign fails %i times: %j', async (times, steps) => {
      await using agent = await open();
      await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times });
      await agent.sign('ECDSA', DIGEST);
      expect(agent.steps).toEqual(steps);
      expect((await bed.calls('C_Logout')).length > 0).toBe(times > 1);
      expect((await bed.calls('C_Finalize')).length > 0).toBe(times > 2);
      expect(await bed.processes()).toHaveLength(times > 3 ? 2 : 1);
    });

    test('C_Sign fails always: the request fails, and works when the token does', async () => {
      await using agent = await open();
      await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR });
      await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({
        code: 'ERR_TOKEN_FAILED',
        ckr: 'CKR_DEVICE_ERROR',
        message: 'C_Sign returned CKR_DEVICE_ERROR',
      });
      await bed.heal();
      await agent.sign('ECDSA', DIGEST);
    });

    test.each(['SESSION_HANDLE_INVALID', 'USER_NOT_LOGGED_IN', 'GENERAL_ERROR'] as const)(
      '%s at C_SignInit',
      async (ckr) => {
        await using agent = await open();
        await bed.fault('C_SignInit', { rv: CKR[ckr], times: 1 });
        await agent.sign('ECDSA', DIGEST);
        expect(agent.steps).toEqual(['reopen the session']);
      },
    );

    test('no session left: at the start an error, later a matter for the recovery steps', async () => {
      await bed.fault('C_OpenSession', { rv: CKR.SESSION_COUNT, times: 1 });
      await expect(open()).rejects.toMatchObject({ ckr: 'CKR_SESSION_COUNT' });
      await using agent = await open();
      await bed.fault('C_Sign', { rv: CKR.SESSION_HANDLE_INVALID, times: 1 });
      await bed.fault('C_OpenSession', { rv: CKR.SESSION_COUNT, times: 1 });
      await agent.sign('ECDSA', DIGEST);
    });

    test('no session is left behind by a hundred signatures and ten failures', async () => {
      await using agent = await open();
      for (let round = 0; round < 100; round++) {
        if (round % 10 === 0) await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times: 1 + (round % 4) });
        await agent.sign('ECDSA', DIGEST);
      }
      const opened = (await bed.calls('C_OpenSession')).length;
      const closed = (await bed.calls('C_CloseSession')).length;
      // the open one, and the one in which the next signature is prepared; and what C_Finalize and the ends of hosts closed
      const ends = (await calls('C_Finalize')) + (await bed.processes()).length - 1;
      expect(opened - closed - ends).toBeLessThanOrEqual(2);
    });
  });
});
