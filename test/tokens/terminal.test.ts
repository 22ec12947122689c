import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { openssl } from '../support/openssl.ts';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { missing } from './setup/token-bed.ts';
import { CKF } from './support/numbers.ts';

const unavailable = faultSetup.unavailable() ?? missing([], ['script', 'stty']);

describe.skipIf(unavailable !== undefined)('at a terminal', () => {
  let bed: FaultBed;
  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  /** The command with a terminal of its own (script(1)); says at the end how it went, and whether the terminal echoes. */
  async function start(command: string, ...options: string[]): Promise<Child> {
    const uri = `pkcs11:${bed.key('p256').uri}?module-path=${bed.modulePath}`;
    const key = options.includes('--key') ? [] : ['--key', uri];
    const data = await bed.bench.write('data', Buffer.alloc(32, 7).toString('base64'));
    const words = [process.execPath, MAIN, command, ...key, ...options].map((word) => `'${word}'`).join(' ');
    const line = `${words} <'${data}'; echo "status $?"; stty -a </dev/tty | grep -o -E -e '-?echo ' -e '-?icanon '`;
    const env = { ...bed.moduleEnvironment, XDG_STATE_HOME: bed.bench.path('state') };
    return bed.bench.adopt(
      new Child('pksigd on a terminal', 'script', ['-qec', line, '/dev/null'], { env, interactive: true }),
    );
  }
  const type = (child: Child, text: string): void => {
    child.process.stdin.write(text);
  };
  /** After a wrong PIN, SoftHSM says that few tries are left. */
  const PROMPT = /PIN of token 'pksigd'(?: \(few tries are left\))?: ?$/;
  const endsWith = async (child: Child, status: number): Promise<void> => {
    await child.logged(new RegExp(`status ${status}`));
    await child.exited;
    expect(child.transcript).toMatch(/^.*\becho/m);
    expect(child.transcript).not.toMatch(/-echo|-icanon/);
  };

  test('what a paste or an arrow key wraps around the PIN is not sent', async () => {
    const child = await start('sign', '--algorithm', 'ECDSA');
    await child.said(PROMPT);
    type(child, `\x1b[200~\x1b[D${bed.pin ?? ''}\x1b[201~\n`);
    await endsWith(child, 0);
    expect((await bed.calls('C_Login')).filter((call) => call.endsWith(' 0x0'))).toHaveLength(1);
  });

  test.each([
    ['sign', ['--algorithm', 'ECDSA']],
    ['check', ['--login']],
  ])('%s asks again after a wrong PIN, and knows one that was refused before', async (command, options) => {
    const child = await start(command, ...options);
    await child.said(PROMPT);
    type(child, '00000000\n');
    await child.logged(/token 'pksigd' refused the PIN/);
    await child.said(PROMPT);
    type(child, '00000000\n');
    await child.logged(/refused this PIN before/);
    await child.said(PROMPT);
    expect(child.transcript).not.toContain('at its source');
    type(child, `${bed.pin ?? ''}\n`);
    await endsWith(child, 0);
    expect(child.transcript).not.toContain(bed.pin);
    const logins = (await bed.calls('C_Login')).filter((call) => call.endsWith(' 0xa0'));
    expect(logins).toHaveLength(1);
  });

  test('an empty line gives up, and costs no try', async () => {
    const child = await start('sign', '--algorithm', 'ECDSA');
    await child.said(PROMPT);
    type(child, '\n');
    await endsWith(child, 4);
    expect(await bed.calls('C_Login')).toEqual([]);
  });

  test.each([
    ['Ctrl-D', '\u0004'],
    ['Ctrl-C', '\u0003'],
  ])('%s after a wrong PIN gives up', async (_, key) => {
    const child = await start('sign', '--algorithm', 'ECDSA');
    await child.said(PROMPT);
    type(child, '00000000\n');
    await child.logged(/token 'pksigd' refused the PIN/);
    await child.said(PROMPT);
    type(child, key);
    await endsWith(child, 4);
    expect(await bed.calls('C_Login')).toHaveLength(1);
  });

  test('the prompt says that few tries are left, and that it is the last one, where that is wanted', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.COUNT_LOW });
    const child = await start('sign', '--algorithm', 'ECDSA', '--use-final-pin-try');
    await child.said(/PIN of token 'pksigd' \(few tries are left\): ?$/);
    await bed.heal();
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.FINAL_TRY });
    type(child, '00000000\n');
    await child.said(/PIN of token 'pksigd' \(this is the last try\): ?$/);
    type(child, `${bed.pin ?? ''}\n`);
    await endsWith(child, 0);
  });

  test('a passphrase that was typed wrong is asked for again', async () => {
    const file = await bed.bench.write('encrypted.pem', '');
    const plain = bed.bench.recipe('p256.pem');
    await openssl(['pkey', '-in', plain, '-aes256', '-passout', 'pass:right', '-out', file]);
    const child = await start('sign', '--algorithm', 'ECDSA', '--key', file);
    const prompt = /passphrase of .*encrypted\.pem: ?$/;
    await child.said(prompt);
    type(child, 'wrong\n');
    await child.logged(/wrong passphrase/);
    await child.said(prompt);
    type(child, 'right\n');
    await endsWith(child, 0);
  });

  test('the last try is not offered', async () => {
    const child = await start('sign', '--algorithm', 'ECDSA');
    await child.said(PROMPT);
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.FINAL_TRY });
    type(child, '00000000\n');
    await endsWith(child, 4);
    expect(child.transcript).toContain('has one try for its PIN left');
  });

  test('what is typed before the prompt is neither shown nor taken; the wait has a word', async () => {
    await bed.fault('C_OpenSession', { delay: 8_000 });
    const child = await start('sign', '--algorithm', 'ECDSA');
    await child.said(/reading the token/);
    type(child, '471199\n');
    await child.said(PROMPT);
    expect(await bed.calls('C_Login')).toEqual([]);
    type(child, `${bed.pin ?? ''}\n`);
    await endsWith(child, 0);
    expect(child.transcript).not.toContain('471199');
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const)(
    '%s at the prompt leaves the terminal sane',
    async (name) => {
      const child = await start('sign', '--algorithm', 'ECDSA');
      await child.said(PROMPT);
      const [host = 0] = await bed.processes();
      const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${host}/status`, 'utf8'))?.[1]);
      process.kill(parent, name);
      await child.logged(/status 1\d\d/);
      await child.exited;
      expect(child.transcript).not.toMatch(/-echo|-icanon/);
    },
  );
});
