import { spawn, spawnSync } from 'node:child_process';
import {
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
  chmod,
} from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { LoginOutcome } from '../../../../src/pkcs11/host/login-outcome.ts';
import type { LoginResult, PinMemory, PinTrial } from '../../../../src/pkcs11/pins/pin-memory.ts';
import type { TokenInfo } from '../../../../src/pkcs11/host/protocol.ts';
import { processMemory, RefusedPins } from '../../../../src/pkcs11/pins/refused-pins.ts';
import { Secret } from '../../../../src/secret.ts';

const TOKEN: TokenInfo = {
  slot: '00',
  label: 'card',
  manufacturer: 'maker',
  model: 'model',
  serial: '1',
  flags: 0,
  minPinLength: 4,
  maxPinLength: 8,
};
const COUNT_LOW = 0x10000;
const isRoot = userInfo().uid === 0;
const REFUSED = new AgentError('ERR_PIN_INCORRECT', 'no');

let folder: string;
let logins: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pksigd-state-'));
  logins = 0;
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const state = (): string => join(folder, 'state');
const memory = (path = state()): RefusedPins => new RefusedPins(path, process.pid);

/** One login; resolves to how it ended: an outcome, or an error's code where none was made or the outcome is not known. */
async function login(
  at: PinMemory,
  outcome: LoginOutcome,
  { pin = '1234', ...more }: { pin?: string } & Partial<Omit<PinTrial, 'pin'>> = {},
): Promise<string> {
  const attempt = (): Promise<LoginResult> => {
    logins++;
    return Promise.resolve({ outcome, ...(outcome === 'refused' && { error: REFUSED }) });
  };
  const trial: PinTrial = { token: TOKEN, use: 'session', ...more, pin: new Secret(pin) };
  return await at.guard(trial, attempt).then(
    (result) => result.outcome,
    (error: unknown) => (error instanceof AgentError ? error.code : String(error)),
  );
}

async function recordPath(): Promise<string> {
  const name = (await readdir(state())).find((file) => file.endsWith('.json'));
  if (name === undefined) throw new Error('no record');
  return join(state(), name);
}

describe.each([
  ['in a folder', () => memory()],
  ['in the process', processMemory],
])('the memory of PINs %s', (_where, make) => {
  test('a refused PIN is not tried again, another one is', async () => {
    const at = make();
    expect(await login(at, 'refused')).toBe('refused');
    expect(await login(at, 'accepted')).toBe('ERR_PIN_INCORRECT');
    expect(await login(at, 'accepted', { pin: '5678' })).toBe('accepted');
    expect(logins).toBe(2);
  });

  test('a login without an outcome is made once more', async () => {
    const at = make();
    expect(await login(at, 'unknown')).toBe('unknown');
    expect(await login(at, 'unknown')).toBe('unknown');
    expect(await login(at, 'accepted')).toBe('ERR_PIN_UNSETTLED');
    await expect(at.check(TOKEN, new Secret('1234'))).rejects.toMatchObject({ code: 'ERR_PIN_UNSETTLED' });
    expect(logins).toBe(2);
  });

  test('one that is accepted settles what came before', async () => {
    const at = make();
    for (let round = 0; round < 3; round++) {
      expect(await login(at, 'unknown')).toBe('unknown');
      expect(await login(at, 'accepted')).toBe('accepted');
    }
  });

  test('one that the token did not look at changes nothing', async () => {
    const at = make();
    await login(at, 'unknown');
    for (let round = 0; round < 3; round++) expect(await login(at, 'untried')).toBe('untried');
    expect(await login(at, 'unknown')).toBe('unknown');
    expect(await login(at, 'accepted')).toBe('ERR_PIN_UNSETTLED');
  });

  test('few tries left: no other without an outcome', async () => {
    const at = make();
    await login(at, 'unknown');
    expect(await login(at, 'accepted', { token: { ...TOKEN, flags: COUNT_LOW } })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(1);
  });

  test('logins for signatures count as well, and an open session does not settle them', async () => {
    const at = make();
    await login(at, 'unknown', { use: 'signature' });
    expect(await login(at, 'accepted')).toBe('accepted');
    await login(at, 'unknown', { use: 'signature' });
    expect(await login(at, 'accepted', { use: 'signature' })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(3);
  });

  test('tokens are told apart, and logins on one follow each other', async () => {
    const at = make();
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => login(at, 'refused')));
    expect(outcomes.sort()).toEqual(['ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT', 'ERR_PIN_INCORRECT', 'refused']);
    expect(await login(at, 'accepted', { token: { ...TOKEN, serial: '2' } })).toBe('accepted');
  });

  test('what another agent was refused stays refused when a login with it had no outcome', async () => {
    const at = make();
    const trial = { token: TOKEN, use: 'signature', pin: new Secret('1234') } as const;
    await at.note(trial, { outcome: 'refused', error: REFUSED });
    await at.note(trial, { outcome: 'unknown' });
    expect(await login(at, 'accepted')).toBe('ERR_PIN_INCORRECT');
  });

  test('what happened behind an accepted PIN is noted', async () => {
    const at = make();
    await at.note({ token: TOKEN, use: 'signature', pin: new Secret('1234') }, { outcome: 'refused', error: REFUSED });
    expect(await login(at, 'accepted')).toBe('ERR_PIN_INCORRECT');
  });
});

const THEIRS: [string, (path: string) => unknown] = [
  'another user’s file',
  (path) => writeFile(path, '[]').then(() => chown(path, 65534, 65534)),
];

describe('the record', () => {
  test('stands there while the login is made, for nobody else, and goes when it is accepted', async () => {
    const at = memory();
    const trial = { token: TOKEN, use: 'session', pin: new Secret('1234') } as const;
    await at.guard(trial, async () => {
      const { mode } = await stat(await recordPath());
      expect(mode & 0o777).toBe(0o600);
      const text = await readFile(await recordPath(), 'utf8');
      // a right PIN leaves nothing by which it could be found
      expect(JSON.parse(text)).toEqual([{ attemptedAt: [expect.any(String)] }]);
      return { outcome: 'accepted' };
    });
    expect(((await stat(state())).mode & 0o777).toString(8)).toBe('700');
    expect((await readdir(state())).filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  test('has the PIN’s hash once the token gave no answer, and while others are remembered', async () => {
    const hashed = { salt: expect.any(String), hash: expect.any(String), attemptedAt: [expect.any(String)] };
    await login(memory(), 'unknown');
    expect(JSON.parse(await readFile(await recordPath(), 'utf8'))).toEqual([hashed]);
    const trial = { token: TOKEN, use: 'session', pin: new Secret('5678') } as const;
    await memory().guard(trial, async () => {
      expect(JSON.parse(await readFile(await recordPath(), 'utf8'))).toEqual([hashed, hashed]);
      return { outcome: 'accepted' };
    });
    expect(JSON.parse(await readFile(await recordPath(), 'utf8'))).toEqual([{ ...hashed, isPast: true }]);
  });

  /** What an agent leaves that is killed while it logs in. */
  async function killedWithin(): Promise<void> {
    let text = '';
    const trial = { token: TOKEN, use: 'session', pin: new Secret('1234') } as const;
    await memory().guard(trial, async () => {
      text = await readFile(await recordPath(), 'utf8');
      return { outcome: 'untried' };
    });
    const [lock = ''] = (await readdir(state())).filter((name) => name.endsWith('.lock'));
    await writeFile(join(state(), lock.replace(/\.lock$/, '')), text, { mode: 0o600 });
  }

  test('of a killed agent: the PIN has one try, as that one may have been it, and so has no other', async () => {
    await killedWithin();
    expect(await login(memory(), 'unknown')).toBe('unknown');
    for (const pin of ['1234', '5678']) expect(await login(memory(), 'accepted', { pin })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(1);
  });

  test('of a killed agent: goes when a PIN is accepted, is no way around a refusal', async () => {
    await killedWithin();
    expect(await login(memory(), 'refused')).toBe('refused');
    expect(await login(memory(), 'accepted')).toBe('ERR_PIN_INCORRECT');
    const token = { ...TOKEN, flags: COUNT_LOW };
    expect(await login(memory(), 'accepted', { pin: '5678', token })).toBe('accepted');
    await rm(await recordPath());
    await killedWithin();
    expect(await login(memory(), 'accepted')).toBe('accepted');
    expect((await readdir(state())).filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  test('of a killed agent: no other try where few are left', async () => {
    await killedWithin();
    expect(await login(memory(), 'accepted', { token: { ...TOKEN, flags: COUNT_LOW } })).toBe('ERR_PIN_UNSETTLED');
    expect(logins).toBe(0);
  });

  test.each([
    ['{}', '{}'],
    ['null', 'null'],
    ['[1]', '[1]'],
    ['[null]', '[null]'],
    ['cut', '[{"salt":"00'],
    ['empty', ''],
    ['no hash', '[{"salt":"00000000000000000000000000000000","refusedAt":"2026-01-01T00:00:00.000Z"}]'],
    ['a refusal of no PIN', '[{"refusedAt":"2026-01-01T00:00:00.000Z"}]'],
    ['no time', '[{}]'],
    ['another type', '[{"salt":1,"hash":{},"refusedAt":[]}]'],
  ])('damaged (%s): no login', async (_what, text) => {
    await login(memory(), 'refused');
    await writeFile(await recordPath(), text);
    expect(await login(memory(), 'accepted')).toBe('ERR_STATE_DIRECTORY');
    expect(logins).toBe(1);
  });

  test.each<[string, (path: string) => unknown]>([
    ['a folder', (path) => mkdir(path)],
    ['a fifo', (path) => spawnSync('mkfifo', [path])],
    ['a link to a device', (path) => symlink('/dev/zero', path)],
    ['a link to nowhere', (path) => symlink('/nonexistent', path)],
    ['a huge file', (path) => writeFile(path, '').then(() => truncate(path, 2 ** 30))],
    ['writable by others', (path) => writeFile(path, '[]').then(() => chmod(path, 0o666))],
    ...(isRoot ? [THEIRS] : []),
  ])('%s in its place: no login', async (_what, make) => {
    await login(memory(), 'refused');
    const path = await recordPath();
    await rm(path);
    await make(path);
    expect(await login(memory(), 'accepted')).toBe('ERR_STATE_DIRECTORY');
    expect(logins).toBe(1);
    await rm(path, { recursive: true });
    await rm(`${path}.lock`);
    await make(`${path}.lock`);
    if (_what !== 'a huge file') expect(await login(memory(), 'accepted')).toBe('ERR_STATE_DIRECTORY');
  });

  test('a planted link where the new record is written is not followed', async () => {
    await login(memory(), 'refused');
    const victim = join(folder, 'victim');
    await writeFile(victim, 'precious');
    const path = await recordPath();
    await symlink(victim, `${path}.new`);
    expect(await login(memory(), 'refused', { pin: '5678' })).toBe('refused');
    await link(victim, `${path}.new`);
    expect(await login(memory(), 'refused', { pin: '9999' })).toBe('refused');
    expect(await readFile(victim, 'utf8')).toBe('precious');
  });

  test.skipIf(!isRoot)('settled in its own blocks when the disk fills up in the meantime', async () => {
    await mkdir(state(), { mode: 0o700 });
    const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k,mode=0700', 'none', state()]).status === 0;
    if (!isMounted) return;
    try {
      const trial = { token: TOKEN, use: 'session', pin: new Secret('1234') } as const;
      await memory().guard(trial, async () => {
        await writeFile(join(state(), 'filler'), Buffer.alloc(1 << 16)).catch(() => undefined);
        return { outcome: 'refused', error: REFUSED };
      });
      expect(await login(memory(), 'accepted')).toBe('ERR_PIN_INCORRECT');
    } finally {
      spawnSync('umount', [state()]);
    }
  });
});

describe('the state directory', () => {
  const expectRefused = async (path: string): Promise<void> => {
    const attempt = (): Promise<LoginResult> => Promise.reject(new Error('a login was made'));
    const trial = { token: TOKEN, use: 'session', pin: new Secret('1234') } as const;
    await expect(memory(path).guard(trial, attempt)).rejects.toMatchObject({
      code: 'ERR_STATE_DIRECTORY',
      line: expect.stringMatching(/^[^\n]+: [^\n]+$/),
    });
  };

  test('what is missing is made, closed to others', async () => {
    const path = join(folder, 'a/b/c');
    expect(await login(memory(path), 'accepted')).toBe('accepted');
    for (const made of ['a', 'a/b', 'a/b/c']) expect((await stat(join(folder, made))).mode & 0o777).toBe(0o700);
  });

  test('looking makes nothing', async () => {
    await memory(join(folder, 'a/b')).check(TOKEN, new Secret('1234'));
    expect(await readdir(folder)).toEqual([]);
  });

  test.each(['/proc/pksigd', '/proc/self/x/y', '/dev/null', '/dev/null/x'])('%s: an error at once', async (path) => {
    await expectRefused(path);
  });

  test('a file in the way', async () => {
    await writeFile(join(folder, 'file'), '');
    await expectRefused(join(folder, 'file'));
    await expectRefused(join(folder, 'file/state'));
  });

  test.each([0o777, 0o1777, 0o770, 0o722])('others can write it (%o)', async (mode) => {
    await mkdir(state());
    await chmod(state(), mode);
    await expectRefused(state());
  });

  test('others can write a folder on the way', async () => {
    await mkdir(join(folder, 'open'));
    await chmod(join(folder, 'open'), 0o777);
    await expectRefused(join(folder, 'open/state'));
    await mkdir(join(folder, 'real'), { mode: 0o700 });
    await symlink(join(folder, 'real'), join(folder, 'open/link'));
    await expectRefused(join(folder, 'open/link'));
  });

  test('links of our own are followed, loops are not', async () => {
    await mkdir(join(folder, 'real'), { mode: 0o700 });
    await symlink('real', join(folder, 'link'));
    expect(await login(memory(join(folder, 'link')), 'accepted')).toBe('accepted');
    await symlink('loop', join(folder, 'loop'));
    await expectRefused(join(folder, 'loop'));
  });

  test.skipIf(!isRoot)('another user’s folder, link or parent', async () => {
    for (const name of ['theirs', 'parent', 'parent/state']) await mkdir(join(folder, name), { mode: 0o755 });
    await chown(join(folder, 'theirs'), 65534, 65534);
    await chown(join(folder, 'parent'), 65534, 65534);
    await mkdir(state(), { mode: 0o700 });
    spawnSync('ln', ['-s', state(), join(folder, 'link')]);
    spawnSync('chown', ['-h', '65534', join(folder, 'link')]);
    for (const name of ['theirs', 'parent/state', 'link']) await expectRefused(join(folder, name));
  });
});

describe('the lock', () => {
  test('what is left of a killed process keeps nobody out', async () => {
    await login(memory(), 'refused');
    const lock = `${await recordPath()}.lock`;
    for (const text of ['', '1\n', `${process.pid}\n`, 'x'.repeat(100)]) {
      await writeFile(lock, text);
      expect(await login(memory(), 'accepted', { pin: '5678' })).toBe('accepted');
    }
  });

  test('is waited for, with a word on who has it, until its holder is killed', async () => {
    await login(memory(), 'refused');
    const lock = `${await recordPath()}.lock`;
    // as another agent: flock of its own open file
    const script = 'exec 9<>"$0"; flock -x 9; echo $$ >&9; echo locked; exec sleep 600 >/dev/null';
    const holder = spawn('sh', ['-c', script, lock], { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const told: (number | undefined)[] = [];
    const onWaiting = (pid: number | undefined): void => {
      told.push(pid);
      holder.kill('SIGKILL');
    };
    expect(await login(memory(), 'accepted', { pin: '5678', onWaiting })).toBe('accepted');
    expect(told).toEqual([holder.pid]);
  });
});
