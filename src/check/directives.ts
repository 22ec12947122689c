import { AgentError } from '../errors.ts';
import { isBefore, releaseName, type Advice, type Release } from './advice.ts';
import { checkBoth, type Advices } from './advices.ts';
import { failure, type Report } from './verdict.ts';

/** The directives of an .ovpn by name, each with the words behind its last occurrence. */
export type Directives = ReadonlyMap<string, readonly string[]>;

/** Directives that OpenVPN refuses beside management-external-key. */
const RIVALS_OF_KEY = ['key', 'pkcs12', 'pkcs11-id', 'pkcs11-id-management', 'pkcs11-providers', 'cryptoapicert'];

const WHAT = 'config';
const SEE_CHECK = "it is among the lines that 'pksigd check' prints at its end";

/** Why connecting to the daemon for a moment would do more than that; undefined if it would not. */
export function disturbance(directives: Directives): string | undefined {
  const [name] = ['management-signal', 'management-forget-disconnect'].filter((each) => directives.has(each));
  return name === undefined ? undefined : `${name} would have the daemon act when we leave`;
}

/** One fault; `code` ERR_CONFIG. */
function refuse(report: Report, detail: string, hint: string): void {
  report(failure(WHAT, new AgentError('ERR_CONFIG', detail, { hint })));
}

/** The words that a release does not end at; undefined: any, since it looks at none. */
function knownArguments(release: Release): readonly string[] | undefined {
  if (isBefore(release, 2, 4)) return undefined;
  if (isBefore(release, 2, 5)) return [];
  return ['nopadding', 'pkcs1', ...(isBefore(release, 2, 6) ? [] : ['pss', 'digest'])];
}

/** Without the word such a build does not start, or asks for nothing: all before 2.6, and those with OpenSSL 1.1.1. */
const needsNopadding = (release: Release): boolean => isBefore(release, 2, 6) || release.openssl === '1.1.1';

function checkKeyArguments(given: readonly string[], advice: Advice, release: Release, report: Report): void {
  const { keyArguments: advised } = advice;
  const known = knownArguments(release);
  const line = ['management-external-key', ...advised].join(' ');
  const unknown = known ? given.filter((word) => !known.includes(word)) : [];
  if (unknown.length > 0) {
    const detail = `${releaseName(release)} refuses 'management-external-key ${unknown.join(' ')}'`;
    refuse(report, detail, `write '${line}'`);
    return;
  }
  const lacking = advised.filter((word) => !given.includes(word));
  const missing = lacking.filter((word) => word !== 'nopadding' || needsNopadding(release));
  const needed = missing.filter((word) => word !== 'pkcs1');
  if (needed.length > 0) {
    refuse(report, `management-external-key lacks ${lacking.join(' ')}: handshakes fail`, `write '${line}'`);
    return;
  }
  // other words change nothing, or are good for policies; this one has it ask for what the key can't sign
  const isAsked = given.includes('pss') && advised.includes('pkcs1') && release.openssl !== '1.1.1';
  const superfluous = isAsked && !advised.includes('pss') ? ['pss'] : [];
  if (missing.length > 0 || superfluous.length > 0) {
    const detail = `'management-external-key ${given.join(' ')}' is not what this key would best have`;
    report({ outcome: 'warn', what: WHAT, detail, hint: `write '${line}'` });
    return;
  }
  report({ outcome: 'ok', what: WHAT, detail: ['management-external-key', ...given].join(' ') });
}

function checkRivals(directives: Directives, release: Release, report: Report): void {
  for (const rival of RIVALS_OF_KEY.filter((name) => directives.has(name))) {
    refuse(report, `${rival} contradicts management-external-key`, `remove ${rival}: the key is pksigd's`);
  }
  const certificates = ['cert', 'management-external-cert'].filter((name) => directives.has(name));
  if (isBefore(release, 2, 4) && directives.has('management-external-cert')) {
    refuse(report, `${releaseName(release)} has no management-external-cert`, "write 'cert FILE' in its place");
  }
  if (certificates.length === 2) {
    refuse(report, 'cert contradicts management-external-cert', 'remove one of them');
  } else if (certificates.length === 0) {
    refuse(report, 'no certificate: neither cert nor management-external-cert', SEE_CHECK);
  }
}

function checkKeyLine(directives: Directives, advice: Advice, release: Release, report: Report): void {
  const keyArguments = directives.get('management-external-key');
  if (keyArguments && advice.impossible === undefined) checkKeyArguments(keyArguments, advice, release, report);
}

function checkTlsVersion(directives: Directives, { tlsVersionMax, tlsVersionReason }: Advice, report: Report): void {
  if (tlsVersionMax === undefined || directives.get('tls-version-max')?.[0] === tlsVersionMax) return;
  refuse(
    report,
    tlsVersionReason ?? 'TLS 1.3 asks for what the key cannot sign',
    `add 'tls-version-max ${tlsVersionMax}'`,
  );
}

/** Does the .ovpn have OpenVPN ask for what this key can sign? */
export function checkKeyDirectives(directives: Directives, advices: Advices, release: Release, report: Report): void {
  checkKeyLines(directives, advices, release, report);
  checkTlsVersions(directives, advices, report);
}

function checkKeyLines(directives: Directives, advices: Advices, release: Release, report: Report): void {
  checkBoth(
    advices,
    (advice, tell) => {
      checkKeyLine(directives, advice, release, tell);
    },
    report,
  );
}

function checkTlsVersions(directives: Directives, advices: Advices, report: Report): void {
  checkBoth(
    advices,
    (advice, tell) => {
      checkTlsVersion(directives, advice, tell);
    },
    report,
  );
}

/**
 * Does the .ovpn say what this key needs, and nothing that contradicts?
 * @param advices undefined where nothing is known of the key: {@link checkKeyDirectives} says the rest
 * @param around who runs this, for management-client-user; whether passwords are given to the daemon
 */
export function checkDirectives(
  directives: Directives,
  advices: Advices | undefined,
  release: Release,
  { user, answersPasswords }: { readonly user: string; readonly answersPasswords: boolean },
  report: Report,
): void {
  if (!directives.has('management')) refuse(report, 'no management directive', SEE_CHECK);
  if (!directives.has('management-hold')) {
    const hint = 'add it, so that the daemon waits for pksigd';
    report({ outcome: 'warn', what: WHAT, detail: 'no management-hold', hint });
  }
  if (!directives.has('management-external-key')) refuse(report, 'no management-external-key', SEE_CHECK);
  if (advices) checkKeyLines(directives, advices, release, report);
  checkRivals(directives, release, report);
  if (advices) checkTlsVersions(directives, advices, report);
  const only = directives.get('management-client-user')?.[0];
  if (only !== undefined && only !== user) {
    const detail = `only user ${only} may connect (management-client-user), and this is ${user}`;
    report({ outcome: 'warn', what: WHAT, detail, hint: `run pksigd as ${only}` });
  }
  const group = directives.get('management-client-group')?.[0];
  if (group !== undefined) {
    const detail = `only group ${group} may connect (management-client-group)`;
    report({ outcome: 'ok', what: WHAT, detail });
  }
  checkPasswords(directives, answersPasswords, report);
}

function checkPasswords(directives: Directives, areGiven: boolean, report: Report): void {
  const areAsked = directives.has('management-query-passwords');
  if (areAsked && !areGiven) {
    const hint = 'say where they come from, or remove it, unless another management client gives them';
    report({ outcome: 'warn', what: WHAT, detail: 'management-query-passwords: pksigd has no passwords', hint });
  } else if (areGiven && !areAsked) {
    const hint = 'add it, so that the daemon asks pksigd for its passwords';
    report({ outcome: 'warn', what: WHAT, detail: 'no management-query-passwords', hint });
  }
}
