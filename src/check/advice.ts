import type { DataKind } from '../signing/algorithm-text.ts';
import type { CurveName, KeyKind } from '../signing/public-key.ts';
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

/** 2.6 for `2.6.14`, as numbers that can be compared; and what it was built with, as far as that is known. */
export interface Release {
  readonly major: number;
  readonly minor: number;
  readonly library?: 'OpenSSL' | 'mbed TLS';
  /** The first that does TLS 1.3 is 1.1.1, the first that has providers (OpenVPN asks for PSS by its name then) 3. */
  readonly openssl?: 'before 1.1.1' | '1.1.1' | '3';
}

/**
 * @param text of a version's title (`OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] …`), with what stands below it where
 *   that is known (`library versions: OpenSSL 3.0.19 …`); or `2.6.14` alone
 * @returns undefined for what is not a release, such as `git:master/…`
 */
export function parseRelease(text: string | undefined): Release | undefined {
  const [, major, minor] = /^(?:OpenVPN )?(\d+)\.(\d+)/.exec(text ?? '') ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const [, library] = /\[SSL \((OpenSSL|mbed TLS)\)\]/.exec(text ?? '') ?? [];
  const [, one, rest] = /^library versions: OpenSSL (\d+)\.(\d+\.\d+)/m.exec(text ?? '') ?? [];
  const openssl = one === undefined ? undefined : Number(one) >= 3 ? '3' : rest === '1.1' ? '1.1.1' : 'before 1.1.1';
  return {
    major: Number(major),
    minor: Number(minor),
    ...(library !== undefined && { library: library as 'OpenSSL' | 'mbed TLS' }),
    ...(openssl !== undefined && { openssl }),
  };
}

/** `OpenVPN 2.6`, with its library where that is what matters. */
export function releaseName({ major, minor, library }: Release): string {
  return `OpenVPN ${major}.${minor}${library === 'mbed TLS' ? ' with mbed TLS' : ''}`;
}

/** No server is asked for PSS, nor for TLS 1.3: 2.3 can't be built with a newer OpenSSL. */
function knowsNoPss(release: Release): boolean {
  return isBefore(release, 2, 4) || release.openssl === 'before 1.1.1';
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
  const name = releaseName(release);
  if (isHashed(kind) && (isBefore(release, 2, 6) || release.library === 'mbed TLS'))
    return impossible(
      `${name} sends hashes only, of which the key's policy sees nothing: use OpenVPN 2.6 with OpenSSL`,
    );
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

/** 2.5, and 2.6 with OpenSSL 1.1.1: what it can't pad itself it has no word for; PSS comes as a padded block. It insists on `nopadding`, needed or not. */
function rsaArguments25(canSign: CanSign, release: Release): Advice {
  const pkcs1 = canSign(PKCS1, 'digest');
  if (canSign(RAW, 'digest')) return { keyArguments: ['nopadding', ...(pkcs1 ? ['pkcs1'] : [])] };
  const keyArguments = ['nopadding', 'pkcs1'];
  if (pkcs1) return knowsNoPss(release) ? { keyArguments } : { keyArguments, tlsVersionMax: '1.2', note: ONLY_PKCS1 };
  const name = releaseName(release);
  return impossible(
    `${name} asks for padded blocks or PKCS #1 v1.5, and the key signs neither: use OpenVPN 2.6 with OpenSSL 3`,
  );
}

/** TLS 1.3 has no certificates on secp256k1, and OpenSSL those on Brainpool's curves from 3.2 on only. */
function tlsOfCurve(curve: CurveName): Pick<Advice, 'tlsVersionMax' | 'tlsVersionReason' | 'note'> {
  return {
    tlsVersionMax: '1.2',
    tlsVersionReason: `TLS 1.3 has no ${curve}, or OpenSSL before 3.2 has not`,
    note: `client and server need 'tls-groups' with ${curve} in it`,
  };
}

/**
 * The arguments of management-external-key for a key and a daemon (pksigd-run(1), docs/SIGNING.md: what each release knows).
 */
export function advise(kind: KeyKind, release: Release, canSign: CanSign): Advice {
  const name = releaseName(release);
  if (kind.type === 'RSA') {
    // it makes the DigestInfo itself, whatever words there are
    const isMbed = release.library === 'mbed TLS';
    if (!isMbed && !isBefore(release, 2, 6) && release.openssl !== '1.1.1') return rsaArguments(canSign);
    if (!isMbed && !isBefore(release, 2, 5)) return rsaArguments25(canSign, release);
    if (!canSign(PKCS1, 'digest'))
      return impossible(
        `${name} asks for PKCS #1 v1.5 only, which the key does not sign: use OpenVPN 2.6 with OpenSSL`,
      );
    if (isMbed || knowsNoPss(release)) return { keyArguments: [] };
    return { keyArguments: [], note: `${name} gives up where a server offers RSA-PSS, which it does not know` };
  }
  if (release.library === 'mbed TLS')
    return impossible(`${name} takes RSA keys only from outside: use a build with OpenSSL`);
  if (kind.type === 'EC') {
    if (isBefore(release, 2, 5)) return impossible(`${name} takes RSA keys only from outside: use OpenVPN 2.6`);
    // builds with OpenSSL 1.1.1 insist on the word for TLS 1.3, whatever the key
    const tls = kind.curve.startsWith('P-') ? {} : tlsOfCurve(kind.curve);
    if (canSign('ECDSA', 'digest')) return { keyArguments: ['nopadding'], ...tls };
    if (!canSign('ECDSA', 'message')) return impossible('the key signs nothing that OpenVPN can ask of an EC key');
    return isBefore(release, 2, 6)
      ? impossible('OpenVPN 2.5 sends digests only, and the token signs messages only: use OpenVPN 2.6')
      : { keyArguments: ['nopadding', 'digest'], ...tls, note: WHOLE_MESSAGES };
  }
  if (isBefore(release, 2, 6)) return impossible(`${name} takes no ${kind.type} keys from outside: use OpenVPN 2.6`);
  return canSign(kind.type, 'message') ? { keyArguments: [] } : impossible(`the token does no ${kind.type} signatures`);
}
