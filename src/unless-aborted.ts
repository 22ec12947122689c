import { AgentError } from './errors.ts';

/**
 * Waits for `work` until the signal; `work` itself goes on then, and is up to its owner.
 * @throws AgentError ERR_ABORTED
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(new AgentError('ERR_ABORTED', 'given up', { cause: signal.reason }));
    };
  });
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
