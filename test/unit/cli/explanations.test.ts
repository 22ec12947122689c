import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cureOf, CODES, ENTRIES, explain, type Entry } from '../../../src/cli/explanations/index.ts';
import { commandLineHint } from '../../../src/cli/hints.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PAGE = join(ROOT, 'docs/TROUBLESHOOTING.md');

/** All of src, but the table itself and where the codes are declared. */
const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !/^(cli\/(explanations\/|exit-codes)|errors\.ts)/.test(path))
  .map((path) => readFileSync(join(ROOT, 'src', path), 'utf8'))
  .join('\n');
const declarations = readFileSync(join(ROOT, 'src/errors.ts'), 'utf8');

test('every code of the source has its entry, and every entry is of a code that something throws', () => {
  const known = Object.keys(CODES);
  // ERR_OSSL_… are what Node calls errors of OpenSSL
  const used = new Set([...sources.matchAll(/'(ERR_(?!OSSL_)[A-Z0-9_]+[A-Z0-9])'/g)].map(([, code = '']) => code));
  expect([...used].filter((code) => !known.includes(code))).toEqual([]);
  expect(known.filter((code) => !used.has(code))).toEqual([]);
});

/** Reasons of what check remarks, where nothing is wrong. */
const REMARKS = ['pin-kept'];

test('every reason that an error has is a cause in the table, in the words of its hint', () => {
  const declared = /export type Reason =([^;]*);/.exec(declarations)?.[1] ?? '';
  const reasons = [...declared.matchAll(/'([a-z-]+)'/g)].map(([, reason = '']) => reason);
  const causes = ENTRIES.flatMap((entry) => entry.causes);
  expect(reasons.length).toBeGreaterThan(20);
  const wanted = reasons.filter((reason) => !REMARKS.includes(reason));
  expect(wanted.filter((reason) => !causes.some((cause) => 'reason' in cause && cause.reason === reason))).toEqual([]);
  const readable = causes.find((cause) => 'reason' in cause && cause.reason === 'readable-key');
  const hint = commandLineHint({ reason: 'readable-key' }) ?? '';
  expect(readable && cureOf(readable).toLowerCase()).toBe(`${hint}.`.toLowerCase());
});

test('every entry says what happened; each but an exit code says why, and what to do', () => {
  const bad = ENTRIES.filter(({ what, causes, kind, name }) => {
    const sentences = [what, ...causes.map(({ why }) => why)];
    return (
      sentences.some((text) => !/[.?!)]$/.test(text)) ||
      (causes.length === 0 && !(kind === 'exit code' && name === '0'))
    );
  });
  expect(bad.map(({ name }) => name)).toEqual([]);
  const names = ENTRIES.map(({ name }) => name);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test('pages that the table names exist, and codes that it sends to', () => {
  const texts = ENTRIES.flatMap(({ what, causes }) => [
    what,
    ...causes.flatMap((cause) => [cause.why, cureOf(cause)]),
  ]).join('\n');
  const pages = [...texts.matchAll(/docs\/[A-Z]+\.md/g)].map(([page]) => page);
  expect(pages.filter((page) => !existsSync(join(ROOT, page)))).toEqual([]);
  const codes = [...texts.matchAll(/pksigd explain ((?:ERR|CKR)_[A-Z_]*[A-Z])/g)].map(([, code = '']) => code);
  expect(codes.filter((code) => !ENTRIES.some(({ name }) => name === code))).toEqual([]);
});

const questions: [string, string][] = [
  ['ERR_PIN_LOCKED', 'ERR_PIN_LOCKED'],
  ['pin-locked', 'ERR_PIN_LOCKED'],
  ['ckr_mechanism_invalid', 'CKR_MECHANISM_INVALID'],
  ['CKR_PIN_EXPIRED', 'CKR_PIN_EXPIRED'],
  ['seat-taken', 'seat-taken'],
  ['4', '4'],
  ["pksigd: token 'a' refused the PIN (C_Login: CKR_PIN_INCORRECT) [ERR_PIN_INCORRECT]", 'ERR_PIN_INCORRECT'],
  ['14:57 WARN connected, but OpenVPN does not answer: another management client has its only seat', 'no-greeting'],
  ['TLS key negotiation failed', 'TLS Error: TLS key negotiation failed to occur within'],
  [
    "2026-11-29 UID of socket peer (1000) doesn't match required value (0) as given by --management-client-user",
    "doesn't match required value (%d) as given by --management-client-user",
  ],
];

test.for(questions)('%s is explained', ([question, name]) => {
  expect(explain(question).map((entry) => entry.name)).toContain(name);
});

test.for(['', 'ERR_NONE', 'the weather', 'TLS'])("'%s' is not", (question) => {
  expect(explain(question)).toEqual([]);
});

const code = (text: string): string => `\`${text}\``;
/** Text of the table as Markdown: angle brackets and asterisks are themselves. */
const prose = (text: string): string => text.replace(/[<*_]/g, (character) => `\\${character}`);

function section(entries: readonly Entry[], heading: (entry: Entry) => string): string {
  return entries
    .map((entry) => {
      const causes = entry.causes.map((cause) => `- ${prose(cause.why)} **${prose(cureOf(cause))}**\n`);
      // of a line of the log the heading is its text, and is not said twice
      const what = entry.kind === 'trouble' ? entry.what.slice(entry.text?.length).replace(/^\.? ?/, '') : entry.what;
      const about = what === '' ? '' : `${prose(what)}\n\n`;
      return `### ${heading(entry)}\n\n${about}${causes.join('')}${causes.length > 0 ? '\n' : ''}`;
    })
    .join('');
}

function page(): string {
  const of = (kind: Entry['kind']): Entry[] => ENTRIES.filter((entry) => entry.kind === kind);
  return (
    `<!-- made by scripts/update-troubleshooting-doc from src/cli/explanations -->

# Troubleshooting

Find the line that you have on this page, or ask \`pksigd explain\`: it takes a code, an exit code, or a whole line of pksigd's log or
OpenVPN's. What to do stands in bold. Nothing to go by yet? \`pksigd check\` with the options of \`run\` looks at everything that has to be right;
\`pksigd status\` says what an agent that runs waits for; and OpenVPN's own log has what the server said.

- [Lines of OpenVPN](#lines-of-openvpn)
- [What keeps a tunnel from being served](#what-keeps-a-tunnel-from-being-served)
- [Codes of errors](#codes-of-errors)
- [Return values of PKCS#11](#return-values-of-pkcs11)
- [Exit codes](#exit-codes)

## Lines of OpenVPN

${section(of('line of OpenVPN'), ({ name }) => code(name))}## What keeps a tunnel from being served

Warnings and errors of the log, which are repeated until it is over.

${section(of('trouble'), ({ text = '' }) => code(text))}## Codes of errors

A code stands in the log as \`code\`, and in brackets behind what other commands say. The number is the exit code of a command that ends
with it.

${section(of('code'), ({ name, exit }) => `${code(name)} (${exit ?? ''})`)}## Return values of PKCS#11

What a token's module said.

${section(of('return value'), ({ name }) => code(name))}## Exit codes

${section(of('exit code'), ({ name }) => code(name))}`.trimEnd() + '\n'
  );
}

test('docs/TROUBLESHOOTING.md shows the table (scripts/update-troubleshooting-doc writes it)', () => {
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PAGE, page());
  expect(readFileSync(PAGE, 'utf8')).toBe(page());
});
