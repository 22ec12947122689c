import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { type Bench, freePort, ownAddress, test } from '../support/bench.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { canBeOther, otherConnects, otherListens } from '../support/other-user.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

function limit(pid: number, resource: 'nofile' | 'nproc', value: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), `--${resource}=${value}:`], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

/** The limit under which a process has so many descriptors left: numbers below it that are not in use. */
function limitThatLeaves(pid: number, free: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let left = free;
  for (let number = 0; ; number++) if (!used.has(number) && left-- === 0) return number;
}

// some free descriptors are as bad as none: a host takes eight
test.for([0, 1, 2, 3, 5, 7])(
  'no descriptors for a module host (%i are free): an empty block, and the next request tries again',
  async (free, { bench }) => {
    const management = ['--management', bench.path('management'), 'unix', '--management-client'];
    const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'SoftHSM')]);
    await pksigd.message('key ready');
    const daemon = await FakeDaemon.open(bench.path('management'));
    daemon.say(GREETING);
    daemon.say(REQUEST);
    expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);

    // those of the host that died may be let go of behind the limit: then there were more, and it is done once more
    for (let hosts = 1, signature = ['']; signature.length > 0; hosts++) {
      const [host = 0] = pksigd.children;
      process.kill(host, 'SIGKILL');
      while (existsSync(`/proc/${host}/exe`)) await sleep(20);
      await pksigd.message('module host ended', hosts);
      limit(pksigd.pid, 'nofile', limitThatLeaves(pksigd.pid, free));
      daemon.say(REQUEST);
      signature = await daemon.hearsBlock('pk-sig');
    }
    const failed = await pksigd.message('failed');
    // which descriptor lacks: of the host, or of the lock for its login
    expect(failed['code']).toMatch(/^ERR_(?:MODULE_|TOKEN_|STATE_DIRECTORY$)/);

    limit(pksigd.pid, 'nofile', 1024);
    for (let signed = false; !signed; ) {
      daemon.say(REQUEST);
      signed = (await daemon.hearsBlock('pk-sig')).length > 0;
    }
    expect(pksigd.ended).toBe(false);
    daemon.close();
  },
);

describe.runIf(canBeOther)('another user, with one descriptor left to ask the kernel with, who it is', () => {
  const key = (bench: Bench): string[] => ['--key', bench.recipe('p256.pem')];

  test('that connects is not taken for the daemon', async ({ bench }) => {
    const host = ownAddress();
    const place = { host, port: await freePort(host) };
    const words = ['--management', place.host, `${place.port}`, '--management-client'];
    const certificate = ['--cert', bench.recipe('p256.crt'), '--log-level', 'debug'];
    const pksigd = await bench.pksigd(['run', ...words, ...key(bench), ...certificate]);
    await pksigd.message('key ready');
    // what there is to say of the set-up has been said, and its files are closed
    await pksigd.logged(/"msg":"certificate: /);
    limit(pksigd.pid, 'nofile', limitThatLeaves(pksigd.pid, 1));
    const other = bench.adopt(otherConnects(place, GREETING + REQUEST));
    await other.logged(/all closed|got/);
    expect(other.transcript).not.toContain('got');
    expect(await pksigd.message('a daemon was turned away')).toMatchObject({
      code: 'ERR_MANAGEMENT_PEER',
      error: expect.stringMatching(/can't be told at the moment: .*EMFILE/),
    });
    limit(pksigd.pid, 'nofile', 1024);
    const daemon = await FakeDaemon.open({ kind: 'tcp', ...place });
    daemon.say(GREETING + REQUEST);
    expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
    daemon.close();
  });

  test('that listens is not taken for the daemon', async ({ bench }) => {
    const host = ownAddress();
    const place = { host, port: await freePort(host) };
    const pksigd = await bench.pksigd(['run', '--management', place.host, `${place.port}`, ...key(bench)]);
    await pksigd.message('key ready');
    await sleep(1_000);
    limit(pksigd.pid, 'nofile', limitThatLeaves(pksigd.pid, 1));
    const other = bench.adopt(otherListens(place, GREETING + REQUEST));
    await pksigd.message('the daemon is not served');
    expect(other.transcript).not.toContain('got');
  });
});

/** The agent has got so far that it hears of bugs. */
const IS_READY = "process.listenerCount('uncaughtException') > 0";

test('a bug that nobody caught is told with its place, and the agent goes on', async ({ bench }) => {
  const bug = `let left = 3; setInterval(() => { if (${IS_READY} && left-- > 0) throw new Error('a bug'); }, 300).unref()`;
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'file')], {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` },
  });
  await pksigd.message('a bug in pksigd: please report it', 2);
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  daemon.say(REQUEST);
  expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
  daemon.close();
});

test('bugs without end are the end', async ({ bench }) => {
  const bug = `setInterval(() => { if (${IS_READY}) throw new Error('a bug'); }, 300).unref()`;
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'file')], {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` },
  });
  expect(await pksigd.exited).toBe(1);
  expect(pksigd.log.at(-1)).toMatchObject({ level: 'fatal', error: 'a bug' });
});
