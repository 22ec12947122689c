// From OpenVPN's own PKCS#11 to pksigd: what becomes of each directive, and what to change.
import { quoteWord, readWords } from '../management/index.ts';
import type { Directives } from './directives.ts';
import type { MigrationSteps, OldLine, Report, Verdict } from './verdict.ts';

/** A line of an .ovpn, its directive first; `number` from 1. */
interface PlacedLine {
  readonly path: string;
  readonly number: number;
  readonly words: readonly string[];
}

/** How an .ovpn has OpenVPN itself use a token. */
export interface Migration {
  /** `pkcs11-id`, if the .ovpn names it, and the URI that names the same. */
  readonly id: { readonly text: string; readonly uri: string } | undefined;
  /** The module of `pkcs11-providers` that has the token. */
  readonly module:
    | {
        readonly file: string;
        readonly isTypedAtToken: boolean;
        readonly privateMode: number;
        readonly isCertificatePrivate: boolean;
      }
    | undefined;
  /** `pkcs11-pin-cache`, in seconds. */
  readonly pinCache: number | undefined;
  /** `pkcs11-id-management`. */
  readonly asksForId: boolean;
  /** The lines about all that. */
  readonly lines: readonly PlacedLine[];
  /** The command that serves the tunnel from now on. */
  readonly command: readonly string[];
  /** It says where the PIN comes from. */
  readonly namesPinSource: boolean;
}

/** Mode 1 of `pkcs11-private-mode`; the others are C_SignRecover, C_Decrypt and C_Unwrap. */
const BY_C_SIGN = 1;

/** What has OpenVPN ask its management client for a password, beside a token. */
const WANT_PASSWORDS = ['auth-user-pass', 'http-proxy', 'socks-proxy', 'static-challenge'];
const ASK_PASSWORDS = 'management-query-passwords';

function privateModeVerdict(mode: number): Verdict {
  const what = 'pkcs11-private-mode';
  if ((mode & BY_C_SIGN) !== 0) return { outcome: 'ok', what, detail: 'goes: pksigd signs with C_Sign' };
  const detail = 'pksigd signs with C_Sign, and by no recovery, decryption or unwrapping';
  return { outcome: 'warn', what, detail, hint: 'this token may have been used so because it does not sign' };
}

/** `management-query-passwords` was for the PIN, where nothing else is asked for. */
function isInTheWay(name: string | undefined, directives: Directives): boolean {
  if (name === ASK_PASSWORDS) return !WANT_PASSWORDS.some((each) => directives.has(each));
  return name?.startsWith('pkcs11-') === true;
}

/** Says what becomes of each directive of OpenVPN's own PKCS#11. */
export function reportBuiltIn(
  { id, module, pinCache, asksForId }: Migration,
  directives: Directives,
  report: Report,
): void {
  const goes = (what: string, why: string): void => {
    report({ outcome: 'ok', what, detail: `goes: ${why}` });
  };
  if (id) report({ outcome: 'ok', what: 'pkcs11-id', detail: `${id.text} is ${id.uri}` });
  if (asksForId) goes('pkcs11-id-management', 'nobody is asked which key it is any more');
  if (module) report({ outcome: 'ok', what: 'pkcs11-providers', detail: `the URI names ${module.file}` });
  if (module?.isTypedAtToken === true)
    goes('pkcs11-protected-authentication', 'the token says itself whether its PIN is typed there');
  if (module && module.privateMode !== 0) report(privateModeVerdict(module.privateMode));
  if (module?.isCertificatePrivate === true)
    goes('pkcs11-cert-private', 'pksigd logs in before it looks for the certificate');
  if (pinCache !== undefined) {
    const detail = `it was ${pinCache} seconds, and pksigd keeps the PIN while it runs`;
    report({ outcome: 'warn', what: 'pkcs11-pin-cache', detail, hint: "'pksigd forget' has it let go of it" });
  }
  if (directives.has(ASK_PASSWORDS) && isInTheWay(ASK_PASSWORDS, directives))
    goes(ASK_PASSWORDS, "it was for the PIN, which is pksigd's now");
}

const textOf = ({ path, number, words }: PlacedLine): OldLine => ({
  path,
  number,
  text: words.map(quoteWord).join(' '),
});

/** @returns undefined for a line that says nothing */
function directiveIn(line: string): readonly [name: string, words: readonly string[]] | undefined {
  const words = readWords(line, 'utf8');
  if ('fault' in words) return undefined;
  const [name, ...rest] = words;
  return name === undefined ? undefined : [name, rest];
}

/** An .ovpn without what OpenVPN's own PKCS#11 takes, and with what pksigd takes. */
export interface Migrated {
  readonly directives: Directives;
  readonly steps: MigrationSteps;
}

/** @param lines for the .ovpn: those that it has already are not put in */
export function migrated(migration: Migration, before: Directives, lines: readonly string[]): Migrated {
  const directives = new Map([...before].filter(([name]) => !isInTheWay(name, before)));
  const add: string[] = [];
  for (const line of lines) {
    const directive = directiveIn(line);
    const [name = '', words = []] = directive ?? [];
    // as it is resolved, and so in other words perhaps
    if (name === 'management' && before.has(name)) continue;
    if (directive && directives.get(name)?.join('\n') === words.join('\n')) continue;
    if (directive) directives.set(name, words);
    add.push(line);
  }
  const remove = migration.lines.filter(({ words: [name] }) => isInTheWay(name, before)).map(textOf);
  return { directives, steps: { remove, add, command: migration.command } };
}

/** Reports what to change. */
export function reportMigration(steps: MigrationSteps, { namesPinSource }: Migration, report: Report): void {
  report({
    outcome: 'ok',
    what: 'migration',
    detail: "take out the lines with '-', put in those with '+', and have pksigd run beside OpenVPN",
    ...(!namesPinSource && { reason: 'pin-at-terminal' }),
    migration: steps,
  });
}
