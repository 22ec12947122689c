import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

describe.concurrent('the secret of a program', () => {
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

  test('stands in no line, error, argument or variable', async () => {
    const own = new ProgramBench();
    const options = { pin: 'open sesame', leak: true, shows: true, error: { code: 'failed', message: 'open sesame' } };
    const programs = own.programs();
    await using opened = await openKey({
      keys: [own.key('ed25519', options)],
      programs,
      deadline: 60_000,
      pkcs11: {
        tokens: new Tokens({ hosts: new ModuleHosts({ execPath: '', environment: {}, deadline: 1 }) }),
      },
      askSecret: () => Promise.resolve(new Secret('open sesame')),
    });
    const error: unknown = await signOnce(opened).catch((thrown: unknown) => thrown);
    await opened[Symbol.asyncDispose]();
    const said = own.events.flatMap((event) => (event.type === 'output' ? [event.text] : []));
    expect(said).toContain('got <redacted> and <redacted>');
    // its arguments say it, as that is how this program is told of it
    const elsewhere = [String(error), ...said.map((line) => line.split('"environment"')[1] ?? line)];
    for (const text of elsewhere) expect(text.split('says: ').at(-1)).not.toContain('sesame');
    own[Symbol.dispose]();
  });
});
