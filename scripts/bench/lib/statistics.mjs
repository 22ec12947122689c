// Figures of many.

export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)];
}

export function median(values) {
  return percentile(values, 0.5);
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** The median of what each round says: whatever else the machine does in a round meets both. */
export function medianRatio(values, others) {
  return median(values.map((value, round) => value / others[round]));
}
