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
  for (;;) {
    const checked = await run();
    if (!checked.of('signature').some(({ detail }) => / took [\d.]+ s$/.test(detail))) return checked;
  }
}

/** Runs the built `pksigd check`. */
export async function check(bench: Bench, ...args: string[]): Promise<Checked> {
  return await unhurried(async () => await readChecked(await bench.pksigd(['check', '--json', ...args])));
}
