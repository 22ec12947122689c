import * as v from 'valibot';
import { readWords } from '../../management/index.ts';
import { runsNothing } from '../../shell-command.ts';
import type { About } from './schema-types.ts';

/** A checker that takes one type and gives one. */
type Checker<Input, Output = Input> = v.GenericSchema<Input, Output>;

/** A setting: how it is checked, and what is told of it. */
export function setting<const Checked extends v.GenericSchema>(
  about: About,
  schema: Checked,
): Checker<v.InferInput<Checked>, v.InferOutput<Checked>> {
  return v.pipe(schema, v.metadata({ ...about }));
}

export const text: Checker<string> = v.pipe(v.string(), v.nonEmpty());

/** A command line for /bin/sh. */
export const command: Checker<string> = v.pipe(
  text,
  v.check((line) => !runsNothing(line)),
);

export const count: Checker<number> = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** A user or a group, by name or number. */
export const account: Checker<string | number, string> = v.union([
  text,
  v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.transform(String)),
]);

/** Lists and dates are objects too, and the schema library drops these names without a word. */
function isTable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) return false;
  return Object.keys(value).every((name) => !['__proto__', 'constructor', 'prototype'].includes(name));
}

/** A table of names of one's own. */
export function table<Value>(name: Checker<string>, value: Checker<Value>): Checker<Record<string, Value>> {
  return v.pipe(v.custom<Record<string, Value>>(isTable), v.record(name, value));
}

/** OpenVPN's words in one string: so many of them. */
export function words(least: number, most: number): Checker<string, readonly string[]> {
  return v.pipe(
    text,
    v.transform((line) => readWords(line)),
    v.check((found) => Array.isArray(found) && found.length >= least && found.length <= most),
    v.transform((found) => found as readonly string[]),
  );
}
