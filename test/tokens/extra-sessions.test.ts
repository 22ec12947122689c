import { describe, expect, test } from 'vitest';
import { faultSetup } from './setup/fault.ts';
import { softHsmSetup } from './setup/softhsm.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';
import { CKF, CKR } from './support/numbers.ts';

const DIGEST = Buffer.alloc(32, 7);
const PSS = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest';

/** 64 that ask again and again until there are so many processes; each signature is verified on its way. */
async function signUntil(agent: AgentKey, processes: number): Promise<void> {
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      do await agent.sign(PSS, DIGEST);
      while (pids(agent).length < processes);
    }),
  );
}

const signOften = (agent: AgentKey): Promise<unknown> =>
  Promise.all(
    Array.from({ length: 64 }, async () => {
      for (let times = 0; times < 5; times++) await agent.sign(PSS, DIGEST);
    }),
  );

/** Of all processes that were started, and of those that have ended. */
const pids = (agent: AgentKey, type: 'started' | 'ended' = 'started'): number[] =>
  agent.hostEvents.flatMap((event) => (event.type === type ? [event.pid] : []));

describe.skipIf(softHsmSetup.unavailable() !== undefined)('64 signatures at once', () => {
  test('start a second process, whose end nobody notices', async () => {
    await withBed(softHsmSetup, async (bed) => {
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'), { hosts: 2 });
      await signUntil(agent, 2);
      await signOften(agent);
      const signing = signOften(agent);
      process.kill(agent.hostPid, 'SIGKILL');
      await signing;
      expect(pids(agent, 'ended')).toEqual([agent.hostPid]);
      await signOften(agent);
      expect(agent.events).toEqual([]);
      expect(pids(agent)).toHaveLength(2);
    });
  });

  test('stay in one process where no more are allowed', async () => {
    await withBed(softHsmSetup, async (bed) => {
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'), { hosts: 1 });
      await signOften(agent);
      expect(pids(agent)).toHaveLength(1);
    });
  });
});

describe.skipIf(faultSetup.unavailable() !== undefined)('the login of a second process', () => {
  test('is one, and none is made again when it was refused', async () => {
    await withBed(faultSetup, async (bed) => {
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'), { hosts: 2 });
      expect(await bed.calls('C_Login')).toHaveLength(1);
      await bed.fault('C_Login', { rv: CKR.PIN_INCORRECT });
      await signUntil(agent, 2);
      await expect.poll(() => pids(agent, 'ended')).toEqual([agent.hostPid]);
      await signOften(agent);
      expect(await bed.calls('C_Login')).toHaveLength(2);
      expect(pids(agent)).toHaveLength(2);
      expect(agent.events).toEqual([]);
    });
  });

  test('is not made if a wrong PIN was entered since', async () => {
    await withBed(faultSetup, async (bed) => {
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'), { hosts: 2 });
      await bed.fault('C_GetTokenInfo', { setFlags: CKF.COUNT_LOW });
      await signUntil(agent, 2);
      await expect.poll(() => pids(agent, 'ended')).toEqual([agent.hostPid]);
      expect(await bed.calls('C_Login')).toHaveLength(1);
      expect(agent.hostEvents.filter((event) => event.type === 'ended' && !event.expected)).toEqual([]);
    });
  });
});
