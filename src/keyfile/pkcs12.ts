import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import type Forge from 'node-forge';
import type { asn1, pkcs12 } from 'node-forge';
import { AgentError } from '../errors.ts';
import { DerivationBudget } from './derivation-cost.ts';
import { withBudget } from './forge-derivation.ts';

/** The contents of a PKCS#12 file, as far as we need them. */
export interface Pkcs12Contents {
  readonly privateKey: KeyObject;
  /** The key's own certificate first. */
  readonly certificates: readonly X509Certificate[];
}

/** A PFX starts as SEQUENCE { INTEGER 3 … (RFC 7292 section 4); every other kind of key file has a 0, a 1 or no integer there. */
export function isPkcs12(bytes: Buffer): boolean {
  return bytes[0] === 0x30 && bytes.subarray(2, 9).includes(Buffer.from([0x02, 0x01, 0x03, 0x30]));
}

/**
 * Opens a PKCS#12 file (RFC 7292): the MAC is checked, keys may be RSA, EC or Ed25519/Ed448.
 * @param passphrase empty for a file without one
 * @throws AgentError ERR_PIN_INCORRECT (the MAC does not fit), ERR_KEY_FILE, ERR_KEY_AMBIGUOUS
 */
export async function parsePkcs12(bytes: Buffer, passphrase: string, path: string): Promise<Pkcs12Contents> {
  // node-forge takes 19 ms to load: only who has such a file pays
  const { default: forge } = await import('node-forge');
  const budget = new DerivationBudget(path);
  try {
    const tree = forge.asn1.fromDer(bytes.toString('latin1'));
    return contentsOf(forge, tree, passphrase, path, budget);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const text = error instanceof Error ? error.message : '';
    // without a MAC nothing else tells: of 256 wrong passphrases one leaves a padding that is right, and what is no key
    const isWrong = /MAC could not be verified|wrong password/i.test(text) || (budget.isUsed && !hasMac(forge, bytes));
    throw isWrong
      ? new AgentError('ERR_PIN_INCORRECT', `wrong passphrase for ${path}`, { cause: error })
      : new AgentError('ERR_KEY_FILE', `can't read the PKCS#12 file ${path}`, { cause: error });
  }
}

/** Whether a PFX has its third member, macData (RFC 7292 section 4). */
function hasMac(forge: typeof Forge, bytes: Buffer): boolean {
  return forge.asn1.fromDer(bytes.toString('latin1')).value.length > 2;
}

function contentsOf(
  forge: typeof Forge,
  tree: asn1.Asn1,
  passphrase: string,
  path: string,
  budget: DerivationBudget,
): Pkcs12Contents {
  const der = (bag: pkcs12.Bag, known: asn1.Asn1 | undefined): Buffer => {
    // forge understands RSA; of everything else it hands over the ASN.1, which node:crypto reads
    const tree = known ?? bag.asn1;
    return Buffer.from(forge.asn1.toDer(tree).getBytes(), 'latin1');
  };
  // what is nested in encrypted parts shows its cost only on the way
  const pfx = withBudget(forge, budget, () => forge.pkcs12.pkcs12FromAsn1(tree, false, passphrase));
  const { oids } = forge.pki;
  const bags = (type: string): pkcs12.Bag[] => pfx.getBags({ bagType: type })[type] ?? [];
  const keys = [...bags(oids['pkcs8ShroudedKeyBag'] ?? ''), ...bags(oids['keyBag'] ?? '')];
  const [keyBag] = keys;
  if (!keyBag) throw new AgentError('ERR_KEY_FILE', `no private key in the PKCS#12 file ${path}`);
  if (keys.length > 1)
    throw new AgentError('ERR_KEY_AMBIGUOUS', `${keys.length} private keys in the PKCS#12 file ${path}`);
  const keyDer = der(
    keyBag,
    keyBag.key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(keyBag.key)) : undefined,
  );
  const privateKey = createPrivateKey({ key: keyDer, format: 'der', type: 'pkcs8' });
  keyDer.fill(0);
  const certificates = bags(oids['certBag'] ?? '').map(
    (bag) => new X509Certificate(der(bag, bag.cert ? forge.pki.certificateToAsn1(bag.cert) : undefined)),
  );
  const isOwn = (certificate: X509Certificate): boolean => certificate.checkPrivateKey(privateKey);
  return { privateKey, certificates: [...certificates.filter(isOwn), ...certificates.filter((one) => !isOwn(one))] };
}
