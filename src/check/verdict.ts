import { AgentError, errorText, type AgentErrorCode, type Explain, type Explained } from '../errors.ts';
import { quoteForShell } from '../shell-command.ts';
import { printable } from '../telemetry/printable.ts';

/** `warn` works and may not stay so; `skip` could not be tried, or was not to be. */
export type Outcome = 'ok' | 'warn' | 'fail' | 'skip';

/** A line of an .ovpn, and where it stands: `number` from 1. */
export interface OldLine {
  readonly path: string;
  readonly number: number;
  readonly text: string;
}

/** What to change so that pksigd signs where OpenVPN did so itself. */
export interface MigrationSteps {
  /** The lines to take out of the .ovpn, and of those that it includes. */
  readonly remove: readonly OldLine[];
  /** The lines to put in. */
  readonly add: readonly string[];
  /** The command's words. */
  readonly command: readonly string[];
}

/** The finding of one check: one line. */
export interface Verdict extends Explained {
  readonly outcome: Outcome;
  /** The thing that was looked at: `module`, `token`, `PIN`, `key`… */
  readonly what: string;
  readonly detail: string;
  /** The key or tunnel of the settings that it is about, where there may be several. */
  readonly of?: { readonly key: string } | { readonly tunnel: string };
  /** Of a `fail`. */
  readonly code?: AgentErrorCode;
  /** The lines for the .ovpn, of the verdict that has them. */
  readonly lines?: readonly string[];
  /** Of the verdict that says how to change an .ovpn. */
  readonly migration?: MigrationSteps;
}

/** Takes the verdicts as they come: a slow token's first ones needn't wait for its last. */
export type Report = (verdict: Verdict) => void;

/** The verdict on something that threw. */
export function failure(what: string, error: unknown): Verdict {
  if (!(error instanceof AgentError)) return { outcome: 'fail', what, detail: errorText(error) };
  const { message, code, hint, reason, user } = error;
  return { outcome: 'fail', what, detail: message, hint, code, reason, user };
}

/** A verdict whose hint is the program's own, where it has one for the reason. */
export function explained({ reason, user, ...verdict }: Verdict, explain: Explain): Verdict {
  const hint = explain({ reason, user });
  return hint === undefined ? verdict : { ...verdict, hint };
}

function stepsText({ remove, add, command }: MigrationSteps): string[] {
  return [
    ...remove.map(({ path, number, text }) => `- ${path}:${number}: ${text}`),
    ...add.map((line) => `+ ${line}`),
    `$ ${command.map(quoteForShell).join(' ')}`,
  ];
}

/** A verdict as one line, and behind it the lines for the .ovpn, or what to take out (`-`), put in (`+`) and run (`$`). */
export function formatVerdict({ outcome, of, what, detail, hint, lines = [], migration }: Verdict): string[] {
  const [owner] = Object.entries(of ?? {});
  const whose = owner === undefined ? '' : `${owner.join(' ')}: `;
  const text = `${outcome.padEnd(4)}  ${whose}${what}: ${detail}${hint === undefined ? '' : `: ${hint}`}`;
  return [text, ...lines, ...(migration ? stepsText(migration) : [])].map(printable);
}
