import type { KeyKind } from '../signing/public-key.ts';
import { keyKindName } from '../signing/public-key.ts';
import { quoteWord } from '../management/index.ts';
import { releaseName, type Advice, type Release } from './advice.ts';
import type { Report, Verdict } from './verdict.ts';

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

/** @param target the kind of key, and the OpenVPN */
export function impossible(target: string, why: string): Verdict {
  return { outcome: 'fail', what: 'lines', detail: `none for ${target}: ${why}`, code: 'ERR_SCHEME_UNSUPPORTED' };
}

/** The key and the OpenVPN that the lines are for. */
export interface LinesFor {
  readonly advice: Advice;
  readonly kind: KeyKind;
  readonly release: Release;
  /** Where the release was learnt. */
  readonly source: string;
}

/** Reports the lines to write for a key. */
export function reportLines({ advice, kind, release, source }: LinesFor, options: LineOptions, report: Report): void {
  const target = `${keyKindName(kind)} and ${releaseName(release)} (${source})`;
  if (advice.impossible !== undefined) {
    report(impossible(target, advice.impossible));
    return;
  }
  const note = advice.note ?? (options.wasTried ? undefined : 'if the token can do what it lists');
  report({
    outcome: advice.note === undefined ? 'ok' : 'warn',
    what: 'lines',
    detail: `for ${target}`,
    ...(note !== undefined && { hint: note }),
    lines: linesOf(advice, options),
  });
}
