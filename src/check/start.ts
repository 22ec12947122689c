import type { X509Certificate } from 'node:crypto';
import { keyKind, keyKindName } from '../signing/public-key.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { parseRelease, releaseName, type Sight } from './advice.ts';
import { advicesFor } from './advices.ts';
import { abilitiesOfSigner } from './can-sign.ts';
import { checkCertificate, reportNoCertificate } from './certificate.ts';
import { checkStrength } from './checked-key.ts';
import { checkDirectives, checkKeyDirectives, type Directives } from './directives.ts';
import { reportImpossible } from './lines.ts';
import { USUAL_RELEASE } from './setup.ts';
import { failure, type Report } from './verdict.ts';

/** The part of a check that `run` can do at its start: nothing is connected to, nothing signed. */
export interface StartOptions {
  /** Of the .ovpn, if there is one. */
  readonly directives: Directives | undefined;
  /** What the key's policy wants to see. */
  readonly sight: Sight;
  /** Reads the certificate that the .ovpn names or has in it. */
  readonly configCertificate: (() => Promise<readonly X509Certificate[]>) | undefined;
  readonly key: Promise<OpenedKey>;
  /** The release of the openvpn of this machine. */
  readonly installedRelease: () => Promise<string | undefined>;
  readonly user: string;
  /** Passwords are given to the daemon that asks for them. */
  readonly answersPasswords: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

async function checkCertificates(opened: OpenedKey, options: StartOptions, report: Report): Promise<void> {
  const { directives, configCertificate, now } = options;
  const { signer, certificates } = opened;
  try {
    const [own] = configCertificate ? await configCertificate() : certificates;
    const what = configCertificate ? 'cert of the .ovpn' : 'certificate';
    if (own) checkCertificate(what, own, signer.publicKey, now, report);
    else if (directives) reportNoCertificate({ hasSigner: true, login: true, directives }, report);
  } catch (error) {
    report(failure('cert of the .ovpn', error));
  }
}

/**
 * Says of a set-up that is about to run what `check` would say of it: of the .ovpn at once, of the key's part in it when
 * the key is open. Does nothing more if the key can't be opened.
 */
export async function checkStart(options: StartOptions, report: Report): Promise<void> {
  const { directives, user, answersPasswords } = options;
  if (directives) checkDirectives(directives, undefined, USUAL_RELEASE, { user, answersPasswords }, report);
  const opened = await options.key.catch(() => undefined);
  if (!opened) return;
  checkStrength(opened.signer.publicKey, report);
  await checkCertificates(opened, options, report);
  if (!directives) return;
  const kind = keyKind(opened.signer.publicKey);
  const release = parseRelease(await options.installedRelease()) ?? USUAL_RELEASE;
  const advices = advicesFor(abilitiesOfSigner(opened.signer), kind, release, options.sight);
  checkKeyDirectives(directives, advices, release, report);
  reportImpossible(advices, `${keyKindName(kind)} and ${releaseName(release)}`, report);
}
