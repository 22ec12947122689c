/** How long a fuzzer runs, in seconds: 30 in CI, more by hand. */
export const SECONDS: number = Number.parseFloat(process.env['FUZZ_SECONDS'] ?? '2');
/** The same for the fuzzer of handshakes, which goes by coverage and finds more the longer it runs: 100 in CI, beside all else. */
export const HANDSHAKE_SECONDS: number = Number.parseFloat(process.env['HANDSHAKE_FUZZ_SECONDS'] ?? '2');
/** The same for all other parsers together, each of which gets its share: 200 in CI, beside all else. */
export const PARSER_SECONDS: number = Number.parseFloat(process.env['PARSER_FUZZ_SECONDS'] ?? '8');
/** The seed of its random stream. A failure says it. */
export const SEED: number = Number.parseInt(process.env['FUZZ_SEED'] ?? String(Date.now() & 0x7fffffff), 10);

/** Mulberry32: a random stream that a seed repeats. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
