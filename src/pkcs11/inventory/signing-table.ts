import { sampleRequests, type SampleRequest } from '../../signing/sample-requests.ts';
import type { KeyKind } from '../../signing/public-key.ts';
import type { SignatureRequest } from '../../signing/request.ts';
import { remedy, signingWays, type SigningWay } from '../key/mechanisms.ts';

/** A way to sign, and for which hashes: none are named where all go this way. */
export interface WayOfHashes {
  /** All of it as one text: `EMSA-PSS + CKM_RSA_X_509`. */
  readonly way: string;
  /** What pksigd does itself before the token signs: `EMSA-PSS`. */
  readonly software?: string;
  readonly mechanism: string;
  readonly hashes: readonly string[];
}

/** How a key signs one kind of request. */
export interface SigningRow {
  readonly scheme: SignatureRequest['scheme'];
  /** In which TLS a daemon asks for it. */
  readonly use: readonly string[];
  /** The arguments of management-external-key with which a daemon asks for it: '' for none of its own. */
  readonly arguments: readonly SampleRequest['argument'][];
  /** The ways that are taken, and for which hashes, where the ways differ by hash; none if the token can't. */
  readonly ways: readonly WayOfHashes[];
  /** What to change in the .ovpn where the token can't. */
  readonly remedy?: string;
}

/** `TLS 1.2` says nothing beside `TLS 1.2 and 1.3`. */
function usesOf(samples: readonly SampleRequest[]): string[] {
  const all = samples.map(({ tls }) => tls);
  const widest = all.filter(
    (one) => !all.some((other) => other.length > one.length && one.every((v) => other.includes(v))),
  );
  return [...new Set(widest.map((versions) => `TLS ${versions.join(' and ')}`))];
}

function rowOf(samples: readonly SampleRequest[], kind: KeyKind, listed: ReadonlySet<number>): SigningRow[] {
  const [first] = samples;
  if (!first) return [];
  const ways = new Map<string, { way: SigningWay; hashes: string[] }>();
  let advice: string | undefined;
  for (const { request, hash = '' } of samples) {
    const way = signingWays(request, kind).find(({ mechanism }) => listed.has(mechanism.type));
    if (way) ways.set(way.name, { way, hashes: [...(ways.get(way.name)?.hashes ?? []), hash] });
    else advice ??= remedy(request, listed);
  }
  const served = [...ways.values()].flatMap(({ hashes }) => hashes).length;
  const differ = ways.size > 1 || (served > 0 && served < samples.length);
  return [
    {
      scheme: first.request.scheme,
      use: usesOf(samples),
      arguments: [first.argument],
      ways: [...ways.values()].map(({ way: { name, software, mechanismName }, hashes }) => ({
        way: name,
        ...(software !== undefined && { software }),
        mechanism: mechanismName,
        hashes: differ ? hashes : [],
      })),
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
    const name = `${sample.request.scheme} ${sample.argument}`;
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
