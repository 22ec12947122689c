import { expect, test } from 'vitest';
import { untilDone } from '../../../../../src/pkcs11/host/process/until-done.ts';

function failing(...codes: string[]): () => number {
  return () => {
    const code = codes.shift();
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    return 7;
  };
}

test('a signal in a call (EINTR) and no room (EAGAIN) are tried again', () => {
  expect(untilDone(failing('EINTR', 'EINTR', 'EAGAIN', 'EINTR'))).toBe(7);
});

test('any other failure is one', () => {
  expect(() => untilDone(failing('EINTR', 'EPIPE'))).toThrow('EPIPE');
});
