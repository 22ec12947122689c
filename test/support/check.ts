import type { MigrationSteps } from '../../src/check/verdict.ts';
import type { Bench } from './bench.ts';
import type { Child } from './child.ts';

/** What `check --json` says. */
export interface Verdict {
  outcome: string;
  what: string;
  detail: string;
  code?: string;
  lines?: string[];
  migration?: MigrationSteps;
}

export interface Checked {
  code: number;
  verdicts: Verdict[];
  /** Of `what`, in order. */
  of: (what: string) => Verdict[];
  lines: string[];
}

/** What a `pksigd check --json` said when it has ended. */
export async function readChecked(pksigd: Child): Promise<Checked> {
  const code = await pksigd.exited;
  const verdicts = pksigd.stdout.map((line) => JSON.parse(line) as Verdict);
  const of = (what: string): Verdict[] => verdicts.filter((verdict) => verdict.what === what);
  return { code, verdicts, of, lines: of('lines')[0]?.lines ?? [] };
}

/**
 * Runs it anew for as long as a signature was slow, which a busy machine alone can make it: `check` warns of that, and
 * tries fewer.
 */
export async function unhurried<T extends Pick<Checked, 'of'>>(run: () => Promise<T>): Promise<T> {
  return await unhurriedLines(run, ({ of }) => of('signature').map(({ detail }) => detail));
}

/** The same of a check for people. @param linesOf what it printed */
export async function unhurriedLines<T>(run: () => Promise<T>, linesOf: (done: T) => readonly string[]): Promise<T> {
  for (;;) {
    const done = await run();
    if (!linesOf(done).some((line) => / took [\d.]+ s\b/.test(line))) return done;
  }
}

/** Runs the built `pksigd check`. */
export async function check(bench: Bench, ...args: string[]): Promise<Checked> {
  return await unhurried(async () => await readChecked(await bench.pksigd(['check', '--json', ...args])));
}
