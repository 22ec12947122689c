/** Milliseconds until a descriptor that was made non-blocking is tried again. */
const PAUSE = 5;

/**
 * Reads or writes until that works. A module's own signal handlers (timers, card events) cut a call short (EINTR), and
 * modules have been seen to make descriptors non-blocking (EAGAIN): neither is an end.
 */
export function untilDone(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
      else if (code !== 'EINTR') throw error;
    }
  }
}
