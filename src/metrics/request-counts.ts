import type { Outcome } from '../agent/answer.ts';
import { SIGNATURE_SCHEMES } from '../signing/schemes.ts';

/** What requests are counted by. All of it has few values, whatever a daemon says. */
export interface RequestLabels {
  readonly tunnel: string;
  readonly key: string;
  readonly outcome: Outcome['outcome'];
  readonly scheme: string;
  readonly code: string;
}

const SCHEMES: ReadonlySet<string> = new Set(Object.keys(SIGNATURE_SCHEMES));

/** The first word of an algorithm text, if it is a scheme's: the rest has many values. */
export function schemeOf({ scheme = '' }: Outcome): string {
  const [word = ''] = scheme.split(',');
  return SCHEMES.has(word) ? word : 'none';
}

/** Requests of each tunnel, by key, outcome, scheme and code. */
export class RequestCounts {
  readonly #tunnels = new Map<string, Map<string, { labels: RequestLabels; count: number }>>();

  /** @param key the name that the settings give it */
  add(tunnel: string, key: string, outcome: Outcome): void {
    const code = outcome.outcome === 'refused' || outcome.outcome === 'failed' ? (outcome.code ?? 'other') : 'none';
    const labels = { tunnel, key, outcome: outcome.outcome, scheme: schemeOf(outcome), code };
    const counts = this.#tunnels.get(tunnel) ?? new Map<string, { labels: RequestLabels; count: number }>();
    this.#tunnels.set(tunnel, counts);
    const name = `${key}\n${labels.outcome}\n${labels.scheme}\n${code}`;
    const entry = counts.get(name) ?? { labels, count: 0 };
    counts.set(name, entry);
    entry.count += 1;
  }

  /** Forgets all other tunnels. */
  keepOnly(tunnels: readonly string[]): void {
    const kept = new Set(tunnels);
    for (const name of this.#tunnels.keys()) if (!kept.has(name)) this.#tunnels.delete(name);
  }

  *[Symbol.iterator](): Iterator<{ readonly labels: RequestLabels; readonly count: number }> {
    for (const counts of this.#tunnels.values()) yield* counts.values();
  }
}
