// Checks: whether a set-up works, said as verdicts, and the lines for the .ovpn. For `pksigd check`; start.ts for `run`.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { quoteWord } from '../management/index.ts';
import { backendOf, openingOf } from '../keys/backends.ts';
import type { KeyOptions } from '../keys/key-options.ts';
import { keyKind, type KeyKind } from '../signing/public-key.ts';
import { isBefore, parseRelease, type Release, type Sight } from './advice.ts';
import { advicesFor } from './advices.ts';
import { commonAbilities, type Abilities } from './can-sign.ts';
import { checkCertificate, checkHint, reportNoCertificate } from './certificate.ts';
import { AFTER_LOGIN, type CheckedKey, type KeyCheck } from './checked-key.ts';
import { reportContext } from './context.ts';
import { checkDirectives, type Directives } from './directives.ts';
import { checkKeys, readCertificate } from './keys.ts';
import { linesOf, reportLines } from './lines.ts';
import { migrated, reportBuiltIn, reportMigration, type Migration } from './migration.ts';
import { checkManagement, type ManagementCheck } from './daemon.ts';
import { checkSignatures } from './signatures.ts';
import { failure, type Report } from './verdict.ts';

/** A key to check. */
export interface KeySetup extends KeyOptions {
  /** Gets what was opened, to close it later: until then its token stays logged in for other keys. */
  readonly keep?: ((opened: AsyncDisposable) => void) | undefined;
  /** Log in to tokens that want it: a wrong PIN uses one of its tries. */
  readonly login: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A daemon to check. */
export interface TunnelSetup extends Pick<KeySetup, 'certificate' | 'login' | 'now'> {
  readonly management: ManagementCheck | undefined;
  /** The management directive's words, for the lines. */
  readonly managementWords: readonly string[] | undefined;
  /** Of the .ovpn, if there is one. */
  readonly directives: Directives | undefined;
  /** What the key's policy wants to see. */
  readonly sight: Sight;
  /** Reads the certificate that the .ovpn names or has in it. */
  readonly configCertificate: (() => Promise<readonly X509Certificate[]>) | undefined;
  /** What the openvpn of this machine says of its version, where the daemon itself does not tell. */
  readonly installedRelease: () => Promise<string | undefined>;
  readonly user: string;
  /** Passwords are given to the daemon that asks for them. */
  readonly answersPasswords: boolean;
  /** The .ovpn has OpenVPN itself use a token: it is to be changed. */
  readonly migration?: Migration | undefined;
}

/** A set-up to check: what `run` would be given. */
export type SetupOptions = KeySetup & TunnelSetup;

/** The release to write lines for where nothing tells one. */
export const USUAL_RELEASE: Release = { major: 2, minor: 6 };

/** A certificate that the daemon may present, and where it comes from. */
interface NamedCertificate {
  readonly what: string;
  readonly certificate: X509Certificate;
}

/** The .ovpn's certificate, which OpenVPN presents by itself, and the one that was given for the key. */
interface NamedCertificates {
  readonly ofConfig: NamedCertificate | undefined;
  readonly given: NamedCertificate | undefined;
}

async function namedCertificates(
  { certificate: given, configCertificate }: Pick<SetupOptions, 'certificate'> & Partial<SetupOptions>,
  check: KeyCheck,
): Promise<NamedCertificates> {
  const read = async (
    what: string,
    work: () => Promise<X509Certificate | undefined>,
  ): Promise<NamedCertificate | undefined> => {
    try {
      const certificate = await work();
      if (certificate) return { what, certificate };
      check.report({ outcome: 'skip', what, detail: AFTER_LOGIN, reason: 'no-login' });
    } catch (error) {
      check.report(failure(what, error));
    }
    return undefined;
  };
  return {
    ofConfig: configCertificate && (await read('cert of the .ovpn', async () => (await configCertificate())[0])),
    given: given === undefined ? undefined : await read('certificate', () => readCertificate(given, check)),
  };
}

/** The checks' findings on the key and its certificate. */
export interface KeyFindings {
  /** Of the first copy that tells one. */
  readonly publicKey: KeyObject | undefined;
  /** The one to present. */
  readonly certificate: X509Certificate | undefined;
  /** What all copies sign, since any of them may be the one that does; undefined if that is not known. */
  readonly abilities: Abilities | undefined;
  /** All copies have signed. */
  readonly wasTried: boolean;
  /** A copy was opened. */
  readonly hasSigner: boolean;
  /** The PIN of a copy's token is what is wrong. */
  readonly isPinRefused: boolean;
  /** A copy was found at all. */
  readonly isThere: boolean;
}

/** Checks a key and the certificate that was given for it. @param configCertificate that of an .ovpn */
export async function checkKey(
  options: KeySetup & Partial<Pick<SetupOptions, 'configCertificate'>>,
  report: Report,
  onNoCertificate: (findings: Pick<KeyFindings, 'hasSigner' | 'isPinRefused'>) => void = () => undefined,
): Promise<KeyFindings> {
  const { login, now } = options;
  const check = { opening: openingOf(options), login, report };
  const { ofConfig, given } = await namedCertificates(options, check);
  // as run does: the .ovpn's does not stand in for what a token does not tell
  const words = options.certificate === undefined ? check.opening.words : undefined;
  const opening = { ...check.opening, certificate: given?.certificate, words };
  const keys = await checkKeys(options.keys, { ...check, opening });
  const named = [ofConfig, given].filter((one) => one !== undefined);
  const [withKey] = keys.flatMap(({ certificates }) => certificates.slice(0, 1));
  const certificates = named.length > 0 || !withKey ? named : [{ what: 'certificate', certificate: withKey }];
  const publicKey = keys.find((key) => key.publicKey)?.publicKey;
  for (const { what, certificate } of certificates) checkCertificate(what, certificate, publicKey, now, report);
  const hasSigner = keys.some(({ signer }) => signer);
  const isPinRefused = keys.some((key) => key.isPinRefused === true);
  // of one that was named the verdict is there already
  const isNamed = options.certificate !== undefined || options.configCertificate !== undefined;
  if (certificates.length === 0 && keys.length > 0 && !isNamed) onNoCertificate({ hasSigner, isPinRefused });
  return {
    publicKey,
    certificate: certificates[0]?.certificate,
    abilities: await signaturesOf(keys, check, options.keep),
    wasTried: keys.every(({ signer }) => signer),
    hasSigner,
    isPinRefused,
    isThere: keys.length > 0,
  };
}

async function signaturesOf(
  keys: readonly CheckedKey[],
  check: KeyCheck,
  keep: KeySetup['keep'],
): Promise<Abilities | undefined> {
  const all: (Abilities | undefined)[] = [];
  for (const key of keys) {
    all.push(await checkSignatures(key, check));
    if (key.signer && keep) keep(key.signer);
    else await key.signer?.[Symbol.asyncDispose]();
  }
  const known = all.filter((one) => one !== undefined);
  if (known.length === 0 || known.length < all.length) return undefined;
  return commonAbilities(known);
}

/** A certificate's key may be of a kind that OpenVPN can't use from outside. */
function kindOf(publicKey: KeyObject | undefined, report: Report): KeyKind | undefined {
  try {
    return publicKey && keyKind(publicKey);
  } catch (error) {
    report(failure('key', error));
    return undefined;
  }
}

/** The release to write lines for, and where it was learnt. */
async function learnRelease(
  { management, installedRelease }: TunnelSetup,
  report: Report,
): Promise<{ readonly release: Release; readonly source: string }> {
  const title = management && (await checkManagement(management, report));
  const daemon = parseRelease(title);
  if (daemon && daemon.library !== 'OpenSSL') return { release: daemon, source: 'the daemon' };
  const text = await installedRelease();
  const installed = parseRelease(text);
  if (daemon) {
    // a daemon does not tell which OpenSSL it has; of its own build, the program does
    const isSame = text?.startsWith(title ?? '') === true;
    return { release: (isSame ? installed : undefined) ?? daemon, source: 'the daemon' };
  }
  if (installed) return { release: installed, source: 'the openvpn that is installed' };
  return { release: USUAL_RELEASE, source: 'no OpenVPN told its release' };
}

/** The line that gives the daemon its certificate. */
function certificateLine(
  { certificate: given, directives, migration }: Pick<SetupOptions, 'certificate' | 'directives' | 'migration'>,
  certificate: X509Certificate | undefined,
  release: Release,
): string {
  const [file] = directives?.get('cert') ?? [];
  if (file === '[inline]') return '# and the <cert> as it stands';
  if (file !== undefined) return ['cert', quoteWord(file)].join(' ');
  const path = given === undefined ? undefined : backendOf(given).certificatePath(given);
  if (path !== undefined) return ['cert', quoteWord(resolve(path))].join(' ');
  // 2.3 asks for none; OpenVPN itself can't use a token's key without its certificate
  if ((!certificate && !migration) || isBefore(release, 2, 4)) return '# and: cert FILE';
  const commonName = /^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1] ?? 'pksigd';
  return `management-external-cert "${commonName.replace(/[^\w .@-]/g, '_')}"`;
}

/** Checks all of a set-up, and says which lines it takes in the .ovpn. What fails keeps nothing else from being checked. */
export async function checkSetup(options: SetupOptions, report: Report): Promise<void> {
  const { directives, login } = options;
  const findings = await checkKey(options, report, ({ hasSigner, isPinRefused }) => {
    reportNoCertificate({ hasSigner, login: login || isPinRefused, directives }, report);
  });
  await checkDaemonOf(options, findings, report);
}

/** Checks one of the daemons of a key, with the certificate that its .ovpn has. */
export async function checkTunnel(options: TunnelSetup, findings: KeyFindings, report: Report): Promise<void> {
  const { configCertificate, directives, login, now } = options;
  const { publicKey, hasSigner, isPinRefused, isThere } = findings;
  const what = 'cert of the .ovpn';
  let certificate = findings.certificate;
  try {
    const own = configCertificate && (await configCertificate())[0];
    if (own) checkCertificate(what, (certificate = own), publicKey, now, report);
    else if (!certificate && isThere && options.certificate === undefined)
      reportNoCertificate({ hasSigner, login: login || isPinRefused, directives }, report);
  } catch (error) {
    report(failure(what, error));
  }
  await checkDaemonOf(options, { ...findings, certificate }, report);
}

async function checkDaemonOf(options: TunnelSetup, findings: KeyFindings, report: Report): Promise<void> {
  const { directives, user, answersPasswords, management, managementWords, migration } = options;
  const { publicKey, certificate, abilities, wasTried } = findings;
  const { release, source } = await learnRelease(options, report);
  const kind = kindOf(publicKey ?? certificate?.publicKey, report);
  const advices = kind && abilities && advicesFor(abilities, kind, release, options.sight);
  const advice = advices?.byList;
  const lineOptions = {
    management: managementWords,
    listen: management?.listen ?? false,
    certificate: certificateLine(options, certificate, release),
    wasTried,
  };
  const target = kind && advices && { advices, kind, release, source };
  const change = migration && directives && advice && migrated(migration, directives, linesOf(advice, lineOptions));
  if (migration && directives) reportBuiltIn(migration, directives, report);
  // of one that is to be changed: as it will be then
  const looked = migration ? change?.directives : directives;
  if (looked) {
    checkDirectives(looked, advices, release, { user, answersPasswords }, report);
    checkHint(looked, certificate, report);
    if (kind) reportContext(kind, looked, release, report);
  }
  if (!target) {
    report({ outcome: 'skip', what: 'lines', detail: 'none, as long as it is not known what the key can sign' });
    return;
  }
  // those to put in are among the steps
  reportLines(
    target,
    lineOptions,
    change
      ? ({ lines, ...verdict }) => {
          report(verdict);
        }
      : report,
  );
  if (migration && change && target.advices.byList.impossible === undefined)
    reportMigration(change.steps, migration, report);
}
