import type { KeyObject, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { AgentError } from '../errors.ts';
import { readCertificateFile } from '../keyfile/certificate-file.ts';
import { FileKey } from '../keyfile/key-file.ts';
import { quoteWord } from '../management/index.ts';
import { isPkcs11Uri } from '../pkcs11/index.ts';
import { keyKind, keyKindName, type KeyKind } from '../signing/public-key.ts';
import { pinCache, type KeyOptions } from '../keys/open-key.ts';
import { advise, parseRelease, type CanSign } from './advice.ts';
import { checkCertificate } from './certificate.ts';
import { checkDirectives, type Directives } from './directives.ts';
import { reportLines } from './lines.ts';
import { checkManagement, type ManagementCheck } from './daemon.ts';
import { abilities, reportTrials, trySignatures } from './signatures.ts';
import { AFTER_LOGIN, checkTokenKey, lookForCertificate, type FoundKey, type TokenCheckOptions } from './token-key.ts';
import { failure, type Report } from './verdict.ts';

/** A set-up to check: what `run` would be given. */
export interface SetupOptions extends KeyOptions {
  /** Log in to tokens that want it: a wrong PIN uses one of its tries. */
  readonly login: boolean;
  readonly management: ManagementCheck | undefined;
  /** The management directive's words, for the lines. */
  readonly managementWords: readonly string[] | undefined;
  /** Of the .ovpn, if there is one. */
  readonly directives: Directives | undefined;
  /** Reads the certificate that the .ovpn names or has in it. */
  readonly configCertificate: (() => Promise<readonly X509Certificate[]>) | undefined;
  /** The release of the openvpn of this machine, where the daemon itself does not tell. */
  readonly installedRelease: () => Promise<string | undefined>;
  readonly user: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What lines are written for where nobody tells a release. */
export const USUAL_RELEASE = { major: 2, minor: 6 };

async function checkFileKey(path: string, options: SetupOptions, report: Report): Promise<FoundKey | undefined> {
  try {
    const signer = await FileKey.open(path, {
      passphrase: () => options.askSecret(`passphrase of ${path}`, undefined, 'ask'),
      allowReadableByOthers: options.allowReadableKey ?? false,
    });
    const { name, publicKey, certificates } = signer;
    report({ outcome: 'ok', what: 'key', detail: `${name}: ${keyKindName(keyKind(publicKey))}` });
    return { name, publicKey, certificates, signer };
  } catch (error) {
    report(failure('key', error));
    return undefined;
  }
}

async function checkSignatures(
  { signer, canSign }: FoundKey,
  login: boolean,
  report: Report,
): Promise<CanSign | undefined> {
  if (!signer) {
    const detail = 'none was tried: that takes a login';
    report({ outcome: 'skip', what: 'signature', detail, ...(!login && { hint: 'give --login' }) });
    return canSign;
  }
  const trials = await trySignatures(signer);
  reportTrials(trials, report);
  return abilities(trials);
}

/** What `--cert` names. */
const GIVEN = 'certificate';

/** A certificate that the daemon may present, and where it comes from. */
interface NamedCertificate {
  readonly what: string;
  readonly certificate: X509Certificate;
}

/** The certificates that were named: the .ovpn's, which OpenVPN presents by itself, and `--cert`'s. */
async function namedCertificates(
  options: SetupOptions,
  tokenOptions: TokenCheckOptions,
  report: Report,
): Promise<NamedCertificate[]> {
  const { certificate: given, configCertificate } = options;
  const found: NamedCertificate[] = [];
  const take = async (what: string, read: () => Promise<X509Certificate | undefined>): Promise<void> => {
    try {
      const certificate = await read();
      if (certificate) found.push({ what, certificate });
      else report({ outcome: 'skip', what, detail: AFTER_LOGIN, hint: 'give --login' });
    } catch (error) {
      report(failure(what, error));
    }
  };
  if (configCertificate) await take('cert of the .ovpn', async () => (await configCertificate())[0]);
  if (given !== undefined) {
    await take(GIVEN, async () =>
      isPkcs11Uri(given) ? await lookForCertificate(given, tokenOptions) : (await readCertificateFile(given))[0],
    );
  }
  return found;
}

async function checkKeys(
  options: SetupOptions,
  tokenOptions: TokenCheckOptions,
  certificate: X509Certificate | undefined,
  report: Report,
): Promise<FoundKey[]> {
  const found: FoundKey[] = [];
  for (const key of options.keys) {
    const one = isPkcs11Uri(key)
      ? await checkTokenKey(key, certificate, tokenOptions, report)
      : await checkFileKey(key, options, report);
    if (!one) continue;
    const other = found.find(({ publicKey }) => publicKey && one.publicKey && !publicKey.equals(one.publicKey));
    if (other) {
      const error = new AgentError('ERR_CERTIFICATE_MISMATCH', `${one.name} is another key than ${other.name}`);
      report(failure('key', error));
    }
    found.push(one);
  }
  return found;
}

/** Nobody has a certificate: only after a login can that be told for sure. */
export function reportNoCertificate(
  keys: readonly Pick<FoundKey, 'signer'>[],
  directives: Directives | undefined,
  login: boolean,
  report: Report,
): void {
  const what = 'certificate';
  const hint = 'give --cert, or have the .ovpn name it by cert';
  if (keys.some(({ signer }) => signer) && directives?.has('management-external-cert') === true) {
    const detail = 'the daemon will ask for it, and none lies with the key';
    report(failure(what, new AgentError('ERR_CERTIFICATE_NOT_FOUND', detail, { hint })));
  } else if (!keys.some(({ signer }) => signer)) {
    report({ outcome: 'skip', what, detail: AFTER_LOGIN, hint: login ? 'give --cert' : 'give --login, or --cert' });
  } else {
    report({ outcome: 'warn', what, detail: 'none lies with the key', hint });
  }
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

/** The line that gives the daemon its certificate. */
function certificateLine(
  { certificate: given, directives }: SetupOptions,
  certificate: X509Certificate | undefined,
): string {
  const [file] = directives?.get('cert') ?? [];
  if (file === '[inline]') return '# and the <cert> as it stands';
  if (file !== undefined) return ['cert', quoteWord(file)].join(' ');
  if (given !== undefined && !isPkcs11Uri(given)) return ['cert', quoteWord(resolve(given))].join(' ');
  if (!certificate) return '# and: cert FILE';
  const commonName = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? 'pksigd';
  return `management-external-cert "${commonName.replace(/[^\w .@-]/g, '_')}"`;
}

/** Checks all of a set-up, and says which lines it takes in the .ovpn. What fails keeps nothing else from being checked. */
export async function checkSetup(options: SetupOptions, report: Report): Promise<void> {
  const tokenOptions = { ...options, pinFor: pinCache(options) };
  const named = await namedCertificates(options, tokenOptions, report);
  // as run does: only --cert stands in for what a token does not tell
  const given = named.find(({ what }) => what === GIVEN)?.certificate;
  const keys = await checkKeys(options, tokenOptions, given, report);
  const withKey = keys.flatMap(({ certificates }) => certificates.slice(0, 1)).slice(0, 1);
  const certificates = named.length > 0 ? named : withKey.map((certificate) => ({ what: 'certificate', certificate }));
  const publicKey = keys.find((key) => key.publicKey)?.publicKey;
  for (const { what, certificate } of certificates) checkCertificate(what, certificate, publicKey, options.now, report);
  if (certificates.length === 0 && keys.length > 0)
    reportNoCertificate(keys, options.directives, options.login, report);

  const canSign: (CanSign | undefined)[] = [];
  for (const key of keys) {
    canSign.push(await checkSignatures(key, options.login, report));
    await key.signer?.[Symbol.asyncDispose]();
  }

  const { management, directives, user } = options;
  const told = management && (await checkManagement(management, report));
  const daemon = parseRelease(told);
  const installed = daemon ? undefined : parseRelease(await options.installedRelease());
  const release = daemon ?? installed ?? USUAL_RELEASE;
  const source = daemon ? 'the daemon' : installed ? 'the openvpn that is installed' : 'no OpenVPN told its release';

  const kind = kindOf(publicKey ?? certificates[0]?.certificate.publicKey, report);
  const isKnown = canSign.length > 0 && canSign.every((each) => each);
  // the first copy that works signs: each must be able to
  const advice = kind && isKnown ? advise(kind, release, (name) => canSign.every((can) => can?.(name))) : undefined;
  if (directives) checkDirectives(directives, advice, release, user, report);
  if (kind && advice) {
    const { managementWords } = options;
    const certificate = certificateLine(options, certificates[0]?.certificate);
    const listen = management?.listen ?? false;
    const wasTried = keys.every(({ signer }) => signer);
    const lineOptions = { management: managementWords, listen, certificate, wasTried };
    reportLines(advice, kind, release, source, lineOptions, report);
  } else {
    report({ outcome: 'skip', what: 'lines', detail: 'none, as long as it is not known what the key can sign' });
  }
}
