import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errorCode } from '../../../../src/errors.ts';
import { walkPath } from '../../../../src/management/sockets/path-walk.ts';
import { dial } from '../../../../src/management/sockets/dial.ts';

const SELF = process.geteuid?.() ?? 0;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-dial-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a daemon that starts while it is dialled is reached, or is not there: it is no stranger', async () => {
  const outcomes = new Set<string>();
  for (let round = 0; round < 300; round += 1) {
    const path = join(folder, `${round}`);
    const dialled = dial({ kind: 'unix', path }, undefined, { self: SELF }).then(
      (socket) => {
        socket.destroy();
        return 'reached';
      },
      (error: unknown) => String(errorCode(error)),
    );
    for (let turns = round % 30; turns > 0; turns -= 1) await turn();
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(path);
    outcomes.add(await dialled);
    await new Promise((resolve) => server.close(resolve));
  }
  outcomes.delete('reached');
  outcomes.delete('ERR_MANAGEMENT_CONNECT');
  expect([...outcomes]).toEqual([]);
});

describe('the way to a path', () => {
  test('goes on from where a link leads, also upwards', async () => {
    mkdirSync(join(folder, 'far/away'), { recursive: true });
    symlinkSync('far/away', join(folder, 'link'));
    const looked: string[] = [];
    await walkPath(`${folder}/link/../sock`, { lookUp: (at, name) => looked.push(join(at, name)) });
    expect(looked.slice(-2)).toEqual([join(folder, 'far/away'), join(folder, 'far/sock')]);
  });
});
