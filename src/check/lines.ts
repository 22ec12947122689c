import type { KeyKind } from '../signing/public-key.ts';
import { keyKindName } from '../signing/public-key.ts';
import { quoteWord } from '../management/index.ts';
import { releaseName, type Advice, type Release } from './advice.ts';
import { isOpen, MAY_DO_MORE, type Advices } from './advices.ts';
import type { Report } from './verdict.ts';

/** The parts of the lines beside the key's arguments. */
export interface LineOptions {
  /** ADDRESS PORT|unix [PASSWORD-FILE]; undefined if none were given. */
  readonly management: readonly string[] | undefined;
  /** `--management-client`. */
  readonly listen: boolean;
  /** The line for the certificate. */
  readonly certificate: string;
  /** The key has signed; else its token's list of mechanisms was believed. */
  readonly wasTried: boolean;
}

const EXAMPLE_MANAGEMENT = ['/run/openvpn/pksigd.sock', 'unix'];

/** The lines for the .ovpn. */
export function linesOf(advice: Advice, { management, listen, certificate }: LineOptions): string[] {
  const line = (...words: readonly string[]): string => words.map(quoteWord).join(' ');
  return [
    line('management', ...(management ?? EXAMPLE_MANAGEMENT)),
    ...(listen ? ['management-client'] : []),
    'management-hold',
    line('management-external-key', ...advice.keyArguments),
    certificate,
    ...(advice.tlsVersionMax === undefined ? [] : [`tls-version-max ${advice.tlsVersionMax}`]),
  ];
}

/**
 * Reports that no lines can help, if that is so: as a fault only if nothing is left to try.
 * @param target the kind of key, and the OpenVPN
 * @returns whether it is so
 */
export function reportImpossible({ byList, atBest }: Advices, target: string, report: Report): boolean {
  if (byList.impossible === undefined) return false;
  const verdict = { what: 'lines', detail: `none for ${target}: ${byList.impossible}` };
  if (atBest.impossible === undefined) report({ outcome: 'skip', ...verdict, hint: MAY_DO_MORE });
  // another key, or another OpenVPN: trying again changes nothing
  else report({ outcome: 'fail', ...verdict, code: 'ERR_KEY_UNSUPPORTED' });
  return true;
}

/** The key and the OpenVPN that the lines are for. */
export interface LinesFor {
  readonly advices: Advices;
  readonly kind: KeyKind;
  readonly release: Release;
  /** Where the release was learnt. */
  readonly source: string;
}

/** Reports the lines to write for a key. */
export function reportLines({ advices, kind, release, source }: LinesFor, options: LineOptions, report: Report): void {
  const target = `${keyKindName(kind)} and ${releaseName(release)} (${source})`;
  if (reportImpossible(advices, target, report)) return;
  const { note } = advices.byList;
  const doubt = options.wasTried ? undefined : isOpen(advices) ? MAY_DO_MORE : 'if the token can do what it lists';
  const hint = [note, note !== undefined && !isOpen(advices) ? undefined : doubt].filter((text) => text !== undefined);
  report({
    outcome: note === undefined ? 'ok' : 'warn',
    what: 'lines',
    detail: `for ${target}`,
    ...(hint.length > 0 && { hint: hint.join('; ') }),
    lines: linesOf(advices.byList, options),
  });
}
