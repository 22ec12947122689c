import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfiguration } from '../../../../src/config/file/configuration.ts';
import type { Schema } from '../../../../src/config/file/schema-types.ts';
import { SECTIONS } from '../../../../src/config/file/schema.ts';
import { aboutOf, defaultOf, isRequired, namedOf, settingsOf } from '../../../../src/config/file/schema-parts.ts';
import { inline, manualPage, settingLines } from '../../../support/manual-page.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const PAGE = join(ROOT, 'docs/CONFIGURATION.md');
const [BEGIN, END] = ['<!-- made by scripts/update-config-doc from src/config/file/schema.ts -->\n', '<!-- end -->\n'];

/** The sections, and each with the schema of its settings. */
const ALL = Object.entries(SECTIONS).map(([name, schema]) => {
  const named = namedOf(schema);
  return { title: named ? `[${name}.NAME]` : `[${name}]`, section: named?.value ?? schema };
});

function defaultText(setting: Schema): string {
  const { without } = aboutOf(setting);
  const value = defaultOf(setting);
  if (isRequired(setting)) return 'must be given';
  if (value === undefined) return without ?? '';
  return `\`${typeof value === 'object' ? '{}' : JSON.stringify(value)}\``;
}

function tables(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  return ALL.map(({ title, section }) => {
    const rows = [...settingsOf(section)].map(([name, setting]) => {
      const { takes, text, option } = aboutOf(setting);
      const cells = [
        `\`${name}\``,
        cell(takes),
        cell(defaultText(setting)),
        option === undefined ? cell(text) : `${cell(text)} (\`${option}\`)`,
      ];
      return `| ${cells.join(' | ')} |`;
    });
    const head = ['| key | takes | default | |', '|---|---|---|---|'];
    return [`### ${title}`, '', aboutOf(section).text, '', ...head, ...rows, ''].join('\n');
  }).join('\n');
}

test('the page has the tables of the schema (scripts/update-config-doc writes them)', () => {
  const page = readFileSync(PAGE, 'utf8');
  const [before = '', rest = ''] = page.split(BEGIN);
  const [, after = ''] = rest.split(END);
  const made = `${before}${BEGIN}\n${tables()}\n${END}${after}`;
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PAGE, made);
  expect(readFileSync(PAGE, 'utf8')).toBe(made);
});

const MANUAL = join(ROOT, 'docs/pksigd.toml.5');

function settingsForManual(): string[] {
  return ALL.flatMap(({ title, section }) => [
    `.Ss ${title}`,
    inline(aboutOf(section).text),
    '.Bl -tag -width Ds',
    ...[...settingsOf(section)].flatMap(([name, setting]) => {
      const { takes, text, option } = aboutOf(setting);
      const rest = defaultText(setting);
      const holds = isRequired(setting) ? 'It must be given.' : rest === '' ? '' : `Without it: ${rest}.`;
      const sentences = [text, `It takes ${takes}.`, holds, option === undefined ? '' : `Option: \`${option}\`.`];
      return settingLines(
        name,
        sentences.filter((sentence) => sentence !== ''),
      );
    }),
    '.El',
  ]);
}

/** The page, with its settings by the schema. */
function manual(): string {
  const [markdown = ''] = readFileSync(PAGE, 'utf8').split(BEGIN);
  const [, date = ''] = /^\.Dd (.*)$/m.exec(readFileSync(join(ROOT, 'docs/pksigd.1'), 'utf8')) ?? [];
  const about = "configuration file of pksigd, the signing agent for OpenVPN's --management-external-key";
  const file = '/etc/pksigd/pksigd.toml';
  return manualPage({
    title: 'pksigd.toml',
    section: 5,
    ...{ about, file, date, markdown, settings: settingsForManual() },
  });
}

describe('the manual page', () => {
  test('says what the page says (scripts/update-config-doc writes it)', () => {
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(MANUAL, manual());
    expect(readFileSync(MANUAL, 'utf8')).toBe(manual());
  });

  test.skipIf(spawnSync('man', ['--version']).status !== 0)('is one to man', () => {
    const env = { ...process.env, MANWIDTH: '80', MAN_KEEP_FORMATTING: '', LC_ALL: 'C.UTF-8' };
    const { status, stdout, stderr } = spawnSync('man', ['--warnings', '-l', MANUAL], { encoding: 'utf8', env });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    for (const { section } of ALL)
      for (const name of settingsOf(section).keys()) expect(stdout).toMatch(new RegExp(`^ +${name}(?: |$)`, 'm'));
    expect(stdout).toContain('[tunnel.office]');
    expect(stdout).not.toMatch(/\]\(|`/);
  });

  test('comes with the package', () => {
    const { man } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { man: string[] };
    expect(man).toContain('docs/pksigd.toml.5');
  });
});

describe('the example', () => {
  test.each([
    ['docs/CONFIGURATION.md', ['office', 'branch-1', 'branch-2']],
    // whoever tries it has one .ovpn
    ['README.md', ['office']],
  ])('of %s is a configuration without a mistake', async (page, names) => {
    const folder = mkdtempSync(join(tmpdir(), 'pksigd-page-'));
    const [, example = ''] = /```toml\n(.*?)```/s.exec(readFileSync(join(ROOT, page), 'utf8')) ?? [];
    const inFolder = (name: string, text: string): string => {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      return path;
    };
    for (const name of names) inFolder(`openvpn/client/${name}.conf`, `management ${name}.sock unix\n`);
    const path = inFolder('pksigd/pksigd.toml', example.replaceAll('/etc/', `${folder}/`));
    const { settings, faults } = await readConfiguration(path);
    expect(faults).toEqual([]);
    expect(Object.keys(settings.tunnels)).toEqual(expect.arrayContaining(names));
    rmSync(folder, { recursive: true });
  });
});

test('what pages name in passing, or show, is in the file', () => {
  const names = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.md'),
  );
  const known = new Map(ALL.map(({ title, section }) => [title, new Set(settingsOf(section).keys())]));
  const wrong = ['README.md', ...names.map((name) => join('docs', name))].flatMap((page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const named = [...text.matchAll(/`(\[[a-z]+\]) ([a-z-]+)/g)].map(([, title = '', name = '']) => ({ title, name }));
    const shown = [...text.matchAll(/^```toml.*\n([^]*?)^```/gm)].flatMap(([, block = '']) =>
      block.split(/^(?=\[)/m).flatMap((part) => {
        const title = /^\[[^\]]+\]/.exec(part)?.[0].replace(/\.[^\]]+/, '.NAME');
        const settings = [...part.matchAll(/^([a-z-]+) = /gm)];
        return title === undefined ? [] : settings.map(([, name = '']) => ({ title, name }));
      }),
    );
    return [...named, ...shown]
      .filter(({ title, name }) => !known.get(title)?.has(name))
      .map((each) => ({ page, ...each }));
  });
  expect(wrong).toEqual([]);
});

describe('options and the file', () => {
  /** The options of run that stand in no file. */
  const BESIDE = ['--config', '--help', '--version'];
  const source = ['program', 'tunnel-options', 'audit-options', 'policy-options']
    .map((file) => readFileSync(join(ROOT, `src/cli/${file}.ts`), 'utf8'))
    .join();
  const ofOtherCommands = [
    '--login',
    '--json',
    '--algorithm',
    '--watch',
    '--passphrase-source',
    '--tunnel',
    '--outcome',
  ];
  const options = new Set([...source.matchAll(/'(--[a-z-]+)(?: <[^']*>)?'/g)].map(([, option = '']) => option));
  const said = new Map(
    ALL.flatMap(({ title, section }) =>
      [...settingsOf(section)].flatMap(([name, setting]) => {
        const { option } = aboutOf(setting);
        // a tunnel's `key` names a section
        return option === undefined ? [] : [[option, { title, name }] as const];
      }),
    ),
  );

  test('say the same: each option of run is a key, and each key an option', () => {
    const missing = [...options].filter((option) => !said.has(option));
    expect(missing.filter((option) => ![...BESIDE, ...ofOtherCommands].includes(option))).toEqual([]);
    expect([...said.keys()].filter((option) => !options.has(option))).toEqual([]);
  });

  test('are called the same', () => {
    for (const [option, { title, name }] of said) {
      if (option === '--audit') expect(`${title} ${name}`).toBe('[audit] file');
      else if (['[log]', '[state]', '[audit]'].includes(title)) expect(option).toBe(`--${title.slice(1, -1)}-${name}`);
      else expect(option).toBe(`--${name}`);
    }
  });
});
