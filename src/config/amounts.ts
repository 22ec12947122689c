import { AgentError } from '../errors.ts';

const SIZES: ReadonlyMap<string, number> = new Map([
  ['K', 1024],
  ['M', 1024 ** 2],
  ['G', 1024 ** 3],
]);
const TIMES: ReadonlyMap<string, number> = new Map([
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

export const SIZE_TAKES = 'a number with K, M or G behind it, such as 64M';
export const AGE_TAKES = 'a number with m, h or d behind it, such as 7d';

function amount(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, number, unit] = /^([1-9]\d{0,5})([A-Za-z])$/.exec(text) ?? [];
  const worth = unit === undefined ? undefined : units.get(unit);
  return worth === undefined ? undefined : Number(number) * worth;
}

/** `64M` in bytes; undefined if it is none. */
export function sizeOf(text: string): number | undefined {
  return amount(text, SIZES);
}

/** `7d` in milliseconds; undefined if it is none. */
export function ageOf(text: string): number | undefined {
  return amount(text, TIMES);
}

/** The amount that an option names. @throws AgentError ERR_USAGE */
export function required(amountOf: typeof sizeOf, text: string, option: string, takes: string): number {
  const found = amountOf(text);
  if (found !== undefined) return found;
  throw new AgentError('ERR_USAGE', `${option} '${text}': give ${takes}`);
}
