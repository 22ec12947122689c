import type { KeyObject, X509Certificate } from 'node:crypto';
import { dayOf } from '../certificates/dates.ts';
import { parseHint } from '../certificates/words.ts';
import { AgentError } from '../errors.ts';
import { nameOnOneLine } from '../keyfile/pem.ts';
import { AFTER_LOGIN } from './checked-key.ts';
import type { Directives } from './directives.ts';
import { failure, type Report } from './verdict.ts';

const DAY = 86_400_000;
/** Days before its end from which a certificate is warned of. */
const RENEW_BEFORE = 30;
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** The OBJECT IDENTIFIER 2.5.29.15 (RFC 5280 section 4.2.1.3) as it lies in a certificate. */
const KEY_USAGE = Buffer.from('0603551d0f', 'hex');
const CRITICAL = Buffer.from('0101ff', 'hex');

/** Does the key usage extension have digitalSignature, its first bit? node:crypto does not tell. */
function mayDigitallySign({ raw }: X509Certificate): boolean {
  const at = raw.indexOf(KEY_USAGE);
  if (at < 0) return false;
  const rest = raw.subarray(at + KEY_USAGE.length);
  const value = rest.subarray(0, 3).equals(CRITICAL) ? rest.subarray(3) : rest;
  // OCTET STRING { BIT STRING { unused bits, bits } }
  return value[0] === 0x04 && value[2] === 0x03 && ((value[5] ?? 0) & 0x80) !== 0;
}

function checkValidity(what: string, { validFrom, validTo }: X509Certificate, now: number, report: Report): void {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (Number.isNaN(from) || Number.isNaN(to)) {
    const hint = 'have it issued anew';
    report(failure(what, new AgentError('ERR_CERTIFICATE_DATES', "its dates can't be read", { hint })));
    return;
  }
  if (now < from || now > to) {
    const detail = now < from ? `it is not valid before ${dayOf(validFrom)}` : `it expired on ${dayOf(validTo)}`;
    const hint = now < from ? "is this machine's clock right?" : 'have it renewed';
    report(failure(what, new AgentError('ERR_CERTIFICATE_DATES', detail, { hint })));
    return;
  }
  const days = Math.floor((to - now) / DAY);
  const detail = `valid until ${dayOf(validTo)}, ${days} days from now`;
  if (days < RENEW_BEFORE) report({ outcome: 'warn', what, detail, hint: 'have it renewed' });
  else report({ outcome: 'ok', what, detail });
}

/**
 * Is it the key's, is it valid now, and will servers take it for a client's?
 * @param publicKey undefined where the key tells none before a login
 * @param now milliseconds since 1970
 */
export function checkCertificate(
  what: string,
  certificate: X509Certificate,
  publicKey: KeyObject | undefined,
  now: number,
  report: Report,
): void {
  const subject = nameOnOneLine(certificate.subject) || 'no subject';
  if (!publicKey) {
    report({ outcome: 'skip', what, detail: `${subject}: whether it is the key's can be told after login` });
  } else if (certificate.publicKey.equals(publicKey)) {
    report({ outcome: 'ok', what, detail: `${subject} is the key's` });
  } else {
    const hint = 'give the certificate that was made for this key';
    report(failure(what, new AgentError('ERR_CERTIFICATE_MISMATCH', `${subject} is of another key`, { hint })));
  }
  checkValidity(what, certificate, now, report);
  // node's types say string[] where the extension is absent, too
  const extended = certificate.keyUsage as string[] | undefined;
  const missing = [
    ...(extended?.includes(CLIENT_AUTH) === true ? [] : ['extended key usage clientAuth']),
    ...(mayDigitallySign(certificate) ? [] : ['key usage digitalSignature']),
  ];
  if (missing.length > 0) {
    const hint = "servers with 'remote-cert-tls client' refuse it";
    report({ outcome: 'warn', what, detail: `it has no ${missing.join(' and no ')}`, hint });
  }
}

/**
 * There is no certificate: only after a login can that be told for sure.
 * @param hasSigner whether a copy of the key was opened
 * @param login whether a login was asked for, or would show no more
 */
export function reportNoCertificate(
  {
    hasSigner,
    login,
    directives,
  }: { readonly hasSigner: boolean; readonly login: boolean; readonly directives: Directives | undefined },
  report: Report,
): void {
  const what = 'certificate';
  if (!hasSigner) {
    const reason = login ? 'no-certificate' : 'no-login-nor-certificate';
    report({ outcome: 'skip', what, detail: AFTER_LOGIN, reason });
  } else if (directives?.has('management-external-cert') === true) {
    const detail = 'the daemon will ask for it, and none lies with the key';
    report(failure(what, new AgentError('ERR_CERTIFICATE_NOT_FOUND', detail, { reason: 'no-certificate' })));
  } else {
    report({ outcome: 'warn', what, detail: 'none lies with the key', reason: 'no-certificate' });
  }
}

/** Do the words of `management-external-cert`, if it has some, fit the certificate? */
export function checkHint(directives: Directives, certificate: X509Certificate | undefined, report: Report): void {
  const what = 'config';
  const hint = directives.get('management-external-cert')?.[0] ?? '';
  try {
    const words = parseHint(hint);
    if (!words || !certificate) return;
    const subject = nameOnOneLine(certificate.subject) || 'no subject';
    if (words.fits(certificate)) {
      report({ outcome: 'ok', what, detail: `management-external-cert '${hint}' fits ${subject}` });
    } else {
      const detail = `management-external-cert '${hint}' does not fit ${subject}`;
      report({ outcome: 'warn', what, detail, hint: 'another certificate that the key fits is looked for then' });
    }
  } catch (error) {
    report(failure(what, error));
  }
}
