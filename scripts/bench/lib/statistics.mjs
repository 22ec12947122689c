// Figures of many, measured in turns.

export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)];
}

export function median(values) {
  return percentile(values, 0.5);
}

export function mean(values) {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/** The median of what each round says: whatever else the machine does in a round meets both. */
export function medianRatio(values, others) {
  return median(values.map((value, round) => value / others[round]));
}

/** Does the work for all, so many times; who is first changes. */
export async function inTurns(names, rounds, work) {
  for (let round = 0; round < rounds; round += 1) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) await work(name, round);
  }
}
