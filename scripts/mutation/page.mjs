// Writes docs/MUTATION.md of figures.json, what the runs found, and survivors.json, what people say of the mutants that live.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOMS } from './rooms.mjs';

const SRC = join(import.meta.dirname, '../../src');
const PAGE = join(import.meta.dirname, '../../docs/MUTATION.md');
const SURVIVORS = join(import.meta.dirname, 'survivors.json');
const [BEGIN, END] = ['<!-- written by npm run mutate -->', '<!-- end of what is written -->'];
/** Percent of a room's mutants that tests must see. */
const LEAST = 85;

/**
 * One entry of survivors.json: why some mutants live. All that it says of them must hold: the file's end, a part of the line, what is
 * changed, into what, and by which of Stryker's mutators.
 */
const fits = ({ file, code, from, to, mutator }, mutant) =>
  (file === undefined || mutant.file.endsWith(file)) &&
  (code === undefined || mutant.code.includes(code)) &&
  (from === undefined || mutant.from === from) &&
  (to === undefined || mutant.to === to) &&
  (mutator === undefined || mutant.mutator === mutator);

/** A room's figures of those of its files. Rooms that were last run before these were kept apart have only the sums. */
function sumsOf({ files, ...sums }) {
  if (!files) return sums;
  const figures = Object.values(files);
  const names = ['killed', 'late', 'survived', 'unreached', 'leftOut', 'broken'];
  return {
    ...Object.fromEntries(names.map((name) => [name, figures.reduce((sum, figure) => sum + figure[name], 0)])),
    survivors: figures.flatMap(({ survivors }) => survivors),
  };
}

/** Files of a room that no run has tried, by name. */
function untried(room, { files }) {
  if (!files) return [];
  const all = ROOMS[room].folders.flatMap((folder) => readdirSync(join(SRC, folder)));
  return all.filter((file) => file.endsWith('.ts') && !files[file]);
}

const scoreOf = ({ killed, survived, unreached }) => (100 * killed) / (killed + survived + unreached);
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const code = (text) => (text.includes('`') ? `\`\` ${cell(text)} \`\`` : `\`${cell(text)}\``);

/** Sorts a room's survivors to what is said of them: each to the first entry that fits. */
function explained(survivors, entries) {
  const rows = entries.map((entry) => ({ entry, mutants: [] }));
  const left = [];
  for (const mutant of survivors) {
    const row = rows.find(({ entry }) => fits(entry, mutant));
    if (row) row.mutants.push(mutant);
    else left.push(mutant);
  }
  return { rows, left };
}

/** `rate.ts (2), server.ts (1)` */
function placesOf(mutants) {
  const files = new Map();
  for (const { file } of mutants) files.set(file, (files.get(file) ?? 0) + 1);
  return [...files].map(([file, count]) => `${file.split('/').at(-1)} (${count})`).join(', ');
}

/** @returns whether all that it knows of is in order; of one room, if it is told one */
export function writePage(figures, only) {
  const said = existsSync(SURVIVORS) ? JSON.parse(readFileSync(SURVIVORS, 'utf8')) : {};
  const rooms = Object.keys(ROOMS).filter((room) => figures[room]);
  const wrong = [];
  const table = [
    '| room | mutants | seen | by time | survived | not reached | left out | score |',
    '|---|---|---|---|---|---|---|---|',
  ];
  const chapters = [];
  for (const room of rooms) {
    const figure = sumsOf(figures[room]);
    const { killed, late, survived, unreached, leftOut, broken, survivors } = figure;
    const score = scoreOf(figure);
    const all = killed + survived + unreached;
    table.push(
      `| ${room} | ${all} | ${killed} | ${late} | ${survived} | ${unreached} | ${leftOut + broken} | ${score.toFixed(1)} % |`,
    );
    if (score < LEAST) wrong.push(`${room}: ${score.toFixed(1)} % of the mutants are seen; ${LEAST} % must be`);
    const { rows, left } = explained(survivors, said[room] ?? []);
    for (const { entry, mutants } of rows) {
      if (mutants.length === 0 && untried(room, figures[room]).length === 0)
        wrong.push(`${room}: survivors.json explains what lives no more: ${JSON.stringify(entry)}`);
    }
    for (const { file, line, from, to } of left) {
      wrong.push(`src/${file}:${line}: nothing is said of ${from} -> ${to.replace(/\s+/g, ' ')}`);
    }
    const lines = [
      ...rows
        .filter(({ mutants }) => mutants.length > 0)
        .map(({ entry, mutants }) => {
          const { mutator } = entry;
          const parts = [entry.code, entry.from, entry.to].filter((part) => part !== undefined).map(code);
          const what = [...parts, ...(mutator === undefined ? [] : [mutator])].join(', ');
          return `| ${placesOf(mutants)} | ${what} | ${cell(entry.why)} |`;
        }),
      ...(left.length > 0 ? [`| ${placesOf(left)} | | not looked at yet |`] : []),
    ];
    if (lines.length > 0)
      chapters.push(`### ${room}`, '', '| file (mutants) | where | why |', '|---|---|---|', ...lines, '');
  }
  const without = Object.keys(ROOMS).filter((room) => !figures[room]);
  for (const room of rooms) {
    const files = untried(room, figures[room]);
    if (files.length > 0) table.push('', `Not tried yet of ${room}: ${files.map(code).join(', ')}.`);
  }
  if (without.length > 0) table.push('', `Not tried yet: ${without.join(', ')}.`);
  const page = readFileSync(PAGE, 'utf8');
  const written = [BEGIN, '', ...table, '', '## Survivors', '', ...chapters, END].join('\n');
  const [before, rest] = page.split(BEGIN);
  writeFileSync(PAGE, `${before}${written}${rest.split(END)[1]}`);
  for (const line of only ? wrong.filter((each) => each.includes(only)) : wrong) console.error(line);
  return wrong.length === 0;
}
