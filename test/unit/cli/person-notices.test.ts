import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AgentEvent } from '../../../src/agent/events.ts';
import { PersonNotices } from '../../../src/cli/person-notices.ts';
import { killGroup } from '../../../src/cli/process-surroundings.ts';
import { FakeClock } from '../agent/fake-clock.ts';

const PATIENTLY = { timeout: 120_000, interval: 10 };
const slow = (tunnel: string): AgentEvent => ({
  ...{ type: 'request-slow', tunnel, key: 'k', scheme: 's', waitedMs: 3_000, waitsFor: 'signature' },
});
const done = (tunnel: string): AgentEvent => ({
  ...{ type: 'request-done', tunnel, outcome: { outcome: 'dropped', durationMs: 1 } },
});
const absent: AgentEvent = { type: 'trouble', trouble: 'token-absent', level: 'warn', details: {}, seconds: 0 };
const asked = (by: 'prompt' | 'pinentry', isOver: boolean): AgentEvent => ({
  ...{ type: 'secret-asked', what: "PIN of token 'card'", by },
  isOver,
});

let folder: string;
let open: PersonNotices[];
const at = (name: string): string => join(folder, name);
const heard = (): string[] =>
  existsSync(at('heard')) ? readFileSync(at('heard'), 'utf8').split('\n').filter(Boolean) : [];
const HEAR = (): string => `printf '%s\\n' "$1" >>'${at('heard')}'`;

function noticesBy(notify: string, environment: NodeJS.ProcessEnv = process.env) {
  const clock = new FakeClock();
  const warn = vi.fn();
  const notices = new PersonNotices({ notify, warn, commands: { clock, environment, killGroup } });
  open.push(notices);
  return { notices, clock, warn };
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-notices-'));
  open = [];
});
afterEach(async () => {
  for (const notices of open) await notices[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe('a command', () => {
  test('gets the text as its argument and on its standard input, and whom it is about', async () => {
    const { notices, warn } = noticesBy(
      `{ echo "$1"; cat; env | grep ^PKSIGD_ | sort; } >'${at('all')}'; mv '${at('all')}' '${at('heard')}'`,
    );
    notices.take(slow('a\u001bb'));
    await expect.poll(heard, PATIENTLY).toHaveLength(5);
    const text = 'Tunnel a\\u{1b}b waits for a signature: touch your token if it wants that.';
    expect(heard()).toEqual([text, text, 'PKSIGD_KEY=k', 'PKSIGD_NOTICE=touch', 'PKSIGD_TUNNEL=a\\u{1b}b']);
    expect(warn).not.toHaveBeenCalled();
  });

  test('runs one at a time: of what came meanwhile the last of each kind is told', async () => {
    const { notices } = noticesBy(`${HEAR()}; until [ -e '${at('go')}' ]; do sleep 0.01; done`);
    notices.take(slow('one'));
    await expect.poll(heard, PATIENTLY).toHaveLength(1);
    for (const tunnel of ['two', 'three', 'four']) notices.take(slow(tunnel));
    notices.take({ type: 'pin-pad', token: 'card' });
    writeFileSync(at('go'), '');
    await expect.poll(heard, PATIENTLY).toHaveLength(3);
    expect(heard().map((line) => / (one|four|card) /.exec(line)?.[1])).toEqual(['one', 'four', 'card']);
  });

  test('is not run for a touch that nobody waits for any more', async () => {
    const { notices } = noticesBy(`${HEAR()}; until [ -e '${at('go')}' ]; do sleep 0.01; done`);
    notices.take(slow('one'));
    await expect.poll(heard, PATIENTLY).toHaveLength(1);
    notices.take(slow('two'));
    notices.take(done('two'));
    notices.take(absent);
    writeFileSync(at('go'), '');
    await expect.poll(heard, PATIENTLY).toEqual([expect.stringContaining('one'), 'The token is not there.']);
  });

  test('hears the same once, until it was otherwise; and again after ten minutes', async () => {
    const { notices, clock } = noticesBy(HEAR());
    const tell = async (times: number): Promise<void> => {
      notices.take(absent);
      notices.take({ type: 'pin-pad', token: `${times}` });
      await expect.poll(() => heard().at(-1), PATIENTLY).toContain(`Token ${times} `);
    };
    const absences = (): number => heard().filter((line) => line.includes('not there')).length;
    await tell(1);
    await tell(2);
    expect(absences()).toBe(1);
    notices.take({ type: 'found', token: 'card' });
    await tell(3);
    expect(absences()).toBe(2);
    clock.pass(599);
    await tell(4);
    expect(absences()).toBe(2);
    clock.pass(2);
    await tell(5);
    expect(absences()).toBe(3);
  });

  test('that fails is told of once, until one did not', async () => {
    const { notices, warn } = noticesBy(`${HEAR()}; [ -e '${at('go')}' ]`);
    for (let times = 1; times < 4; times += 1) {
      notices.take(slow(`${times}`));
      await expect.poll(() => heard().length, PATIENTLY).toBe(times);
    }
    notices.take({ type: 'pin-pad', token: 'card' });
    await expect.poll(() => heard().length, PATIENTLY).toBe(4);
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/'notify'.*failed \(1\)/)]]);
  });

  test('that hangs is killed with all that it started, and told of', async () => {
    const { notices, clock, warn } = noticesBy(`sleep 1000 & echo $! >'${at('pid')}'; wait`);
    notices.take(slow('one'));
    const pid = (): number => Number(existsSync(at('pid')) ? readFileSync(at('pid'), 'utf8') : 0);
    await expect.poll(pid, PATIENTLY).toBeGreaterThan(0);
    clock.pass(11);
    await expect.poll(() => warn.mock.calls.length, PATIENTLY).toBe(1);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('within 10 s'));
    await expect
      .poll(
        () => existsSync(`/proc/${pid()}/stat`) && /\) [^Z]/.test(readFileSync(`/proc/${pid()}/stat`, 'utf8')),
        PATIENTLY,
      )
      .toBe(false);
  });

  test('says yet why the agent ends, and holds it up no longer than a moment', async () => {
    const quick = noticesBy(HEAR());
    quick.notices.take({ type: 'key-state', name: 'k', state: 'failed', code: 'ERR_PIN_INCORRECT', error: 'wrong' });
    await quick.notices[Symbol.asyncDispose]();
    expect(heard()).toEqual(["Key k can't be used: wrong"]);
    quick.notices.take(slow('late'));
    const stuck = noticesBy(`${HEAR()}; exec sleep 1000`);
    stuck.notices.take(absent);
    await expect.poll(heard, PATIENTLY).toHaveLength(2);
    const ended = stuck.notices[Symbol.asyncDispose]();
    stuck.clock.pass(2);
    await ended;
    expect(stuck.warn).not.toHaveBeenCalled();
    expect(heard()).toHaveLength(2);
  });
});

describe('a person who is asked for a secret', () => {
  test('at the terminal is told elsewhere, if they do not answer', async () => {
    const { notices, clock } = noticesBy(HEAR());
    notices.take(asked('prompt', false));
    clock.pass(2);
    notices.take(asked('prompt', true));
    clock.pass(10);
    notices.take(asked('prompt', false));
    clock.pass(4);
    await expect
      .poll(heard, PATIENTLY)
      .toEqual([expect.stringMatching(/terminal .* asks for the PIN of token 'card'/)]);
  });

  test('in a window is not told of it, nor that the token may want a touch', async () => {
    const { notices, clock } = noticesBy(HEAR());
    notices.take(asked('pinentry', false));
    clock.pass(10);
    notices.take(slow('one'));
    notices.take(asked('pinentry', true));
    notices.take(slow('two'));
    await expect.poll(heard, PATIENTLY).toEqual([expect.stringContaining(' two ')]);
  });
});

describe('the desktop', () => {
  test('gets it by notify-send, nothing of it as markup', async () => {
    writeFileSync(at('notify-send'), `#!/bin/sh\nprintf '%s\\n' "$@" >>'${at('heard')}'\n`, { mode: 0o755 });
    const { notices, warn } = noticesBy('desktop', {
      PATH: `${folder}:${process.env['PATH']}`,
      DBUS_SESSION_BUS_ADDRESS: 'x',
    });
    notices.take({ type: 'login-failed', token: '<b>&', code: 'ERR_PIN_INCORRECT', error: '-x' });
    await expect.poll(() => heard().at(-1), PATIENTLY).toBe("Can't log in to token &lt;b&gt;&amp;: -x");
    expect(heard()).toContain('--app-name=pksigd');
    expect(heard().slice(-3, -1)).toEqual(['--', 'The token wants its PIN']);
    expect(heard()).not.toContain('--hint=int:transient:1');
    notices.take(slow('one'));
    await expect.poll(heard, PATIENTLY).toContain('--hint=int:transient:1');
    expect(warn).not.toHaveBeenCalled();
  });

  test('that is not there is told of at the start', async () => {
    const { warn } = noticesBy('desktop', { PATH: process.env['PATH'], XDG_RUNTIME_DIR: folder });
    await expect.poll(() => warn.mock.calls.length, PATIENTLY).toBe(1);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/libnotify-bin.*D-Bus/));
  });
});
