import type { KeyObject, X509Certificate } from 'node:crypto';
import { errorCode } from '../errors.ts';
import { TOKEN_BACKEND } from '../keys/backends.ts';
import { pkcs11Options } from '../keys/pins.ts';
import {
  canSignBy,
  findModule,
  maySignBy,
  narrowed,
  parseTokenObject,
  peekAtCertificate,
  peekAtKey,
  pinState,
  pkcs11UriName,
  type Pkcs11Uri,
  type SeenToken,
  type Tokens,
} from '../pkcs11/index.ts';
import { keyKind, keyKindName } from '../signing/public-key.ts';
import { abilitiesOf, abilitiesOfSigner } from './can-sign.ts';
import { AFTER_LOGIN, describeKey, type CheckedKey, type KeyCheck } from './checked-key.ts';
import { checkPinState } from './pin-state.ts';
import { failure } from './verdict.ts';

/** A token and what is looked for in it. */
interface Place {
  readonly tokens: Tokens;
  readonly modulePath: string;
  readonly token: SeenToken;
  readonly uri: Pkcs11Uri;
}

function detailOf(name: string, publicKey: KeyObject, alwaysAuthenticate: boolean): string {
  return `${describeKey(name, publicKey)}${alwaysAuthenticate ? ', wants the PIN with each signature' : ''}`;
}

/** Looks for a key without a login: what is public, and private keys that their token shows to everybody. */
async function lookForKey(place: Place, { opening, report }: KeyCheck, isPinRefused: boolean): Promise<CheckedKey> {
  const name = pkcs11UriName(place.uri);
  const { words } = opening;
  const { privateKey, publicKey, certificates, mechanisms, allowed } = await peekAtKey({ ...place, words });
  if (privateKey && publicKey) {
    report({ outcome: 'ok', what: 'key', detail: detailOf(name, publicKey, privateKey.alwaysAuthenticate) });
  } else {
    const half = publicKey ? ` (its public half is there: ${keyKindName(keyKind(publicKey))})` : '';
    report({
      outcome: 'skip',
      what: 'key',
      detail: `${name}: ${AFTER_LOGIN}${half}`,
      ...(isPinRefused ? { hint: 'the PIN is what is wrong: see above' } : { reason: 'no-login' }),
    });
  }
  const known = publicKey ?? opening.certificate?.publicKey;
  const looked = { name, publicKey, certificates, signer: undefined, isPinRefused };
  if (!known) return looked;
  const kind = keyKind(known);
  const abilities = abilitiesOf(
    kind,
    (request) => canSignBy(mechanisms, kind, request),
    (request) => maySignBy(allowed, kind, request),
  );
  return { ...looked, abilities };
}

/** Opens a key, logging in where its token wants that. */
async function openKeyIn(
  { token: { info: token } }: Place,
  key: string,
  { opening, login, report }: KeyCheck,
): Promise<CheckedKey> {
  const signer = await TOKEN_BACKEND.openKey(key, opening);
  if (pinState(token).needsLogin) report({ outcome: 'ok', what: 'PIN', detail: `token '${token.label}' accepted it` });
  // what else there is to know it tells itself: a token may have no second session
  const { name, publicKey, certificates, alwaysAuthenticate } = signer;
  report({ outcome: 'ok', what: 'key', detail: detailOf(name, publicKey, alwaysAuthenticate) });
  if (!alwaysAuthenticate || login) return { name, publicKey, certificates, signer };
  await signer[Symbol.asyncDispose]();
  return { name, publicKey, certificates, signer: undefined, abilities: abilitiesOfSigner(signer) };
}

/** Opens the key if its PIN may be tried; else, or if the PIN is refused, looks for what is public. */
async function openOrLook(place: Place, key: string, hasChance: boolean, check: KeyCheck): Promise<CheckedKey> {
  let isPinRefused = !hasChance;
  if (hasChance && (check.login || !pinState(place.token.info).needsLogin)) {
    try {
      return await openKeyIn(place, key, check);
    } catch (error) {
      if (errorCode(error)?.startsWith('ERR_PIN_') !== true) throw error;
      check.report(failure('PIN', error));
      isPinRefused = true;
    }
  }
  return await lookForKey(place, check, isPinRefused);
}

/**
 * Checks a key in a token: its module, the token, the PIN's state, the key itself.
 * @returns undefined if it can't be used
 */
export async function checkTokenKey(key: string, check: KeyCheck): Promise<CheckedKey | undefined> {
  const { opening, report } = check;
  let what = 'key';
  try {
    const uri = parseTokenObject(key);
    what = 'module';
    const { tokens, defaultModule } = pkcs11Options(opening.options);
    const { modulePath } = await tokens.module(await findModule(uri, defaultModule));
    report({ outcome: 'ok', what, detail: `${modulePath} loads` });
    what = 'token';
    const token = await tokens.await(await narrowed(uri, modulePath, tokens, opening.words), modulePath);
    const { label, manufacturer, model, serial } = token.info;
    report({ outcome: 'ok', what, detail: `'${label}' is there (${manufacturer} ${model}, serial ${serial})` });
    what = 'PIN';
    const hasChance = await checkPinState(token.info, uri.pinSource, check);
    what = 'key';
    return await openOrLook({ tokens, modulePath, token, uri }, key, hasChance, check);
  } catch (error) {
    report(failure(what, error));
    return undefined;
  }
}

/**
 * The certificate in a token that a URI names.
 * @returns undefined if it can be seen after login only, and that was not asked for
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*
 */
export async function lookForCertificate(
  certificate: string,
  { opening, login }: KeyCheck,
): Promise<X509Certificate | undefined> {
  const uri = parseTokenObject(certificate);
  const { tokens, defaultModule } = pkcs11Options(opening.options);
  const modulePath = await findModule(uri, defaultModule);
  const { words } = opening;
  const token = await tokens.await(await narrowed(uri, modulePath, tokens, words), modulePath);
  if (login) return (await TOKEN_BACKEND.readCertificates(certificate, opening))[0];
  return await peekAtCertificate({ tokens, modulePath, token, uri, words }).catch((error: unknown) => {
    if (pinState(token.info).needsLogin && errorCode(error) === 'ERR_CERTIFICATE_NOT_FOUND') return undefined;
    throw error;
  });
}
