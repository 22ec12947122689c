import { faultSetup } from './fault.ts';
import { gnomeKeyringSetup } from './gnome-keyring.ts';
import { nssSetup } from './nss.ts';
import { openCryptokiSetup } from './opencryptoki.ts';
import { openScSetup, ykcs11Setup } from './piv.ts';
import { p11KitClientSetup, p11KitProxySetup, softHsmSetup, spySetup } from './softhsm.ts';
import type { TokenSetup } from './token-bed.ts';
import { tpm2Setup } from './tpm2.ts';

/** Every module that Debian has, as far as it runs without hardware. */
export const SETUPS: readonly TokenSetup[] = [
  softHsmSetup,
  p11KitClientSetup,
  p11KitProxySetup,
  tpm2Setup,
  nssSetup,
  openCryptokiSetup,
  openScSetup,
  ykcs11Setup,
  gnomeKeyringSetup,
  spySetup,
  faultSetup,
];
