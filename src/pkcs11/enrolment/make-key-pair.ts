// Making keys on tokens, and keeping their certificates there: all that pksigd ever writes to a token. For enrolment.
import { randomBytes } from 'node:crypto';
import { AgentError, errorText } from '../../errors.ts';
import { keyKindName, type KeyKind } from '../../signing/public-key.ts';
import { CKA, CKM, CKO } from '../constants.ts';
import type { Template } from '../host/protocol.ts';
import { inSession, type Session } from '../host/session.ts';
import { find, read } from '../key/objects.ts';
import { ecParametersOf } from '../key/public-key.ts';
import type { OpenSession } from '../token/open-session.ts';
import type { TokenUser } from '../token/token-user.ts';
import { pkcs11UriName, type Pkcs11Uri } from '../uri.ts';
import { elsewhere } from './elsewhere.ts';

/** CKA_ID of a new key, in bytes: chance keeps it apart from all others, and a URI that has it stays short. */
const ID_LENGTH = 8;
/** 65,537 (FIPS 186-5 section 5.1). */
const PUBLIC_EXPONENT = '010001';
/** The DER of id-Ed25519 (RFC 8410 section 3), which is its CKA_EC_PARAMS (PKCS#11 v3.1 section 6.3.8). */
const ED25519_PARAMETERS = '06032b6570';

/** A key pair that a token has made. */
export interface MadeKeyPair {
  /** Names it and no other key. */
  readonly uri: Pkcs11Uri;
  /** The token says so itself: its key can't be taken out of it. False where it does not tell. */
  readonly isKept: boolean;
}

/** How a kind of key is made. */
function recipe(kind: KeyKind): { readonly mechanism: number; readonly attributes: Template } | undefined {
  switch (kind.type) {
    case 'RSA':
      return {
        mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN,
        attributes: { [CKA.MODULUS_BITS]: kind.modulusBits, [CKA.PUBLIC_EXPONENT]: PUBLIC_EXPONENT },
      };
    case 'EC':
      return { mechanism: CKM.EC_KEY_PAIR_GEN, attributes: { [CKA.EC_PARAMS]: ecParametersOf(kind.curve) } };
    case 'ED25519':
      return { mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN, attributes: { [CKA.EC_PARAMS]: ED25519_PARAMETERS } };
    case 'ED448':
      return undefined;
  }
}

const hexOf = (text: string): string => Buffer.from(text, 'utf8').toString('hex');

/** The templates of both halves. @param mechanisms CKM_* that the token lists */
function templates(
  kind: KeyKind,
  attributes: Template,
  label: string,
  id: Buffer,
  mechanisms: ReadonlySet<number>,
): { readonly publicKey: Template; readonly privateKey: Template } {
  const both = { [CKA.TOKEN]: true, [CKA.LABEL]: hexOf(label), [CKA.ID]: id.toString('hex') };
  // for signing alone; a TPM signs PSS by the raw operation, which is decrypting to it
  const isForSigning = kind.type === 'RSA' && mechanisms.has(CKM.RSA_PKCS_PSS);
  return {
    publicKey: { ...both, [CKA.PRIVATE]: false, [CKA.VERIFY]: true, ...attributes },
    privateKey: {
      ...both,
      [CKA.PRIVATE]: true,
      [CKA.SENSITIVE]: true,
      [CKA.EXTRACTABLE]: false,
      [CKA.SIGN]: true,
      ...(isForSigning && { [CKA.DECRYPT]: false, [CKA.UNWRAP]: false }),
    },
  };
}

/** A second key of the same name would make both of no use: their URI would fit two. */
async function refuseExisting(at: Session, uri: Pkcs11Uri, label: string): Promise<void> {
  const names = [{ [CKA.LABEL]: hexOf(label) }, ...(uri.id ? [{ [CKA.ID]: uri.id.toString('hex') }] : [])];
  for (const name of names) {
    for (const objectClass of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
      if ((await find(at, objectClass, name, 1)).length === 0) continue;
      throw new AgentError('ERR_KEY_EXISTS', `there is a key ${pkcs11UriName(uri)} on the token already`, {
        hint: 'name the new one otherwise',
        reason: 'key-exists',
      });
    }
  }
}

/** Whether a token keeps a key that it has made to itself: undefined if it does not tell. */
async function keepsKey(at: Session, privateKey: string): Promise<boolean | undefined> {
  const value = await read(at, privateKey, [CKA.SENSITIVE, CKA.EXTRACTABLE]);
  const [sensitive] = value(CKA.SENSITIVE) ?? [];
  const [extractable] = value(CKA.EXTRACTABLE) ?? [];
  if (sensitive === undefined || extractable === undefined) return undefined;
  return sensitive === 1 && extractable === 0;
}

async function generate(
  at: OpenSession,
  uri: Pkcs11Uri,
  label: string,
  kind: KeyKind,
): Promise<{ readonly id: Buffer; readonly isKept: boolean }> {
  const { host, token, epoch, mechanisms } = at;
  const name = keyKindName(kind);
  const hint = elsewhere(token, 'makeKey');
  const options = hint === undefined ? {} : { hint };
  const how = recipe(kind);
  if (!how || !mechanisms.has(how.mechanism)) {
    throw new AgentError('ERR_KEY_UNSUPPORTED', `token '${token.label}' makes no key ${name} by its module`, options);
  }
  const id = uri.id ?? randomBytes(ID_LENGTH);
  const { mechanism, attributes } = how;
  const writing = inSession(
    { host, info: token, epoch },
    async ({ session }) => {
      const pair = await host.call('generateKeyPair', {
        session,
        mechanism,
        ...templates(kind, attributes, label, id, mechanisms),
      });
      const isKept = await keepsKey({ host, session }, pair.privateKey);
      if (isKept !== false) return isKept ?? false;
      for (const object of Object.values(pair)) await host.call('destroyObject', { session, object });
      const text = `token '${token.label}' made a key that can be taken out of it: it was removed again`;
      throw new AgentError('ERR_KEY_UNSUPPORTED', text);
    },
    'write',
  );
  const isKept = await writing.catch((error: unknown) => {
    if (!(error instanceof AgentError) || error.ckr === undefined) throw error;
    const { code, ckr, ckrFunction } = error;
    throw new AgentError(code, `token '${token.label}' has made no key ${name}: ${errorText(error)}`, {
      cause: error,
      ckr,
      ...(ckrFunction !== undefined && { ckrFunction }),
      ...options,
    });
  });
  return { id, isKept };
}

/** The label of a key to be made. @throws AgentError ERR_URI without one */
function labelOf(uri: Pkcs11Uri): string {
  if (uri.type !== undefined && uri.type !== 'private') {
    throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} names no private key`, { hint: 'leave out type=' });
  }
  if (uri.object !== undefined && uri.object !== '') return uri.object;
  throw new AgentError('ERR_URI', `${pkcs11UriName(uri)} gives the new key no label`, { hint: 'say object=NAME' });
}

/**
 * Has a token make a key pair, and asks it whether it keeps the private half. It is asked once, whatever comes of it: what
 * failed may have made a key all the same.
 * @param uri the new key's label; its id, if that matters
 * @throws AgentError ERR_KEY_EXISTS, ERR_KEY_UNSUPPORTED, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
 */
export async function makeKeyPair(user: TokenUser, uri: Pkcs11Uri, kind: KeyKind): Promise<MadeKeyPair> {
  const label = labelOf(uri);
  // what is done in it is done again where it fails: this must not be
  const at = await user.run((open) => Promise.resolve(open));
  await refuseExisting(at, uri, label);
  const { id, isKept } = await generate(at, uri, label, kind);
  return { uri: { ...uri, token: at.token.label, object: label, id }, isKept };
}
