import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { WrittenEntry } from '../../src/audit/line.ts';
import { Asker } from '../support/asker.ts';
import { test, type Bench } from '../support/bench.ts';
import type { Pksigd } from '../support/pksigd.ts';

const KILLS = Number(process.env['AUDIT_KILLS'] ?? 20);
const FULL = Number(process.env['AUDIT_FULL'] ?? 20);

const logOf = (bench: Bench): string => bench.path('audit.jsonl');

/** pksigd, listening for daemons, with a key that is ready at once and an audit log. */
async function audited(bench: Bench, more: readonly string[] = [], log: string = logOf(bench)): Promise<Pksigd> {
  rmSync(bench.path('management'), { force: true });
  const place = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...place, '--key', bench.key('p256', 'file'), '--audit', log, ...more]);
  await pksigd.listening();
  return pksigd;
}

function filesOf(bench: Bench): string[] {
  const names = readdirSync(bench.folder).filter((name) => name.startsWith('audit.jsonl'));
  return names.map((name) => bench.path(name));
}

function entriesOf(paths: readonly string[]): WrittenEntry[] {
  const lines = paths.flatMap((path) => readFileSync(path, 'latin1').split('\n'));
  return lines.flatMap((line) => (line.endsWith('"}') ? [JSON.parse(line) as WrittenEntry] : []));
}

function signaturesIn(paths: readonly string[]): Set<string | null> {
  return new Set(entriesOf(paths).map((entry) => (entry.type === 'outcome' ? entry.signature : null)));
}

async function verify(bench: Bench, ...more: string[]): Promise<{ readonly code: number; readonly out: string }> {
  const pksigd = await bench.pksigd(['audit', 'verify', ...filesOf(bench), ...more]);
  const code = await pksigd.exited;
  return { code, out: pksigd.lines.join('\n') };
}

describe.concurrent('an audit log', () => {
  test('has each request with its outcome; verify, show and key read it', async ({ bench }) => {
    const pksigd = await audited(bench);
    const asker = await Asker.open(bench.path('management'));
    expect(await asker.ask()).toBe(true);
    expect(await asker.ask()).toBe(true);
    asker.close();
    expect(await verify(bench)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^ok: 6 entries, 1 to 6, 1 checkpoint$/m),
    });
    await pksigd.stop();
    const entries = entriesOf(filesOf(bench));
    expect(entries.map(({ type }) => type)).toEqual([
      ...['start', 'checkpoint', 'request', 'outcome', 'request', 'outcome', 'checkpoint'],
    ]);
    // the daemon has told its process before it asked again
    const [, , , , request, outcome] = entries;
    const about = {
      ...{ daemon: { pid: 4711 }, scheme: 'ECDSA', key: expect.stringMatching(/^[0-9a-f]{64}$/), context: null },
      data: expect.stringMatching(/^[0-9a-f]{64}$/),
    };
    expect(request).toMatchObject({ ...about, verdict: 'accepted' });
    expect(outcome).toMatchObject({ ...about, of: 5, outcome: 'signed', signature: asker.signatures[1] });
    expect(await verify(bench)).toMatchObject({ code: 0, out: 'ok: 7 entries, 1 to 7, 2 checkpoints' });
    expect(statSync(logOf(bench)).mode & 0o777).toBe(0o600);

    const key = await bench.pksigd(['audit', 'key']);
    await key.exited;
    expect(key.stdout[0]).toBe('-----BEGIN PUBLIC KEY-----');
    const shown = await bench.pksigd(['audit', 'show', '--outcome', 'signed', '--json', logOf(bench)]);
    await shown.exited;
    expect(shown.stdout).toHaveLength(2);
    const table = await bench.pksigd(['audit', 'show', '--since', '2026-01-01', '--tunnel', 'elsewhere', logOf(bench)]);
    await table.exited;
    expect(table.stdout).toEqual([expect.stringMatching(/^TIME +SEQ +OUTCOME /)]);
    const none = await bench.pksigd(['audit', 'show', bench.path('none.jsonl')]);
    expect({ code: await none.exited, stdout: none.stdout }).toEqual({ code: 2, stdout: [] });

    // with another key, and changed
    const other = spawnSync('openssl', ['genpkey', '-algorithm', 'ed25519'], { encoding: 'utf8' }).stdout;
    const otherPublic = spawnSync('openssl', ['pkey', '-pubout'], { encoding: 'utf8', input: other }).stdout;
    const stranger = await verify(bench, '--key', await bench.write('other.pem', otherPublic));
    expect(stranger).toMatchObject({ code: 1, out: expect.stringContaining(':2: this checkpoint is not signed by') });
    const text = readFileSync(logOf(bench), 'utf8');
    writeFileSync(logOf(bench), text.replace(/("seq":5,.*)4711/, '$14712'));
    expect(await verify(bench)).toMatchObject({
      code: 1,
      out: expect.stringContaining('audit.jsonl:5: this line was'),
    });
    writeFileSync(logOf(bench), text.split('\n').slice(0, 4).join('\n') + '\n');
    expect(await verify(bench)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/missing at the end[^]* as it was written: a fault \[ERR_AUDIT_CHAIN\]/) as string,
    });
  });

  test('is verified by what the state directory knows, wherever its files are; a pipe is refused', async ({
    bench,
  }) => {
    const pksigd = await audited(bench);
    const asker = await Asker.open(bench.path('management'));
    expect(await asker.ask()).toBe(true);
    asker.close();
    await pksigd.stop();
    const cut = readFileSync(logOf(bench), 'utf8').split('\n').slice(0, 2).join('\n') + '\n';
    const moved = await bench.write('audit.jsonl.000001', cut, 0o600);
    const verified = async (...files: string[]): Promise<string> => {
      const command = await bench.pksigd(['audit', 'verify', ...files]);
      return `${String(await command.exited)} ${command.lines.join('\n')}`;
    };
    expect(await verified(moved)).toMatch(/^1 .*missing at the end/s);
    rmSync(logOf(bench));
    expect(await verified(moved)).toMatch(/^1 .*missing at the end/s);
    spawnSync('mkfifo', [bench.path('audit.jsonl.pipe')]);
    expect(await verified(moved, bench.path('audit.jsonl.pipe'))).toMatch(/^2 .*it is not a file/s);
  });

  test('is written by one agent; another one does not start, until the first is killed', async ({ bench }) => {
    const first = await audited(bench);
    const place = [bench.path('other'), 'unix', '--management-client'];
    const words = ['run', '--management', ...place, '--key', bench.key('p256', 'file'), '--audit', logOf(bench)];
    const second = await bench.pksigd(words);
    expect(await second.exited).toBe(1);
    expect(second.log.at(-1)).toMatchObject({
      code: 'ERR_AUDIT_IN_USE',
      error: expect.stringContaining(`process ${first.pid} writes the audit log`),
    });
    first.process.kill('SIGKILL');
    await first.exited;
    const third = await bench.pksigd(words);
    await third.listening();
    await third.stop();
    expect(await verify(bench)).toMatchObject({ code: 0 });
  });

  test('is no file that others could have put there', async ({ bench }) => {
    const place = ['--management', bench.path('management'), 'unix', '--management-client'];
    const refused = async (log: string): Promise<string> => {
      const pksigd = await bench.pksigd(['run', ...place, '--key', bench.key('p256', 'file'), '--audit', log]);
      expect(await pksigd.exited).toBe(2);
      expect(pksigd.log.at(-1)).toMatchObject({ code: 'ERR_AUDIT_FILE' });
      return pksigd.transcript;
    };
    expect(await refused(bench.path('nowhere/audit'))).toContain('there is no folder');
    expect(await refused('/dev/full')).toContain('is not a file');
    expect(await refused(await bench.write('readable', '', 0o644))).toContain('others can read or write');
    expect(await refused(await bench.write('mine.txt', 'my letter\n'))).toContain('is not an audit log');
    expect(readFileSync(bench.path('mine.txt'), 'utf8')).toBe('my letter\n');
    spawnSync('ln', ['-s', bench.path('mine.txt'), bench.path('link')]);
    expect(await refused(bench.path('link'))).toContain('is a symbolic link');
    spawnSync('ln', [bench.path('mine.txt'), bench.path('hard')]);
    expect(await refused(bench.path('hard'))).toContain('has another name');
    mkdirSync(bench.path('open'));
    spawnSync('chmod', ['0777', bench.path('open')]);
    expect(await refused(bench.path('open/audit'))).toContain('others can write the folder of the audit log');
  });

  test('in a configuration file is switched over on SIGHUP, and its chain goes on', async ({ bench }) => {
    const config = (log: string): Promise<string> =>
      bench.write(
        'pksigd.toml',
        `[audit]\nfile = "${log}"\n[key.k]\nkey = "${bench.key('p256', 'file')}"\n` +
          `[tunnel.office]\nmanagement = "${bench.path('management')} unix"\nmanagement-client = true\n`,
      );
    const pksigd = await bench.pksigd(['run', '--config', await config('audit.jsonl.a')]);
    await pksigd.listening();
    const asker = await Asker.open(bench.path('management'));
    expect(await asker.ask()).toBe(true);
    await config('nowhere/audit.jsonl');
    pksigd.process.kill('SIGHUP');
    await pksigd.message('the audit log stays as it is: what it is to be can not be used');
    expect(await asker.ask()).toBe(true);
    await config('audit.jsonl.b');
    pksigd.process.kill('SIGHUP');
    await pksigd.message('the audit log is closed');
    expect(await asker.ask()).toBe(true);
    await pksigd.stop();
    const [first, second] = [bench.path('audit.jsonl.a'), bench.path('audit.jsonl.b')];
    expect(signaturesIn([first])).toEqual(new Set([null, ...asker.signatures.slice(0, 2)]));
    expect(signaturesIn([second])).toEqual(new Set([null, ...asker.signatures.slice(2)]));
    expect(await verify(bench)).toMatchObject({ code: 0, out: expect.not.stringContaining('note') });
  });
});

describe.concurrent('another state directory, by SIGHUP', () => {
  const config = (bench: Bench, state: string): Promise<string> =>
    bench.write(
      'pksigd.toml',
      `[audit]\nfile = "audit.jsonl"\n[state]\ndirectory = "${state}"\n[key.k]\nkey = "${bench.key('p256', 'file')}"\n` +
        `[tunnel.office]\nmanagement = "${bench.path('management')} unix"\nmanagement-client = true\n`,
    );
  const signs = async (bench: Bench): Promise<string[]> => {
    const asker = await Asker.open(bench.path('management'));
    expect(await asker.ask()).toBe(true);
    asker.close();
    return asker.signatures;
  };

  test('is taken: the log ends, and starts anew with the key that lies there', async ({ bench }) => {
    const pksigd = await bench.pksigd(['run', '--config', await config(bench, 'one')]);
    await pksigd.listening();
    const first = await signs(bench);
    await config(bench, 'two');
    pksigd.process.kill('SIGHUP');
    await pksigd.message('requests and signatures are written into the audit log', 2);
    await pksigd.message('listening for the daemon', 2);
    const second = await signs(bench);
    await pksigd.stop();
    expect(signaturesIn([logOf(bench)])).toEqual(new Set([null, ...first, ...second]));
    const keys = await Promise.all(
      ['one', 'two'].map(async (state) => {
        const key = await bench.pksigd(['audit', 'key', '--state-directory', bench.path(state)]);
        expect(await key.exited).toBe(0);
        return await bench.write(`${state}.pem`, `${key.stdout.join('\n')}\n`);
      }),
    );
    const given = [...keys.flatMap((key) => ['--key', key]), '--state-directory', bench.path('two')];
    expect(await verify(bench, ...given)).toMatchObject({ code: 0, out: expect.stringContaining('ok: ') });
    expect(await verify(bench, '--key', keys[1] ?? '', '--state-directory', bench.path('two'))).toMatchObject({
      code: 1,
    });
  });

  test('that can not be used changes nothing', async ({ bench }) => {
    const pksigd = await bench.pksigd(['run', '--config', await config(bench, 'one')]);
    await pksigd.listening();
    await bench.write('two', 'a file');
    await config(bench, 'two');
    pksigd.process.kill('SIGHUP');
    expect(await pksigd.message('not reloaded: all stays as it is')).toMatchObject({ code: 'ERR_STATE_DIRECTORY' });
    const signatures = await signs(bench);
    await pksigd.stop();
    expect(signaturesIn([logOf(bench)])).toContain(signatures[0]);
    expect(await verify(bench, '--state-directory', bench.path('one'))).toMatchObject({ code: 0 });
  });
});

/** Several daemons ask as fast as they can until the agent is killed. @returns the signatures that they got */
async function killedUnderLoad(bench: Bench, pksigd: Pksigd): Promise<string[]> {
  const askers = await Promise.all(Array.from({ length: 4 }, () => Asker.open(bench.path('management'))));
  const asking = askers.map((asker) => asker.goOn());
  await sleep(randomInt(400));
  pksigd.process.kill('SIGKILL');
  await pksigd.exited;
  await Promise.all(asking);
  for (const asker of askers) asker.close();
  return askers.flatMap(({ signatures }) => signatures);
}

describe('an agent that is killed', () => {
  test('has an entry for each signature that a daemon got, and the chain holds', async ({ bench }) => {
    const got: string[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const pksigd = await audited(bench, [
        '--audit-sync',
        kill % 2 === 0 ? 'each' : 'interval',
        '--audit-rotate-size',
        '64K',
      ]);
      got.push(...(await killedUnderLoad(bench, pksigd)));
      const written = signaturesIn(filesOf(bench));
      expect(got.filter((signature) => !written.has(signature))).toEqual([]);
    }
    const last = await audited(bench);
    await last.stop();
    const { code, out } = await verify(bench);
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('ok: ') });
    console.log(
      `${KILLS} kills, ${got.length} signatures, each with its entry: ${out.split('\n').find((line) => line.startsWith('ok'))}`,
    );
  });
});

/** Another limit for the size of files, in bytes, of a process that runs. */
function limitFiles(pid: number, size: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), `--fsize=${size}:`], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}

/** Writes until there is no room. */
function fillUp(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch {
    closeSync(file);
  }
}

describe('a disk that is full', () => {
  test('at any byte: no signature without its entry, and the log goes on when there is room', async ({ bench }) => {
    const pksigd = await audited(bench);
    const asker = await Asker.open(bench.path('management'));
    for (let round = 0; round < 8; round += 1) expect(await asker.ask()).toBe(true);
    for (let round = 1; round <= FULL; round += 1) {
      limitFiles(pksigd.pid, statSync(logOf(bench)).size + randomInt(1500));
      while (await asker.ask());
      expect(await asker.ask()).toBe(false);
      limitFiles(pksigd.pid, 'unlimited');
      expect(await asker.ask()).toBe(true);
      await pksigd.message('the audit log can be written again', round);
    }
    asker.close();
    await pksigd.stop();
    const written = signaturesIn(filesOf(bench));
    expect(asker.signatures.filter((signature) => !written.has(signature))).toEqual([]);
    expect(pksigd.log).toContainEqual(expect.objectContaining({ code: 'ERR_AUDIT_WRITE', outcome: 'failed' }));
    expect(await verify(bench)).toMatchObject({ code: 0, out: expect.stringContaining('could not be written') });
    const lost = entriesOf(filesOf(bench)).filter((entry) => entry.type === 'lost');
    expect(lost).toHaveLength(FULL);
    expect(lost.every(({ signatures, code }) => signatures === 0 && code === 'EFBIG')).toBe(true);
  });

  test('with --audit-on-failure continue: signatures leave, and are counted', async ({ bench }) => {
    const pksigd = await audited(bench, ['--audit-on-failure', 'continue']);
    const asker = await Asker.open(bench.path('management'));
    for (let round = 0; round < 8; round += 1) expect(await asker.ask()).toBe(true);
    limitFiles(pksigd.pid, statSync(logOf(bench)).size + 100);
    for (let round = 0; round < 5; round += 1) expect(await asker.ask()).toBe(true);
    limitFiles(pksigd.pid, 'unlimited');
    expect(await asker.ask()).toBe(true);
    asker.close();
    await pksigd.stop();
    const [lost] = entriesOf(filesOf(bench)).filter((entry) => entry.type === 'lost');
    expect(lost).toMatchObject({ entries: 10, signatures: 5 });
    expect(await verify(bench)).toMatchObject({
      code: 0,
      out: expect.stringContaining('5 signatures left without one'),
    });
  });

  test('a small one, really full', async ({ bench, skip }) => {
    const folder = bench.path('small');
    mkdirSync(folder, { mode: 0o700 });
    const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'none', folder]).status === 0;
    if (!isMounted) skip('only root can mount');
    try {
      const log = `${folder}/audit.jsonl`;
      const pksigd = await audited(bench, [], log);
      const asker = await Asker.open(bench.path('management'));
      for (let round = 0; round < 3; round += 1) {
        expect(await asker.ask()).toBe(true);
        const ballast = `${folder}/ballast`;
        fillUp(ballast);
        while (await asker.ask());
        rmSync(ballast);
        expect(await asker.ask()).toBe(true);
      }
      asker.close();
      await pksigd.stop();
      const written = signaturesIn([log]);
      expect(asker.signatures.filter((signature) => !written.has(signature))).toEqual([]);
      const verified = await bench.pksigd(['audit', 'verify', log]);
      expect(await verified.exited).toBe(0);
    } finally {
      spawnSync('umount', [folder]);
    }
  });
});
