import type { DataKind } from '../signing/algorithm-text.ts';
import type { KeyKind } from '../signing/public-key.ts';
import type { CanSign } from './can-sign.ts';

/** How OpenVPN is to be told to use a key. */
export interface Advice {
  /** The arguments of management-external-key, in the order to write them. */
  readonly keyArguments: readonly string[];
  /** `tls-version-max`, where TLS 1.3 would ask for what the key can't do. */
  readonly tlsVersionMax?: '1.2';
  /** Why, if it is not that. */
  readonly tlsVersionReason?: string;
  /** A drawback to know of. */
  readonly note?: string;
  /** Why no lines can help. */
  readonly impossible?: string;
}

/** 2.6 for `2.6.14`, as numbers that can be compared. */
export interface Release {
  readonly major: number;
  readonly minor: number;
}

/** @returns undefined for text that is not a release, such as `git:master/…` */
export function parseRelease(text: string | undefined): Release | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text ?? '') ?? [];
  return major === undefined || minor === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}

export function isBefore(release: Release, major: number, minor: number): boolean {
  return release.major < major || (release.major === major && release.minor < minor);
}

const PKCS1 = 'RSA_PKCS1_PADDING';
const PSS = 'RSA_PKCS1_PSS_PADDING';
const RAW = 'RSA_NO_PADDING';

const WHOLE_MESSAGES = "'digest' makes TLS 1.2 send whole transcripts, which OpenVPN cuts at 10 KB: prefer TLS 1.3";
const CUT_MESSAGES =
  'TLS 1.2 sends whole transcripts, which OpenVPN cuts at 10 KB: keep certificate chains and lists of CAs short';
const NO_SERVER = "TLS 1.3 does not show the server, of which the key's policy requires something";
const ONLY_PKCS1 = 'only servers that take PKCS #1 v1.5 can be reached: those that offer RSA-PSS refuse such a client';

/** What the policy of a key wants to see of each handshake. */
export type Sight = 'nothing' | 'client' | 'server';

/** Does OpenVPN send hashes for such a key, unless it is told otherwise? */
export function isHashed(kind: KeyKind): boolean {
  return kind.type === 'RSA' || kind.type === 'EC';
}

/** The advice, so that the key's policy sees what it wants to see. */
export function withSight(advice: Advice, sight: Sight, kind: KeyKind, release: Release): Advice {
  if (sight === 'nothing' || advice.impossible !== undefined) return advice;
  const name = `OpenVPN ${release.major}.${release.minor}`;
  if (isHashed(kind) && isBefore(release, 2, 6))
    return impossible(`${name} sends hashes only, of which the key's policy sees nothing: use OpenVPN 2.6`);
  const keyArguments =
    isHashed(kind) && !advice.keyArguments.includes('digest')
      ? [...advice.keyArguments, 'digest']
      : advice.keyArguments;
  const note = advice.note ?? (isHashed(kind) || sight === 'server' ? WHOLE_MESSAGES : undefined);
  return {
    ...advice,
    keyArguments,
    ...(note !== undefined && { note: sight === 'server' ? CUT_MESSAGES : note }),
    ...(sight === 'server' && { tlsVersionMax: '1.2', tlsVersionReason: NO_SERVER }),
  };
}

function impossible(why: string): Advice {
  return { keyArguments: [], impossible: why };
}

/** 2.6 and later: `nopadding` is for builds with OpenSSL 1.1.1, `pss` for those with OpenSSL 3. */
function rsaArguments(canSign: CanSign): Advice {
  const of = (dataKind: DataKind): Advice => {
    const pss = canSign(PSS, dataKind);
    const pkcs1 = canSign(PKCS1, dataKind);
    const keyArguments = [
      ...(canSign(RAW, 'digest') ? ['nopadding'] : []),
      ...(pkcs1 ? ['pkcs1'] : []),
      ...(pss ? ['pss'] : []),
      ...(dataKind === 'digest' ? [] : ['digest']),
    ];
    if (!pss) return { keyArguments, tlsVersionMax: '1.2', note: ONLY_PKCS1 };
    return { keyArguments, ...(dataKind === 'message' && { note: WHOLE_MESSAGES }) };
  };
  for (const scheme of [PSS, PKCS1] as const) {
    if (canSign(scheme, 'digest')) return of('digest');
    if (canSign(scheme, 'message')) return of('message');
  }
  return impossible('the key signs nothing that OpenVPN can ask of an RSA key');
}

/** 2.5: what it can't pad itself it has no word for; PSS comes as a padded block. */
function rsaArguments25(canSign: CanSign): Advice {
  const pkcs1 = canSign(PKCS1, 'digest');
  if (canSign(RAW, 'digest')) return { keyArguments: ['nopadding', ...(pkcs1 ? ['pkcs1'] : [])] };
  if (pkcs1) return { keyArguments: ['pkcs1'], tlsVersionMax: '1.2', note: ONLY_PKCS1 };
  return impossible('OpenVPN 2.5 asks for padded blocks or PKCS #1 v1.5, and the key signs neither: use OpenVPN 2.6');
}

/**
 * The arguments of management-external-key for a key and a daemon (README.md, docs/SIGNING.md: what each release knows).
 */
export function advise(kind: KeyKind, release: Release, canSign: CanSign): Advice {
  const name = `OpenVPN ${release.major}.${release.minor}`;
  if (kind.type === 'RSA') {
    if (!isBefore(release, 2, 6)) return rsaArguments(canSign);
    if (!isBefore(release, 2, 5)) return rsaArguments25(canSign);
    return canSign(PKCS1, 'digest')
      ? { keyArguments: [], note: `${name} knows no RSA-PSS: ${ONLY_PKCS1}` }
      : impossible(`${name} asks for PKCS #1 v1.5 only, which the key does not sign: use OpenVPN 2.6`);
  }
  if (kind.type === 'EC') {
    if (isBefore(release, 2, 5)) return impossible(`${name} takes RSA keys only from outside: use OpenVPN 2.6`);
    // builds with OpenSSL 1.1.1 insist on the word for TLS 1.3, whatever the key
    if (canSign('ECDSA', 'digest')) return { keyArguments: ['nopadding'] };
    if (!canSign('ECDSA', 'message')) return impossible('the key signs nothing that OpenVPN can ask of an EC key');
    return isBefore(release, 2, 6)
      ? impossible('OpenVPN 2.5 sends digests only, and the token signs messages only: use OpenVPN 2.6')
      : { keyArguments: ['nopadding', 'digest'], note: WHOLE_MESSAGES };
  }
  if (isBefore(release, 2, 6)) return impossible(`${name} takes no ${kind.type} keys from outside: use OpenVPN 2.6`);
  return canSign(kind.type, 'message') ? { keyArguments: [] } : impossible(`the token does no ${kind.type} signatures`);
}
