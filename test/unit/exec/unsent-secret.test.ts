// A secret that its program never got was not tried: whatever keeps the program from being run must not use it up.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKey, type OpenedKey } from '../../../src/keys/open-key.ts';
import { ModuleHosts, RefusedPins, Tokens } from '../../../src/pkcs11/index.ts';
import { Secret } from '../../../src/secret.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import { sampleRequests } from '../../../src/signing/sample-requests.ts';
import { createSignature } from '../../../src/signing/signer.ts';
import { ProgramBench } from './program-bench.ts';

const TOO_MANY = Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' });

let bench: ProgramBench;
let start: typeof spawn;

beforeEach(() => {
  bench = new ProgramBench();
  start = spawn;
});
afterEach(() => {
  bench[Symbol.dispose]();
});

async function open(): Promise<OpenedKey> {
  const hosts = new ModuleHosts({ execPath: process.execPath, environment: {}, deadline: 60_000 });
  return await openKey({
    keys: [bench.key('ed25519', { pin: 'open sesame', notes: bench.path('notes') })],
    programs: bench.programs({ spawn: ((...words: Parameters<typeof spawn>) => start(...words)) as typeof spawn }),
    deadline: 60_000,
    pkcs11: {
      tokens: new Tokens({ hosts }),
      refusedPins: new RefusedPins(bench.path('state'), process.pid, process.geteuid?.()),
    },
    askSecret: () => Promise.resolve(new Secret('open sesame')),
  });
}

async function signOnce({ signer }: OpenedKey): Promise<void> {
  const [sample] = sampleRequests(keyKind(signer.publicKey));
  if (sample) await createSignature(signer, sample.request);
}

const tries = (): number => bench.notes().filter((note) => note.startsWith('try ')).length;

const troubles: [what: string, code: string, begin: () => void][] = [
  [
    'others can write it',
    'ERR_KEY_PERMISSIONS',
    () => {
      chmodSync(bench.program, 0o775);
    },
  ],
  [
    'there are no descriptors left',
    'ERR_EXEC_DIED',
    () => {
      start = () => {
        throw TOO_MANY;
      };
    },
  ],
  [
    'there are none left, as is told later',
    'ERR_EXEC_DIED',
    () => {
      start = (() => {
        const child = Object.assign(new EventEmitter(), { unref: () => undefined, kill: () => true });
        setImmediate(() => child.emit('error', TOO_MANY));
        return child as unknown as ChildProcess;
      }) as unknown as typeof spawn;
    },
  ],
];

test.for(troubles)('%s', async ([, code, begin]) => {
  await using opened = await open();
  begin();
  for (let round = 0; round < 3; round++) await expect(signOnce(opened)).rejects.toMatchObject({ code });
  chmodSync(bench.program, 0o755);
  start = spawn;
  await signOnce(opened);
  expect(tries()).toBe(2);
});
