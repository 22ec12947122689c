import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import type { Pksigd } from '../support/pksigd.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\n";
const DIGEST = createHash('sha256').update('what a TLS client signs').digest('base64');

/** pksigd, listening for daemons, with a key that is ready at once. */
async function listening(bench: Bench): Promise<Pksigd> {
  const place = [bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', '--management', ...place, '--key', bench.key('p256', 'file')]);
  await pksigd.listening();
  return pksigd;
}

async function connectedDaemon(bench: Bench): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open(bench.path('management'));
  daemon.say(GREETING);
  return daemon;
}

async function asksForSignature(daemon: FakeDaemon): Promise<void> {
  daemon.say(`>PK_SIGN:${DIGEST},ECDSA\n`);
  expect(await daemon.hearsBlock('pk-sig')).not.toEqual([]);
}

describe.concurrent('the hold', () => {
  test('is released when the seconds are over that the daemon names', async ({ bench }) => {
    await listening(bench);
    const daemon = await connectedDaemon(bench);
    daemon.say('>HOLD:Waiting for hold release:1\n');
    await daemon.hears('hold release');
    daemon.close();
  });

  test('and not before: a refusing server would be hammered', async ({ bench }) => {
    await listening(bench);
    const daemon = await connectedDaemon(bench);
    daemon.say('>HOLD:Waiting for hold release:300\n');
    for (let round = 0; round < 3; round++) await asksForSignature(daemon);
    expect(daemon.hasHeard('hold release')).toBe(false);
    daemon.close();
  });

  test('is released at once where no seconds are named', async ({ bench }) => {
    await listening(bench);
    const daemon = await connectedDaemon(bench);
    daemon.say('>HOLD:Waiting for hold release\n');
    await daemon.hears('hold release');
    daemon.close();
  });
});

describe.concurrent('a daemon that breaks the protocol', () => {
  test('costs its connection only: the next one is served', async ({ bench }) => {
    const pksigd = await listening(bench);
    const broken = await FakeDaemon.open(bench.path('management'));
    broken.say('ENTER PASSWORD:'); // where none was set
    expect(await pksigd.message('a daemon was turned away')).toMatchObject({
      level: 'error',
      code: 'ERR_MANAGEMENT_PASSWORD',
    });
    const next = await connectedDaemon(bench);
    await asksForSignature(next);
    next.close();
  });
});
