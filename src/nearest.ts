/** How many letters must be added, taken away, changed or swapped with their neighbour to make one of the other. */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const isSame = one[i - 1] === other[j - 1];
      const least = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
        ...(i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
          ? [(before[j - 2] ?? 0) + 1]
          : []),
      );
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[other.length] ?? 0;
}

const plain = (name: string): string => name.toLowerCase().replaceAll('_', '-');

/** The known name that an unknown one was most probably meant to be; undefined if none is like it. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((each) => ({ each, far: distance(plain(name), plain(each)) }))
    .filter(({ each, far }) => far <= Math.max(1, Math.floor(Math.min(name.length, each.length) / 3)))
    .sort((one, other) => one.far - other.far);
  return best?.each;
}

/** What to say behind an unknown name. */
export function didYouMean(name: string, known: readonly string[], kind = 'known are'): string {
  const found = nearest(name, known);
  if (found !== undefined) return `: did you mean '${found}'?`;
  return known.length === 0 ? '' : `: ${kind} ${known.map((each) => `'${each}'`).join(', ')}`;
}
