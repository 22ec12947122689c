import * as v from 'valibot';
import type { About, Schema } from './schema-types.ts';

/** What a checker is made of, as far as walking it takes. */
interface Parts {
  /** Of a table with known keys. */
  readonly entries?: Readonly<Record<string, Schema>>;
  /** Of a table with names of one's own: what each is. */
  readonly value?: Schema;
  /** Of a table with names of one's own: the names. */
  readonly key?: Schema;
  /** Of what may be left out. */
  readonly wrapped?: Schema;
  readonly default?: unknown;
  /** Of a choice. */
  readonly options?: readonly unknown[];
}

function parts(schema: Schema): Parts {
  return schema as unknown as Parts;
}

const inner = (schema: Schema): Schema => parts(schema).wrapped ?? schema;

/** The keys of a section with known ones. */
export function settingsOf(section: Schema): ReadonlyMap<string, Schema> {
  return new Map(Object.entries(parts(section).entries ?? {}));
}

/** Of a section such as `[key.NAME]`: how names and what they name are checked. */
export function namedOf(section: Schema): { readonly name: Schema; readonly value: Schema } | undefined {
  const { key: name, value } = parts(section);
  return name && value && { name, value };
}

/** What is told of a setting or section. */
export function aboutOf(schema: Schema): About {
  return v.getMetadata(inner(schema) as v.GenericSchema & { pipe: never }) as unknown as About;
}

/** The words that a setting can be, if they are few and known. */
export function choicesOf(setting: Schema): readonly string[] {
  return (parts(inner(setting)).options ?? []).filter((option) => typeof option === 'string');
}

/** Whether it must be there. */
export function isRequired(setting: Schema): boolean {
  return parts(setting).wrapped === undefined;
}

/** What holds if it is left out. */
export function defaultOf(setting: Schema): unknown {
  return parts(setting).default;
}
