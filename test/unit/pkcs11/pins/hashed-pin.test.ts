import type * as Crypto from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { HashedPin } from '../../../../src/pkcs11/pins/pin-record.ts';
import { Secret } from '../../../../src/secret.ts';

let hasMemory = true;
vi.mock('node:crypto', async (importOriginal) => {
  const crypto = await importOriginal<typeof Crypto>();
  type Done = (error: Error | null, hash: Buffer) => void;
  const scrypt = (pin: Buffer, salt: Buffer, length: number, done: Done): void => {
    if (hasMemory) crypto.scrypt(pin, salt, length, done);
    else done(new Error('memory limit exceeded'), Buffer.alloc(0));
  };
  return { ...crypto, scrypt };
});

test('a hash that could not be made is made the next time: the PIN is kept for as long as the agent runs', async () => {
  const pin = new HashedPin(new Secret('1234'));
  const { salt, hash } = await new HashedPin(new Secret('1234')).beside([]);
  const refused = { salt, hash, refusedAt: new Date(0).toISOString() };
  hasMemory = false;
  await expect(pin.among([refused])).rejects.toThrow('memory limit exceeded');
  hasMemory = true;
  expect([...(await pin.among([refused]))]).toEqual([refused]);
});
