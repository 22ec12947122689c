// docs/CONFIGURATION.md as a manual page: of Markdown what that page has.

/** Text as roff takes it: nothing in it is a request, and everything is ASCII. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll(
      /[^\n -~]/gu,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replaceAll(/^(?=[.'])/gm, '\\&');
}

const code = (text: string): string => escaped(text).replaceAll('-', '\\-');

/** A paragraph: code becomes bold, a link its text. */
export function inline(text: string): string {
  const parts = text
    .replaceAll('\n', ' ')
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .split('`');
  return parts.map((part, index) => (index % 2 === 0 ? escaped(part) : `\\fB${code(part)}\\fP`)).join('');
}

function list(block: string): string[] {
  const items = block.split(/^- /m).slice(1);
  return ['.Bl -bullet', ...items.flatMap((item) => ['.It', inline(item.trim().replaceAll(/\n +/g, ' '))]), '.El'];
}

function literal(block: string): string[] {
  return ['.Bd -literal', ...code(block.replaceAll(/^```.*\n?/gm, '').trimEnd()).split('\n'), '.Ed'];
}

function blockLines(block: string): string[] {
  const heading = /^## (.*)$/.exec(block);
  if (heading) return [`.Sh ${escaped((heading[1] ?? '').toUpperCase())}`];
  if (block.startsWith('```')) return literal(block);
  if (block.startsWith('- ')) return list(block);
  return ['.Pp', inline(block)];
}

/** Blocks are parted by empty lines, but for those in code. */
function blocksOf(markdown: string): string[] {
  return markdown.split(/(^```[^]*?^```$)/m).flatMap((part) =>
    part.startsWith('```')
      ? [part]
      : part
          .split(/\n{2,}/)
          .map((block) => block.trim())
          .filter((block) => block !== ''),
  );
}

export interface ManualPage {
  readonly title: string;
  readonly section: number;
  readonly about: string;
  readonly file: string;
  readonly date: string;
  /** Without its own heading, as text of Markdown. */
  readonly markdown: string;
  /** Roff that stands at the end. */
  readonly settings: readonly string[];
}

/** @param markdown its first heading is left out */
export function manualPage({ title, section, about, file, date, markdown, settings }: ManualPage): string {
  const lines = blocksOf(markdown.replace(/^# .*$/m, ''))
    .flatMap(blockLines)
    // a section begins a paragraph itself
    .filter((line, index, all) => line !== '.Pp' || !(all[index - 1] ?? '.Sh').startsWith('.Sh'));
  return [
    '.\\" made by scripts/update-config-doc from docs/CONFIGURATION.md and src/config/file/schema.ts',
    `.Dd ${date}`,
    `.Dt ${title.toUpperCase()} ${section}`,
    '.Os',
    '.Sh NAME',
    `.Nm ${title}`,
    `.Nd ${about}`,
    '.Sh SYNOPSIS',
    `.Pa ${file}`,
    '.Sh DESCRIPTION',
    ...lines,
    ...settings,
    '.Sh SEE ALSO',
    '.Xr pksigd 1',
    '',
  ].join('\n');
}

/** A setting in a `.Bl -tag`. */
export function settingLines(name: string, sentences: readonly string[]): string[] {
  return [`.It Ic ${code(name)}`, ...sentences.map(inline)];
}
