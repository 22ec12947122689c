import { sampleRequests, type SampleRequest } from '../../signing/sample-requests.ts';
import type { KeyKind } from '../../signing/public-key.ts';
import type { SignatureRequest } from '../../signing/request.ts';
import { remedy, signingWays } from '../key/mechanisms.ts';

/** How a key signs one kind of request. */
export interface SigningRow {
  readonly scheme: SignatureRequest['scheme'];
  /** In which TLS a daemon asks for it. */
  readonly use: readonly string[];
  /** The arguments of management-external-key with which a daemon asks for it: '' for none of its own. */
  readonly arguments: readonly ('' | 'digest' | 'nopadding')[];
  /** The ways that are taken, and for which hashes, where the ways differ by hash; none if the token can't. */
  readonly ways: readonly { readonly way: string; readonly hashes: readonly string[] }[];
  /** What to change in the .ovpn where the token can't. */
  readonly remedy?: string;
}

const hashOf = ({ name }: SampleRequest): string => /hashalg=([^,]+)/.exec(name)?.[1] ?? '';
const argumentOf = ({ use }: SampleRequest): '' | 'digest' | 'nopadding' =>
  use.endsWith("'digest'") ? 'digest' : use.endsWith("'nopadding'") ? 'nopadding' : '';

/** `TLS 1.2` says nothing beside `TLS 1.2 and 1.3`. */
function usesOf(samples: readonly SampleRequest[]): string[] {
  const uses = new Set(samples.map(({ use }) => use.replace(/,.*/, '')));
  return [...uses].filter((use) => ![...uses].some((other) => other !== use && other.startsWith(use)));
}

function rowOf(samples: readonly SampleRequest[], kind: KeyKind, listed: ReadonlySet<number>): SigningRow[] {
  const [first] = samples;
  if (!first) return [];
  const ways = new Map<string, string[]>();
  let advice: string | undefined;
  for (const sample of samples) {
    const way = signingWays(sample.request, kind).find(({ mechanism }) => listed.has(mechanism.type));
    if (way) ways.set(way.name, [...(ways.get(way.name) ?? []), hashOf(sample)]);
    else advice ??= remedy(sample.request, listed);
  }
  const served = [...ways.values()].flat().length;
  const differ = ways.size > 1 || (served > 0 && served < samples.length);
  return [
    {
      scheme: first.request.scheme,
      use: usesOf(samples),
      arguments: [argumentOf(first)],
      ways: [...ways].map(([way, hashes]) => ({ way, hashes: differ ? hashes : [] })),
      ...(advice !== undefined && { remedy: advice }),
    },
  ];
}

const sameWay = (one: SigningRow, other: SigningRow): boolean =>
  one.scheme === other.scheme &&
  one.remedy === other.remedy &&
  JSON.stringify(one.ways) === JSON.stringify(other.ways) &&
  !one.arguments.includes('nopadding');

/**
 * What a key can sign of all that a daemon may ask for, and how.
 * @param listed the CKM_* that its token lists: what it says of itself, not what was tried
 */
export function signingTable(kind: KeyKind, listed: ReadonlySet<number>): SigningRow[] {
  const groups = new Map<string, SampleRequest[]>();
  for (const sample of sampleRequests(kind)) {
    const name = `${sample.request.scheme} ${argumentOf(sample)}`;
    groups.set(name, [...(groups.get(name) ?? []), sample]);
  }
  const rows: SigningRow[] = [];
  for (const row of [...groups.values()].flatMap((samples) => rowOf(samples, kind, listed))) {
    const same = rows.findIndex((other) => sameWay(row, other));
    const other = rows[same];
    if (!other) rows.push(row);
    else {
      const use = [...new Set([...other.use, ...row.use])];
      rows[same] = { ...other, use, arguments: [...other.arguments, ...row.arguments] };
    }
  }
  return rows;
}
