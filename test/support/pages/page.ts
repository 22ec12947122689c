import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A step of a page: what its reader types, or a file that he writes. */
interface Step {
  /** Of the fence, counted from 1. */
  readonly line: number;
  readonly script: string;
}

/** What a command of a page must print. */
export interface Expectation {
  readonly line: number;
  readonly command: string;
  /** Where what it printed is, in the scratch folder. */
  readonly file: string;
  /** Lines; an ellipsis stands for anything, on a line of its own for any lines. */
  readonly output: readonly string[];
}

export interface Page {
  readonly script: string;
  readonly expectations: readonly Expectation[];
  /** How many commands the reader types. */
  readonly commands: number;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

interface State {
  readonly steps: Step[];
  readonly expectations: Expectation[];
  commands: number;
  background: boolean;
  skip: boolean;
}

/** `$ command` with its output, which is looked at when all is over. */
function consoleSteps(text: string, line: number, state: State): void {
  for (const part of text.split(/^\$ /m).slice(1)) {
    const [first = '', ...rest] = part.split('\n');
    const commandLines = [first];
    while (commandLines.at(-1)?.endsWith('\\')) commandLines.push(rest.shift() ?? '');
    const command = commandLines.join('\n');
    const file = `output-${state.expectations.length}`;
    state.expectations.push({ line, command, file, output: rest.filter((each) => each !== '') });
    state.steps.push({ line, script: `{ ${command}\n} >"$PAGE/${file}" 2>&1 || true` });
    state.commands += 1;
  }
}

function shellStep(text: string, line: number, state: State): void {
  // a line that goes on, and a comment, are no commands
  const typed = text.replace(/\\\n/g, ' ').split('\n');
  state.commands += typed.filter((each) => /^[^\s#}]/.test(each)).length;
  const script = state.background
    ? `background=$((background + 1))\n{ ${text}\n} >"$PAGE/background-$background" 2>&1 &`
    : text;
  state.background = false;
  state.steps.push({ line, script });
}

/** A block that is fenced: `sh` is run, `console` too and its output compared, any with `[path]` behind is that file. */
function blockSteps(info: string, text: string, line: number, state: State): void {
  const [, language = '', path] = /^(\w*)\s*(?:\[(.+)\])?/.exec(info) ?? [];
  if (state.skip) state.skip = false;
  else if (path !== undefined) {
    state.steps.push({
      line,
      script: `mkdir -p "$(dirname ${quoted(path)})"\ncat >${quoted(path)} <<'END OF FILE'\n${text}\nEND OF FILE`,
    });
  } else if (language === 'console') consoleSteps(text, line, state);
  else if (language === 'sh') shellStep(text, line, state);
}

/** `<!-- page: … -->`: what only the test does. */
function directive(text: string, line: number, state: State): void {
  const [, word = '', rest = ''] = /^(\w+)\s*([^]*)$/.exec(text.trim()) ?? [];
  if (word === 'background') state.background = true;
  else if (word === 'skip') state.skip = true;
  else if (word === 'await') state.steps.push({ line, script: `await ${quoted(rest.trim())}` });
  else if (word === 'run') state.steps.push({ line, script: rest });
  else throw new Error(`line ${line}: unknown directive '${word}'`);
}

/**
 * A page of Markdown as a script for bash. In comments `<!-- page: … -->` stands what only the test does:
 * - `run` and commands on lines of their own;
 * - `background`: the next block goes on while the following ones run;
 * - `await TEXT`: until that block has written the text;
 * - `skip`: the next block is not run.
 */
export function readPage(path: string): Page {
  const state: State = { steps: [], expectations: [], commands: 0, background: false, skip: false };
  const pattern = /^( *)```(.*)\n([^]*?)^ *```$|^<!-- page: ([^]*?)-->$/gm;
  const text = readFileSync(path, 'utf8');
  for (const match of text.matchAll(pattern)) {
    const line = text.slice(0, match.index).split('\n').length;
    const [, indent = '', info = '', block, comment] = match;
    if (comment !== undefined) directive(comment, line, state);
    else blockSteps(info, (block ?? '').replaceAll(new RegExp(`^${indent}`, 'gm'), '').replace(/\n$/, ''), line, state);
  }
  const root = readFileSync(join(import.meta.dirname, 'root.sh'), 'utf8');
  const steps = state.steps.map(({ line, script }) => `page_line=${line}\n${script}`);
  const report = `trap 'status=$?; [ $status -eq 0 ] || echo "the block at line $page_line failed with $status" >&2' EXIT`;
  return {
    script: [root, report, ...steps, ''].join('\n'),
    expectations: state.expectations,
    commands: state.commands,
  };
}

/** Does what was printed look so? @returns the first line that is missing, if one is */
export function firstDifference(printed: string, expected: readonly string[]): string | undefined {
  const lines = printed.split('\n');
  let at = 0;
  let isLoose = false;
  for (const line of expected) {
    if (line.trim() === '…') {
      isLoose = true;
      continue;
    }
    const pattern = new RegExp(
      `^${line
        .split('…')
        .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
        .join('.*')}$`,
    );
    const found = lines.slice(at).findIndex((each) => pattern.test(each));
    if (found < 0 || (found > 0 && !isLoose)) return line;
    at += found + 1;
    isLoose = false;
  }
  return undefined;
}
