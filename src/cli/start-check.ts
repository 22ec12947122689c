import type { Emit } from '../agent/events.ts';
import { checkStart } from '../check/start.ts';
import { explained } from '../check/verdict.ts';
import type { Explain } from '../errors.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { configCertificate } from '../config/config-certificate.ts';
import { givesPasswords } from '../config/answers.ts';
import type { PolicySettings, TunnelSettings } from '../config/settings.ts';
import { ownUser } from '../own-user.ts';
import { sightOf } from './policy-sight.ts';

/** How `run` speaks of set-ups. */
export interface StartCheckOptions {
  readonly emit: Emit;
  readonly installedRelease: () => Promise<string | undefined>;
  readonly explain: Explain;
  readonly policy: PolicySettings | undefined;
}

/**
 * Tells once what `check` says of a set-up. `run` goes on whatever it is: the .ovpn may be mended and OpenVPN restarted
 * meanwhile, and the openvpn that is installed here may not be the one that is served.
 * @param about the name of the tunnel, or of the key that several have, if there are several
 */
export async function tellStartCheck(
  { openvpnConfig: config, answers }: Pick<TunnelSettings, 'openvpnConfig' | 'answers'>,
  key: Promise<OpenedKey>,
  about: { readonly tunnel?: string; readonly key?: string },
  { emit, installedRelease, explain, policy }: StartCheckOptions,
): Promise<void> {
  const options = {
    directives: config?.directives,
    configCertificate: config && configCertificate(config),
    key,
    installedRelease,
    sight: sightOf(policy),
    user: ownUser().name,
    answersPasswords: givesPasswords(answers),
    now: Date.now(),
  };
  await checkStart(options, (verdict) => {
    emit({ type: 'setup-checked', ...about, ...explained(verdict, explain) });
  });
}
