// In place of node:timers/promises.
import { setImmediate as soon, setTimeout as later } from './globals.ts';

export async function setTimeout<Value>(
  milliseconds: number,
  value?: Value,
  options: { signal?: AbortSignal } = {},
): Promise<Value> {
  const { signal } = options;
  signal?.throwIfAborted();
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.clear();
      reject(new DOMException('The operation was aborted', 'AbortError'));
    };
    const timer = later(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve(value as Value);
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export async function setImmediate(): Promise<void> {
  await new Promise<void>((resolve) => {
    soon(() => {
      resolve();
    });
  });
}
