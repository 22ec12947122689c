import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** The rooms where our options are read, and so named. */
const OWN = /^src\/(cli|config)\//;
/** OpenVPN's directives, and the options of other programs. */
const FOREIGN =
  /^--(management(-client(-user)?|-external-key)?|unblock-pin|init-pin|inspect-port|gen-key|card-edit|generate-key|store-certificate|global|allow-scripts)$/;
/** Texts for the operator of `run`: of the log, of users and groups that options name, of the relay to its clients. */
const OF_RUN: readonly (readonly [RegExp, RegExp])[] = [
  [/^src\/telemetry\//, /^--(relay(-allow)?|cert|management-user|module-output|auth-user-pass|askpass)$/],
  [/^src\/agent\//, /^--(relay-group|module-env)$/],
  [/^src\/management\/relay\//, /^--relay-allow$/],
];

/** All that stands in a file's strings, without comments. */
function textsOf(path: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const texts: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      texts.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return texts;
}

test('the library names no options of the command line: src/cli/hints.ts does, by the reason of an error', () => {
  const found = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .map((path) => `src/${path}`)
    .filter((path) => path.endsWith('.ts') && !OWN.test(path))
    .flatMap((path) =>
      textsOf(join(ROOT, path))
        .flatMap((text) => text.match(/--[a-z][a-z-]*/g) ?? [])
        .filter((option) => !FOREIGN.test(option))
        .filter((option) => !OF_RUN.some(([room, known]) => room.test(path) && known.test(option)))
        .map((option) => `${path}: ${option}`),
    );
  expect(found).toEqual([]);
});
