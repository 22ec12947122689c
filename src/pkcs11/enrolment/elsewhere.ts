import type { TokenInfo } from '../host/protocol.ts';

/** Tokens that make no key, or keep no certificate, for whoever has the PIN: what does it instead. */
interface Elsewhere {
  readonly fits: (token: TokenInfo) => boolean;
  readonly makeKey: string;
  readonly storeCertificate: string;
}

const PIV: Omit<Elsewhere, 'fits'> = {
  makeKey:
    "a PIV card makes keys for whoever has its management key, by its own tools: 'ykman piv keys generate', or 'yubico-piv-tool -a generate'; a request for that key can be made here",
  storeCertificate:
    "a PIV card takes certificates from whoever has its management key, by its own tools: 'ykman piv certificates import', or 'yubico-piv-tool -a import-certificate'",
};

/** By what the modules say of the token; OpenSC says of a card only whether it is a PIV or an OpenPGP card. */
const ELSEWHERE: readonly Elsewhere[] = [
  { fits: ({ manufacturer }) => manufacturer === 'piv_II', ...PIV },
  { fits: ({ manufacturer }) => manufacturer.startsWith('Yubico'), ...PIV },
  {
    fits: ({ model, label }) => /OpenPGP/i.test(`${model} ${label}`),
    makeKey: "an OpenPGP card makes keys by its own tools: 'openpgp-tool --gen-key', or 'gpg --card-edit'",
    storeCertificate: "an OpenPGP card takes certificates by 'pkcs15-init', or 'gpg --card-edit'",
  },
  {
    fits: ({ model }) => model.startsWith('PKCS#15'),
    makeKey: "'pkcs15-init --generate-key' makes keys on such cards; a request for that key can be made here",
    storeCertificate: "'pkcs15-init --store-certificate' does it on such cards",
  },
];

/** What a person can do who wants that of a token that does not do it; undefined if nothing is known. */
export function elsewhere(token: TokenInfo, what: 'makeKey' | 'storeCertificate'): string | undefined {
  return ELSEWHERE.find(({ fits }) => fits(token))?.[what];
}
