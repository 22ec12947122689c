import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, inject } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { MAIN, type Pksigd } from '../support/pksigd.ts';

const DIGEST = Buffer.alloc(32, 7).toString('base64');

function keyWithoutPin(): string {
  return `pkcs11:token=pksigd;object=p256?module-path=${inject('softhsmModule')}`;
}

/** A message in which the PIN stands stays readable without it. */
function expectNoPin(text: string, pin: string): void {
  expect(text.includes(pin), `the PIN stands in:\n${text.replaceAll(pin, '[PIN]')}`).toBe(false);
}

/** The command line and the environment of a process, which others may see. */
function publicFace(pid: number): string {
  return [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`].map((file) => readFileSync(file, 'latin1')).join('\n');
}

describe.concurrent('the PIN comes from', () => {
  const sources: [string, (bench: Bench) => string][] = [
    ['a file', (bench) => bench.pinFile],
    ['file:', (bench) => `file:${bench.pinFile}`],
    ['command:', (bench) => `command:cat ${bench.pinFile}`],
    ['a command after |', (bench) => `|cat ${bench.pinFile}`],
    ['credential:', () => 'credential:pin'],
  ];

  test.for(sources)('%s', async ([, source], { bench }) => {
    const args = ['sign', '--key', keyWithoutPin(), '--algorithm', 'ECDSA', '--pin-source', source(bench)];
    const env = { CREDENTIALS_DIRECTORY: inject('recipe') };
    const pksigd = await bench.pksigd(args, { input: DIGEST, env });
    expect(await pksigd.exited, pksigd.transcript).toBe(0);
    expect(pksigd.stdout).not.toEqual([]);
  });

  test('the terminal, without an echo', async ({ bench }) => {
    const pin = await bench.pin();
    const data = await bench.write('data', DIGEST);
    const command = `"${process.execPath}" "${MAIN}" sign --key "${keyWithoutPin()}" --algorithm ECDSA <"${data}"`;
    // script(1) gives it a terminal
    const terminal = bench.adopt(
      new Child('pksigd on a terminal', 'script', ['-qec', command, '/dev/null'], {
        env: { SOFTHSM2_CONF: await bench.token(), HOME: bench.folder, XDG_STATE_HOME: bench.path('state') },
        interactive: true,
      }),
    );
    await terminal.said(/PIN.*: ?$/);
    terminal.process.stdin.write(`${pin}\n`);
    expect(await terminal.exited, terminal.transcript).toBe(0);
    expectNoPin(terminal.transcript, pin);
  });
});

test('a command that is to print the PIN ends with the agent, and all that it started', async ({ bench }) => {
  const started = bench.path('started');
  const source = `command:sleep 1000 & echo $! >'${started}.new'; mv '${started}.new' '${started}'; wait`;
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', keyWithoutPin(), '--pin-source', source]);
  await expect.poll(() => existsSync(started)).toBe(true);
  const sleeper = Number(readFileSync(started, 'utf8'));
  expect(existsSync(`/proc/${sleeper}`)).toBe(true);
  expect(await pksigd.stop()).toBe(0);
  // until its parent has taken notice, it may still be there as a zombie
  const isThere = (): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${sleeper}/status`, 'utf8'));
    } catch {
      return false;
    }
  };
  await expect.poll(isThere).toBe(false);
});

describe.concurrent('the PIN is nowhere', () => {
  /** Everything of a running pksigd and its host that others could see. */
  function seen(pksigd: Pksigd): string {
    return [pksigd.pid, ...pksigd.children].map(publicFace).join('\n');
  }

  test.for(['file', 'command'] as const)('when it is right (%s)', async (kind, { bench }) => {
    const pin = await bench.pin();
    const source = kind === 'file' ? `file:${bench.pinFile}` : `command:cat ${bench.pinFile}`;
    const management = ['--management', bench.path('management'), 'unix', '--management-client'];
    const pksigd = await bench.pksigd([
      'run',
      ...management,
      '--key',
      keyWithoutPin(),
      '--pin-source',
      source,
      '--log-level',
      'trace',
    ]);
    await pksigd.message('key ready');
    expect(pksigd.children).toHaveLength(1);
    expectNoPin(seen(pksigd), pin);
    expect(await pksigd.stop()).toBe(0);
    expectNoPin(pksigd.transcript, pin);
  });

  test('when it is wrong', async ({ bench }) => {
    const pin = '5550123';
    const source = await bench.write('pin', `${pin}\n`);
    const args = ['--key', keyWithoutPin(), '--pin-source', source, '--log-level', 'trace'];
    const pksigd = await bench.pksigd(['sign', ...args], { input: DIGEST });
    expect(await pksigd.exited).toBe(4);
    expectNoPin(pksigd.transcript, pin);
  });

  test('when it stands in a URI by mistake', async ({ bench }) => {
    const args = ['sign', '--key', `${keyWithoutPin()}&pin-value=5550123`, '--log-level', 'trace'];
    const pksigd = await bench.pksigd(args, { input: DIGEST });
    expect(await pksigd.exited).toBe(2);
    expectNoPin(pksigd.transcript, '5550123');
  });
});
