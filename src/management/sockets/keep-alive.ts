/**
 * Milliseconds of silence on a TCP connection before its other end is asked whether it is still there. One whose host lost its
 * power, or a firewall in between its memory, says nothing for ever.
 */
export const KEEP_ALIVE = 30_000;
