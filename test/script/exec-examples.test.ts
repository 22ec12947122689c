import { describe, expect } from 'vitest';
import { test, type KeyName } from '../support/bench.ts';
import { readChecked, unhurried } from '../support/check.ts';
import { example, onlyPython, standIn } from '../support/exec-examples.ts';

const DIGESTS = ['SHA1', 'SHA256', 'SHA384', 'SHA512'].join(', ');
const both = (scheme: string, hashes: string): string[] =>
  ['digest', 'message'].map((kind) => `${scheme} of a ${kind} (${hashes})`);

/** What must be signed: all that OpenVPN may ask for and the program can know. */
const WANTED: Partial<Record<KeyName, (pkcs1: string) => string[]>> = {
  rsa2048: (pkcs1) => [...both('RSA_PKCS1_PADDING', pkcs1), ...both('RSA_PKCS1_PSS_PADDING', 'SHA256, SHA384, SHA512')],
  p256: () => both('ECDSA', DIGESTS),
  p384: () => both('ECDSA', DIGESTS),
  p521: () => both('ECDSA', DIGESTS),
  ed25519: () => ['ED25519 of a message'],
};

const programs = [
  { program: 'vault', pkcs1: DIGESTS, key: (file: string) => file.replace(/^.*\/|\.pem$/g, '') },
  {
    program: 'step-kms-plugin',
    pkcs1: 'SHA256, SHA384, SHA512',
    key: (file: string) => `softkms:path=${file} softkms:`,
  },
];

describe.concurrent('the programs of docs/examples/exec, each with a stand-in of what it calls', () => {
  const cells = programs.flatMap((each) => Object.entries(WANTED).map(([name, wanted]) => ({ ...each, name, wanted })));
  test.for(cells)('$program signs with $name', async ({ program, pkcs1, key, name, wanted }, { bench }) => {
    const file = bench.recipe(`${name}.pem`);
    const text = `exec:${await example(bench, program)} ${key(file)}`;
    const env = { PATH: await standIn(bench, program), VAULT_KEYS: file.replace(/\/[^/]*$/, '') };
    const { code, of } = await unhurried(
      async () => await readChecked(await bench.pksigd(['check', '--json', '--key', text], { env })),
    );
    expect(of('program')[0]?.detail).toMatch(/ answers, goes on running$/);
    const signed = of('signature').filter(({ outcome }) => outcome === 'ok');
    const details = signed.map(({ detail }) => detail.replace(/ by .*$/, ''));
    expect(details.sort()).toEqual(wanted(pkcs1).sort());
    // what it does not claim is a warning: nothing that it claims fails
    expect(of('signature').filter(({ outcome }) => outcome === 'fail')).toEqual([]);
    expect(code).toBe(0);
  });

  test.for(programs)('$program: what it calls fails, which is told', async ({ program }, { bench }) => {
    const text = `exec:${await example(bench, program)} no-such-key`;
    const env = { PATH: await standIn(bench, program), VAULT_KEYS: bench.folder };
    const pksigd = await bench.pksigd(['check', '--json', '--log-level', 'info', '--key', text], { env });
    const { code, of } = await readChecked(pksigd);
    expect([code, of('program')[0]?.code]).toEqual([1, 'ERR_EXEC_FAILED']);
    expect(pksigd.messages('the program says').length).toBeGreaterThan(0);
  });

  test.for(programs)('$program: what it calls is not there, which is told', async ({ program }, { bench }) => {
    const text = `exec:${await example(bench, program)} any-key`;
    const env = { PATH: await onlyPython(bench) };
    const { code, of } = await readChecked(await bench.pksigd(['check', '--json', '--key', text], { env }));
    expect([code, of('program')[0]?.code]).toEqual([1, 'ERR_EXEC_FAILED']);
    expect(of('program')[0]?.detail).toContain(`can't run ${program}: No such file or directory`);
  });

  test.for([
    ['a private key', 'p256.pem', /is no public key as ssh-add -L prints it/],
    ['a file that is not there', 'none.pub', /can't read .*none\.pub: No such file or directory/],
  ] as const)('ssh-agent: %s is told of', async ([, file, said], { bench }) => {
    const text = `exec:${await example(bench, 'ssh-agent')} ${bench.recipe(file)}`;
    const { code, of } = await readChecked(await bench.pksigd(['check', '--json', '--key', text]));
    expect([code, of('program')[0]?.code]).toEqual([3, 'ERR_KEY_NOT_FOUND']);
    expect(of('program')[0]?.detail).toMatch(said);
  });
});
