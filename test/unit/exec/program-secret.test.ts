import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Programs } from '../../../src/exec/index.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import type { KeyOptions } from '../../../src/keys/key-options.ts';
import { ModuleHosts, RefusedPins, Tokens } from '../../../src/pkcs11/index.ts';
import { Secret } from '../../../src/secret.ts';
import { createSignature } from '../../../src/signing/signer.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import { sampleRequests } from '../../../src/signing/sample-requests.ts';
import { ProgramBench } from './program-bench.ts';

let bench: ProgramBench;
let folders = 0;
beforeAll(() => {
  bench = new ProgramBench();
});
afterAll(() => {
  bench[Symbol.dispose]();
});

/** A program that wants a PIN, and how a start of the agent would open it. */
function setUp(options: Record<string, unknown> = {}) {
  const own = `secret-${folders++}`;
  const programs = bench.programs();
  const key = bench.key('ed25519', { pin: 'open sesame', notes: bench.path(own), ...options });
  const open = async (pin: string, asked: string[] = []) => {
    const hosts = new ModuleHosts({ execPath: process.execPath, environment: {}, deadline: 60_000 });
    const keyOptions: KeyOptions = {
      keys: [key],
      programs,
      deadline: 60_000,
      pkcs11: {
        tokens: new Tokens({ hosts }),
        refusedPins: new RefusedPins(bench.path(`${own}-state`), process.pid, process.geteuid?.()),
      },
      askSecret: (what) => {
        asked.push(what);
        return Promise.resolve(new Secret(pin));
      },
    };
    return await openKey(keyOptions);
  };
  const count = (what: string): number => bench.notes(own).filter((note) => note.startsWith(`${what} `)).length;
  return { key, own, programs, open, count, tries: () => count('try') };
}

async function signOnce({ signer }: Awaited<ReturnType<typeof openKey>>): Promise<void> {
  const [sample] = sampleRequests(keyKind(signer.publicKey));
  if (sample) await createSignature(signer, sample.request);
}

/** A key whose program gets the right PIN, without a memory of refused ones. */
async function openAlone(programs: Programs, key: string): ReturnType<typeof openKey> {
  return await openKey({
    keys: [key],
    programs,
    deadline: 60_000,
    pkcs11: {
      tokens: new Tokens({ hosts: new ModuleHosts({ execPath: '', environment: {}, deadline: 1 }) }),
    },
    askSecret: () => Promise.resolve(new Secret('open sesame')),
  });
}

const saidBy = ({ events }: ProgramBench): string[] =>
  events.flatMap((event) => (event.type === 'output' ? [event.text] : []));

describe.concurrent('the secret of a program', () => {
  test('leaves nothing of its memory in a core dump, whoever gets that', async () => {
    const { own, open } = setUp({ keep: true });
    await using opened = await open('open sesame');
    await signOnce(opened);
    const pid = bench.notes(own)[0]?.replace('start ', '');
    expect(Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'latin1'), 16)).toBe(0);
  });

  test.for([true, false])('is asked for once, and goes with each signature (keep %s)', async (keep) => {
    const { key, open, tries } = setUp({ keep });
    const asked: string[] = [];
    await using opened = await open('open sesame', asked);
    await signOnce(opened);
    await signOnce(opened);
    expect(asked).toEqual([`PIN of token '${key}'`]);
    expect(tries()).toBe(3);
  });

  test('that is wrong is tried once, over restarts too; another one is tried', async () => {
    const { open, tries } = setUp();
    await expect(open('wrong')).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(tries()).toBe(1);
    await expect(open('wrong')).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(tries()).toBe(1);
    await using opened = await open('open sesame');
    await signOnce(opened);
    expect(tries()).toBe(3);
  });

  test('whose login had no answer is tried once more, and no more', async () => {
    const { open, count } = setUp({ misdeed: 'death', at: 'login' });
    for (const logins of [1, 2, 2]) {
      await expect(open('open sesame')).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
      expect(count('login')).toBe(logins);
    }
  });

  test('that is accepted settles a login that had no answer', async () => {
    const once = bench.path(`once-${folders}`);
    const { open, own } = setUp({ misdeed: 'death', at: 'login', once });
    await expect(open('open sesame')).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
    const records = (): string[] => readdirSync(bench.path(`${own}-state`)).filter((name) => name.endsWith('.json'));
    expect(records()).toHaveLength(1);
    await using opened = await open('open sesame');
    expect(records()).toEqual([]);
    await signOnce(opened);
  });

  test('is tried by two that start at once, one behind the other', async () => {
    const { open, count } = setUp();
    await using one = await open('open sesame');
    const others = await Promise.all([open('open sesame'), open('open sesame')]);
    expect(count('login')).toBe(3);
    for (const opened of [one, ...others]) await signOnce(opened);
    for (const opened of others) await opened[Symbol.asyncDispose]();
  });

  test('a signature that fails says nothing of the PIN', async () => {
    const { open, tries } = setUp({ error: { code: 'failed', message: 'the network is down' } });
    await using opened = await open('open sesame');
    for (let more = 0; more < 4; more++)
      await expect(signOnce(opened)).rejects.toMatchObject({ code: 'ERR_EXEC_FAILED' });
    expect(tries()).toBe(5);
  });

  test('is let go of with the program when told to forget', async () => {
    const { open, programs } = setUp({ keep: true });
    const asked: string[] = [];
    await using opened = await open('open sesame', asked);
    await programs.forget();
    await signOnce(opened);
    expect(asked).toHaveLength(2);
  });

  test('stays with a signature that is under way when told to forget: that is still made', async ({ expect }) => {
    const until = bench.path(`until-${folders}`);
    const { open, programs, count } = setUp({ keep: true, misdeed: 'patience', at: 'sign', until });
    await using opened = await open('open sesame');
    const signing = signOnce(opened);
    await expect.poll(() => count('sign'), { timeout: 60_000 }).toBe(1);
    const forgetting = programs.forget();
    // longer than a program has that is to end
    await sleep(2_500);
    writeFileSync(until, '');
    await signing;
    await forgetting;
    await signOnce(opened);
    expect(count('start')).toBe(2);
  });

  test.for(['closed', 'forgotten'])('stands in no line that its program says last when it is %s', async (how) => {
    using own = new ProgramBench();
    const programs = own.programs();
    const key = own.key('ed25519', { pin: 'open sesame', keep: true, lastWords: true });
    await using opened = await openAlone(programs, key);
    if (how === 'closed') await opened[Symbol.asyncDispose]();
    else await programs.forget();
    expect(saidBy(own)).toEqual(['had <redacted>']);
  });

  test('does not stand in part where a line or an error is cut', async () => {
    using own = new ProgramBench();
    const programs = own.programs();
    const error = { code: 'failed', message: `${'x'.repeat(195)}open sesame` };
    const prints = [`${'x'.repeat(995)}open sesame`];
    await using opened = await openAlone(programs, own.key('ed25519', { pin: 'open sesame', error, prints }));
    const thrown: unknown = await signOnce(opened).catch((reason: unknown) => reason);
    // its arguments say it, as that is how this program is told of it
    expect(String(thrown).split('says: ').at(-1)).toMatch(/^x{195}<reda$/);
    await opened[Symbol.asyncDispose]();
    // of the first one, which says what it is, the PIN is not known yet
    expect(saidBy(own).slice(1).join()).not.toContain('xop');
  });

  test('stands in no line, error, argument or variable', async () => {
    const own = new ProgramBench();
    const options = { pin: 'open sesame', leak: true, shows: true, error: { code: 'failed', message: 'open sesame' } };
    const programs = own.programs();
    await using opened = await openAlone(programs, own.key('ed25519', options));
    const error: unknown = await signOnce(opened).catch((thrown: unknown) => thrown);
    await opened[Symbol.asyncDispose]();
    const said = saidBy(own);
    expect(said).toContain('got <redacted> and <redacted>');
    // its arguments say it, as that is how this program is told of it
    const elsewhere = [String(error), ...said.map((line) => line.split('"environment"')[1] ?? line)];
    for (const text of elsewhere) expect(text.split('says: ').at(-1)).not.toContain('sesame');
    own[Symbol.dispose]();
  });
});
