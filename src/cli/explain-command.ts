import { AgentError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { Entry } from './explanations/index.ts';
import { print } from './standard-streams.ts';

/** `pksigd explain`: what a code or a line means, and what to do about it; without one, all that can be asked for. */
export async function explainCommand(
  words: readonly string[],
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const { cureOf, ENTRIES, explain } = await import('./explanations/index.ts');
  const question = words.join(' ');
  const found = question === '' ? ENTRIES : explain(question);
  if (found.length === 0) {
    const close = nearest(
      question.toUpperCase().replaceAll('-', '_'),
      ENTRIES.filter(({ kind }) => kind !== 'line of OpenVPN').map(({ name }) => name),
    );
    const known = question.toUpperCase().startsWith('CKR_')
      ? "it is the module's own word for what failed: see pksigd explain ERR_TOKEN_FAILED"
      : 'pksigd explain lists what is';
    throw new AgentError('ERR_USAGE', `nothing is known of '${question}'`, {
      hint: close === undefined ? known : `did you mean ${close}?`,
    });
  }
  const resolved = found.map(({ causes, ...entry }) => ({
    ...entry,
    causes: causes.map((cause) => ({ why: cause.why, cure: cureOf(cause) })),
  }));
  if (json) print(`${JSON.stringify(resolved, undefined, 2)}\n`);
  else if (question === '') print(`${listOf(ENTRIES).join('\n')}\n`);
  else print(`${resolved.map((entry) => textOf(entry).join('\n')).join('\n\n')}\n`);
}

const HEADINGS: Readonly<Record<Entry['kind'], string>> = {
  code: 'Codes of errors:',
  'return value': 'Return values of PKCS#11:',
  trouble: 'What keeps a tunnel from being served:',
  'line of OpenVPN': 'Lines of OpenVPN (a part is enough):',
  'exit code': 'Exit codes:',
};

function listOf(entries: readonly Entry[]): string[] {
  const kinds = Object.keys(HEADINGS) as Entry['kind'][];
  return kinds.flatMap((kind) => [
    HEADINGS[kind],
    ...entries.filter((entry) => entry.kind === kind).map(({ name }) => `  ${name}`),
  ]);
}

interface ResolvedEntry extends Pick<Entry, 'name' | 'what' | 'exit'> {
  readonly causes: readonly { readonly why: string; readonly cure: string }[];
}

function textOf({ name, what, exit, causes }: ResolvedEntry): string[] {
  return [
    exit === undefined ? name : `${name} (exit code ${exit})`,
    ...wrapped(what, '  '),
    ...causes.flatMap(({ why, cure }) => [...wrapped(why, '  - ', '    '), ...wrapped(`→ ${cure}`, '    ', '      ')]),
  ];
}

const WIDTH = 80;

function wrapped(text: string, first: string, further = first): string[] {
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.trim() !== '-' && line.length + word.length >= WIDTH) {
      lines.push(line.trimEnd());
      line = further;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}
