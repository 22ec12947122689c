import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockCommand, unlockCommand } from '../../../src/cli/control-commands.ts';

let folder: string;
let server: Server;
let requests: string[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-lock-'));
  requests = [];
  server = createServer((socket) => {
    socket.on('data', (bytes) => {
      requests.push(bytes.toString());
      socket.write('{"version":1,"ok":true,"result":null}\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 'control.sock'), resolve));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

describe.each([
  ['lock', lockCommand],
  ['unlock', unlockCommand],
])('%s', (command, run) => {
  const send = async (passphrase: Buffer): Promise<void> => {
    const passphraseSource = join(folder, 'passphrase');
    writeFileSync(passphraseSource, passphrase, { mode: 0o600 });
    await run({ control: join(folder, 'control.sock'), passphraseSource });
  };

  test('sends a passphrase', async () => {
    await send(Buffer.from('für alle\n'));
    expect(requests.map((line) => JSON.parse(line) as unknown)).toEqual([
      { version: 1, command, passphrase: 'für alle' },
    ]);
  });

  test('sends none that is not UTF-8: another one would be the same in JSON', async () => {
    await expect(send(Buffer.from('f\xfcr alle\n', 'latin1'))).rejects.toMatchObject({ code: 'ERR_PIN_SOURCE' });
    expect(requests).toEqual([]);
  });
});
