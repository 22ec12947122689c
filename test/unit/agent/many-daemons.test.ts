import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Agent } from '../../../src/agent/agent.ts';
import { FakeDaemon, GREETING } from '../../support/fake-daemon.ts';
import { processSurroundings } from './process-surroundings.ts';

test('a dozen daemons of one tunnel that are asked at a time are no leak to Node', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-many-'));
  const key = join(folder, 'key.pem');
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(key, pem, { mode: 0o600 });
  const address = { kind: 'unix', path: join(folder, 'd.sock') } as const;
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const stop = new AbortController();
  const modules = { environment: {}, showOutput: false };
  await using agent = await Agent.open(
    {
      keys: { one: { copies: [key], allowReadable: false, waitForToken: false } },
      tunnels: { a: { address, listen: true, key: 'one', maxDaemons: 20, onTokenRemoval: 'none' } },
      tokens: { modules, pins: { allowCommand: false, useFinalTry: false }, deadline: 10_000 },
    },
    processSurroundings(folder, []),
    stop.signal,
  );
  const daemons = await Promise.all(Array.from({ length: 12 }, () => FakeDaemon.open(address.path)));
  for (const daemon of daemons) {
    daemon.say(`${GREETING}>HOLD:Waiting for hold release:0\r\n`);
    await daemon.hear('hold release\n');
    daemon.say('SUCCESS: hold release succeeded\r\n');
    await daemon.hear('state');
  }
  expect(warnings).toEqual([]);
  process.off('warning', onWarning);
  for (const daemon of daemons) daemon.close();
  await agent.stopTunnel('a');
  rmSync(folder, { recursive: true });
});
