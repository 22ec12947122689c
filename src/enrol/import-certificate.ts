import type { X509Certificate } from 'node:crypto';
import { dayOf } from '../certificates/dates.ts';
import { checkCertificate } from '../check/certificate.ts';
import { failure, type Report, type Verdict } from '../check/verdict.ts';
import { AgentError } from '../errors.ts';
import { nameOnOneLine } from '../keyfile/pem.ts';
import { backendOf, FILE_BACKEND, TOKEN_BACKEND, tokenOptions, type Opening } from '../keys/backends.ts';
import { askingAgain } from '../keys/pins.ts';
import { findModule, parsePkcs11Uri, storeCertificates } from '../pkcs11/index.ts';
import { checkChain, checkPurpose, readIssued, type Issued } from './issued.ts';
import { certificatePathOf, writeCertificate } from './output-files.ts';

export interface ImportOptions {
  /** The KEY that it is of. */
  readonly key: string;
  /** The file that an authority sent. */
  readonly certificate: string;
  /** The file that it is to be kept in; else on the token, or beside the key file. */
  readonly file: string | undefined;
  /** A file of authorities that the chain must end at. */
  readonly authorities: string | undefined;
  readonly opening: Opening;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A certificate that was taken in; its token stays open until it is disposed of. */
export interface Imported extends AsyncDisposable {
  /** The value of `--cert`; undefined where it lies with the key. */
  readonly certificate: string | undefined;
}

/** What speaks against the certificate. */
function faultsOf({ own, issuers }: Issued, trusted: readonly X509Certificate[], options: ImportOptions): Verdict[] {
  const verdicts: Verdict[] = [];
  // of what is not a fault the check behind it tells
  checkCertificate('certificate', own, own.publicKey, options.now, (verdict) => verdicts.push(verdict));
  const faults = verdicts.filter(({ outcome }) => outcome === 'fail');
  const tried = (what: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      faults.push(failure(what, error));
    }
  };
  tried('certificate', () => {
    checkPurpose(own);
  });
  if (options.authorities !== undefined) tried('chain', () => checkChain({ own, issuers }, trusted, options.now));
  return faults;
}

/**
 * Takes in the certificate that an authority made for a key, unless something is wrong with it, and says what else is there
 * that it takes the place of. Nothing is removed.
 * @returns undefined if it was not taken in: a verdict says why
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_*, ERR_OUTPUT_FILE, ERR_PIN_*, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function importCertificate(options: ImportOptions, report: Report): Promise<Imported | undefined> {
  const { key, opening, authorities } = options;
  const signer = await backendOf(key).openKey(key, opening);
  try {
    const { trusted, ...issued } = await readIssued(options.certificate, signer.publicKey, authorities);
    const faults = faultsOf(issued, trusted, options);
    for (const fault of faults) report(fault);
    if (faults.length > 0) {
      await signer[Symbol.asyncDispose]();
      return undefined;
    }
    reportChain(issued, trusted, options, report);
    const certificate = await keep(issued, options, report);
    return { certificate, [Symbol.asyncDispose]: () => signer[Symbol.asyncDispose]() };
  } catch (error) {
    await signer[Symbol.asyncDispose]();
    throw error;
  }
}

function reportChain(
  issued: Issued,
  trusted: readonly X509Certificate[],
  options: ImportOptions,
  report: Report,
): void {
  const { own, issuers } = issued;
  if (options.authorities !== undefined) {
    report({ outcome: 'ok', what: 'chain', detail: checkChain(issued, trusted, options.now) });
    return;
  }
  const last = issuers.at(-1) ?? own;
  const detail = `issued by ${nameOnOneLine(last.issuer)}: whether servers trust it was not looked at`;
  report({ outcome: 'skip', what: 'chain', detail, reason: 'no-authorities' });
}

/** @returns the value of `--cert`, where one is needed */
async function keep({ own, issuers }: Issued, options: ImportOptions, report: Report): Promise<string | undefined> {
  const { key, file, opening } = options;
  const backend = backendOf(key);
  // servers have the root, or do not trust it
  const chain = [own, ...issuers.filter((issuer) => !issuer.checkIssued(issuer))] as const;
  if (file === undefined && backend === TOKEN_BACKEND) {
    await keepOnToken(key, chain, opening, report);
    return undefined;
  }
  const path = file ?? (backend === FILE_BACKEND ? certificatePathOf(key) : undefined);
  if (path === undefined) {
    throw new AgentError('ERR_USAGE', `${backend.publicName(key)} keeps no certificates`, {
      reason: 'certificate-not-kept',
    });
  }
  const old = await writeCertificate(path, chain);
  report({ outcome: 'ok', what: 'kept', detail: `in ${path}` });
  if (old !== undefined) report({ outcome: 'ok', what: 'old certificate', detail: `it is in ${old} now` });
  return path;
}

async function keepOnToken(
  key: string,
  chain: readonly [X509Certificate, ...X509Certificate[]],
  opening: Opening,
  report: Report,
): Promise<void> {
  const uri = parsePkcs11Uri(key);
  const options = tokenOptions(opening, uri);
  const modulePath = await findModule(uri, options.defaultModule);
  await using user = await askingAgain(opening.options, uri.pinSource, () =>
    options.tokens.open(uri, modulePath, options),
  );
  const { certificates, keys } = await storeCertificates(user, uri, chain);
  report({ outcome: 'ok', what: 'kept', detail: 'on the token, beside its key' });
  for (const { validTo } of certificates) {
    const detail = `the one of this key that is valid until ${dayOf(validTo)} stays on the token`;
    report({ outcome: 'ok', what: 'old certificate', detail });
  }
  for (const old of keys) {
    const hint = 'remove it with the tools of the token when nothing uses it any more';
    report({ outcome: 'ok', what: 'old key', detail: `${old} of the same subject stays on the token`, hint });
  }
}
