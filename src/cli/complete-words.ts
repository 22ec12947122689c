import type { Command, Option } from 'commander';

/** A word that can stand where the cursor is. */
export interface Candidate {
  readonly text: string;
  /** What it is, on one line; empty where that says itself. */
  readonly about: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** The shell's own names of files go there, too. */
  readonly files: boolean;
}

/** What only this machine knows. They ask nobody, fail never, and give nothing where nothing can be had. */
export interface Sources {
  /** The URIs of keys that can be seen without a login. */
  keys(modules: readonly string[]): Promise<readonly Candidate[]>;
  /** What stands behind `management` in each configuration of OpenVPN; without paths, in those that lie where one looks. */
  managementAddresses(paths: readonly string[]): Promise<readonly (readonly string[])[]>;
  /** What `explain` knows, without lines of a log. */
  explained(): Promise<readonly Candidate[]>;
}

/** Where the cursor is. */
interface Place {
  readonly command: Command;
  /** The option whose value is due, and how many values stand there already. */
  readonly due: { readonly option: Option; readonly values: readonly string[] } | undefined;
  /** The values of the options so far, by their long name. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
  /** Behind `--`. */
  readonly isPlain: boolean;
}

const NOTHING: Completion = { candidates: [], files: false };

/** What sources of secrets begin with: of --pin-source and its like. */
const SOURCES: readonly Candidate[] = [
  { text: 'prompt', about: 'the terminal' },
  { text: 'pinentry', about: "a window: GnuPG's pinentry" },
  { text: 'askpass', about: 'a window: ssh-askpass' },
  { text: 'credential:', about: "systemd's LoadCredential=" },
  { text: 'command:', about: 'the first line that a command prints' },
];

/** What stands for no file, of other options, by their long name. */
const WORDS: Readonly<Record<string, readonly Candidate[]>> = {
  '--notify': [{ text: 'desktop', about: "the desktop's notifications" }],
};

/** The name of an option's value, or of an argument: `file` of `--config <file>`. */
function valueName({ flags }: Option): string {
  return /<([\w=-]+)/.exec(flags)?.[1] ?? '';
}

/** The names of values that are files. */
const FILES = new Set(['file', 'path', 'key', 'cert', 'source', 'pattern', 'command']);

function findOption(command: Command, word: string): Option | undefined {
  return command.options.find(({ long, short }) => long === word || short === word);
}

/** Follows the words in front of the cursor, as commander would. */
function follow(program: Command, words: readonly string[]): Place {
  let command = program;
  let due: Place['due'];
  let positionals: string[] = [];
  const given = new Map<string, string[]>();
  for (const [index, word] of words.entries()) {
    if (due && (due.values.length === 0 || (due.option.variadic && !word.startsWith('-')))) {
      const values = [...due.values, word];
      const name = due.option.long ?? '';
      given.set(name, [...(given.get(name) ?? []), word]);
      due = due.option.variadic ? { option: due.option, values } : undefined;
      continue;
    }
    due = undefined;
    if (word === '--') {
      positionals.push(...words.slice(index + 1));
      return { command, due, given, positionals, isPlain: true };
    }
    const [name = '', value] = word.startsWith('--') ? word.split(/=(.*)/s) : [word];
    const option = word.startsWith('-') ? findOption(command, name) : undefined;
    if (option) {
      given.set(option.long ?? '', [...(given.get(option.long ?? '') ?? []), ...(value === undefined ? [] : [value])]);
      if (option.required && value === undefined) due = { option, values: [] };
      continue;
    }
    if (word.startsWith('-')) continue;
    const sub = positionals.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
    if (sub) command = sub;
    else positionals = [...positionals, word];
  }
  return { command, due, given, positionals, isPlain: false };
}

async function keyUris(word: string, modules: readonly string[] = [], sources: Sources): Promise<readonly Candidate[]> {
  // a path is being typed; and without --module all modules of this machine would be loaded for it
  const mayBe = 'pkcs11:'.startsWith(word) || word.startsWith('pkcs11:');
  return mayBe && modules.length > 0 ? await sources.keys(modules) : [];
}

/** OpenVPN's words, as far as those that were typed are the same: an address, then PORT or `unix`. */
async function addresses(values: readonly string[], place: Place, sources: Sources): Promise<Completion> {
  const known = await sources.managementAddresses(place.given.get('--openvpn-config') ?? []);
  const fitting = known.filter((words) => values.every((value, index) => words[index] === value));
  const texts = [...fitting.flatMap((words) => words[values.length] ?? []), ...(values.length === 1 ? ['unix'] : [])];
  const candidates = [...new Set(texts)].map((text) => ({ text, about: '' }));
  return { candidates, files: values.length !== 1 };
}

async function valuesOf(
  { option, values }: NonNullable<Place['due']>,
  word: string,
  place: Place,
  sources: Sources,
): Promise<Completion> {
  if (option.argChoices) return { candidates: option.argChoices.map((text) => ({ text, about: '' })), files: false };
  const name = valueName(option);
  if (option.long === '--management') return await addresses(values, place, sources);
  if (name === 'source') return { candidates: SOURCES, files: true };
  const isKey = name === 'key' || name === 'cert';
  const candidates = isKey
    ? await keyUris(word, place.given.get('--module'), sources)
    : (WORDS[option.long ?? ''] ?? []);
  return { candidates, files: FILES.has(name) };
}

function optionsOf({ command, given }: Place): Candidate[] {
  const repeats = ({ long, variadic, parseArg }: Option): boolean =>
    !given.has(long ?? '') || variadic || parseArg !== undefined;
  return command
    .createHelp()
    .visibleOptions(command)
    .filter(repeats)
    .flatMap(({ long, description }) => (long === undefined ? [] : [{ text: long, about: description }]));
}

async function argumentsOf(
  { command, positionals, given }: Place,
  word: string,
  sources: Sources,
): Promise<Completion> {
  const help = command.createHelp();
  const isHelp = positionals.length === 1 && positionals[0] === 'help';
  if (command.commands.length > 0 && (positionals.length === 0 || isHelp)) {
    const names = help.visibleCommands(command).map((each) => ({ text: each.name(), about: each.description() }));
    return { candidates: names, files: false };
  }
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[positionals.length] ?? (last?.variadic === true ? last : undefined);
  if (!argument) return NOTHING;
  if (argument.argChoices)
    return { candidates: argument.argChoices.map((text) => ({ text, about: '' })), files: false };
  const name = argument.name();
  if (name === 'what') return { candidates: await sources.explained(), files: false };
  const candidates = name === 'uri' ? await keyUris(word, given.get('--module'), sources) : [];
  return { candidates, files: name === 'file' };
}

/**
 * What can stand in the last word's place.
 * @param words what was typed behind the program's name, up to the cursor, without the shell's quotes; the last may be empty
 */
export async function complete(program: Command, words: readonly string[], sources: Sources): Promise<Completion> {
  const [, inline, value] = /^(--[\w-]+)=(.*)$/s.exec(words.at(-1) ?? '') ?? [];
  if (inline !== undefined) {
    const { candidates, files } = await complete(program, [...words.slice(0, -1), inline, value ?? ''], sources);
    return { candidates: candidates.map(({ text, about }) => ({ text: `${inline}=${text}`, about })), files };
  }
  const word = words.at(-1) ?? '';
  const place = follow(program, words.slice(0, -1));
  const begin = ({ candidates, files }: Completion): Completion => ({
    candidates: candidates.filter(({ text }) => text.startsWith(word)),
    files,
  });
  const isOption = word.startsWith('-') && !place.isPlain;
  const { due } = place;
  if (due && (due.values.length === 0 || !isOption)) {
    const values = await valuesOf(due, word, place, sources);
    // further values may follow, and need not
    const others = due.values.length > 0 && word === '' ? optionsOf(place) : [];
    return begin({ ...values, candidates: [...values.candidates, ...others] });
  }
  if (isOption) return begin({ candidates: optionsOf(place), files: false });
  return begin(await argumentsOf(place, word, sources));
}
