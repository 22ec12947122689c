import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FakeListener } from '../../../src/testing/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'pksigd-testing-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('where it can not listen, a listener says so to whoever starts it', async () => {
  const path = join(folder, 'taken.sock');
  const listener = await FakeListener.start(path);
  await expect(FakeListener.start(path)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await listener.stop();
});
