import type { CallOutcome, Span } from './calls.ts';
import type { Fault, FaultGroup } from './fault.ts';

/** By call, then by how long it lasted, then by what went wrong. */
export type CallTable = ReadonlyMap<string, Readonly<Record<Span, ReadonlyMap<string, CallOutcome>>>>;

/** Where what modules return begins; all before it is made of the list of faults. */
export const CALLS_BEGIN = '## What a module returns\n';

const HEAD = `# When things fail

What the built agent does when something fails beside it or in it: \`npm run test:faults\` lets each of these happen to real OpenVPN
daemons, with keys of a real token (SoftHSM behind a shim that fails as it is told), and \`scripts/update-reliability-doc\` writes this
page. One agent serves two daemons. One of them is hit by the fault; the other one, whose key is in a file, must be served while the
fault lasts, unless the fault is the whole agent's. No daemon may be left without an answer, and when the fault is over, both must be
served again within ten seconds, and \`pksigd audit verify\` must find nothing. A row that does not hold fails the run.

- *signed*: the server took the signature; *empty block*: the daemon was told at once, or at the deadline, that there is none, gave
  the handshake up, and tries again;
- *the log has*: codes of lines from \`warn\` on (\`pksigd explain CODE\`), or the text of a line that has no code.
`;

const cell = (text: string): string => text.replaceAll('|', '\\|');

function row({ name, daemon, other, log, cure }: Fault): string {
  const after = cure === undefined ? 'both signed' : `both signed, when ${cure}`;
  const said = log.map((word) => (word.startsWith('ERR_') ? `\`${word}\`` : word)).join('; ');
  return `| ${[name, daemon, other, after, said].map(cell).join(' | ')} |`;
}

/** The page up to {@link CALLS_BEGIN}. */
export function faultTables(groups: readonly FaultGroup[]): string {
  const tables = groups.map(({ title, faults }) =>
    [
      `## ${title}\n`,
      '| fault | the daemon that is hit | the other one | afterwards | the log has |',
      '|---|---|---|---|---|',
      ...faults.map(row),
      '',
    ].join('\n'),
  );
  return [HEAD, ...tables, ''].join('\n');
}

const CALLS_HEAD = `${CALLS_BEGIN}
Each return value, and a hang, a crash, an end and garbage, at each PKCS#11 call that signing takes: always, until both daemons had
their answer; and some of them once. What opens a token is called anew by ending the module host first; what closes one, by signatures
that fail. The commonest comes first, and stands for all that are not named; of logins and looks only some are tried. The other daemon
got its signature each time.

| call | it fails always: the daemon gets | it fails once: the daemon gets | afterwards |
|---|---|---|---|
`;

const said = (daemon: string): string => (daemon === 'signed' ? 'a signature' : `an empty block, \`${daemon}\``);

/** What most troubles came to first, then the others with their names. */
function grouped(outcomes: ReadonlyMap<string, CallOutcome>, text: (outcome: CallOutcome) => string): string {
  const groups = new Map<string, string[]>();
  for (const [trouble, outcome] of outcomes) {
    const what = text(outcome);
    groups.set(what, [...(groups.get(what) ?? []), trouble.replace(/^CKR_/, '')]);
  }
  const [first, ...others] = [...groups].sort(([, one], [, other]) => other.length - one.length);
  if (!first) return '';
  return [first[0], ...others.map(([what, names]) => `${what}: ${names.join(', ')}`)].join('; ');
}

/** The page from {@link CALLS_BEGIN} on. @param before the page as it was, for calls that were not tried */
export function callTable(table: CallTable, before: string): string {
  const rows = [...table].map(([call, { always, once }]) => {
    if (always.size === 0) return before.split('\n').find((line) => line.startsWith(`| \`${call}\` |`)) ?? '';
    const all = new Map([...once, ...always]);
    const texts = [
      grouped(always, ({ daemon }) => said(daemon)),
      grouped(once, ({ daemon }) => said(daemon)),
      grouped(all, ({ after }) => after),
    ];
    return `| \`${call}\` | ${texts.map(cell).join(' | ')} |`;
  });
  return `${CALLS_HEAD}${rows.join('\n')}\n`;
}
