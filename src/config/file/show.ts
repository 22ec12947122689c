import { quoteWord } from '../../management/index.ts';
import type { Document } from './document.ts';
import type { Schema } from './schema-types.ts';
import { SECTIONS } from './schema.ts';
import { aboutOf, namedOf, settingsOf } from './schema-parts.ts';

/** A string of TOML, in the quotes that it needs. */
function quoted(text: string): string {
  // a basic string of TOML takes JSON's escapes, but has DEL escaped too
  return JSON.stringify(text).replaceAll('\u007f', '\\u007F');
}

const bareOrQuoted = (name: string): string => (/^[A-Za-z0-9_-]+$/.test(name) ? name : quoted(name));

function valueText(value: unknown, setting: Schema): string {
  const { path } = aboutOf(setting);
  if (path === 'words' || path === 'plain words') return quoted((value as readonly string[]).map(quoteWord).join(' '));
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return `[${value.map((each) => quoted(String(each))).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const pairs = Object.entries(value).map(([name, text]) => `${bareOrQuoted(name)} = ${quoted(String(text))}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

function sectionLines(title: string, section: object, schema: Schema): string[] {
  const values = new Map(Object.entries(section));
  const settings = [...settingsOf(schema)].filter(([name]) => values.get(name) !== undefined);
  return ['', `[${title}]`, ...settings.map(([name, setting]) => `${name} = ${valueText(values.get(name), setting)}`)];
}

/** A document as TOML that can be read again, defaults and all. Secrets are in none. */
export function formatDocument(document: Document): string {
  const lines = Object.entries(SECTIONS).flatMap(([section, schema]) => {
    const values = document[section as keyof Document];
    const named = namedOf(schema);
    if (!named) return sectionLines(section, values, schema);
    return Object.entries(values).flatMap(([name, value]) =>
      sectionLines(`${section}.${bareOrQuoted(name)}`, value as object, named.value),
    );
  });
  return `${lines.slice(1).join('\n')}\n`;
}
