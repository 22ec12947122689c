import type { KeyObject, X509Certificate } from 'node:crypto';
import { errorCode } from '../errors.ts';
import {
  TokenKey,
  canSignBy,
  findModule,
  parsePkcs11Uri,
  peekAtCertificate,
  peekAtKey,
  pinState,
  pkcs11UriName,
  readTokenCertificate,
  type Module,
  type Pkcs11Uri,
  type TokenInfo,
} from '../pkcs11/index.ts';
import { keyKind, keyKindName } from '../signing/public-key.ts';
import { sampleRequests } from '../signing/sample-requests.ts';
import type { Signer } from '../signing/signer.ts';
import { askingAgain, tokensOf, type KeyOptions, type SourcedPin } from '../keys/open-key.ts';
import type { CanSign } from './advice.ts';
import { checkPinState } from './pin-state.ts';
import { failure, type Report } from './verdict.ts';

/** What was found of a key. */
export interface FoundKey {
  readonly name: string;
  readonly publicKey: KeyObject | undefined;
  readonly certificates: readonly X509Certificate[];
  /** Undefined where signing would take a PIN, and that was not asked for. */
  readonly signer: Signer | undefined;
  /** What it can sign as far as its token lists mechanisms; undefined where that is unknown. */
  readonly canSign?: CanSign;
}

export interface TokenCheckOptions extends Omit<KeyOptions, 'keys' | 'certificate'> {
  /** Log in, and so use a try if the PIN is wrong. */
  readonly login: boolean;
  readonly pinFor: (uriSource: string | undefined) => SourcedPin;
}

export const AFTER_LOGIN = 'it can be seen after login only, if at all';

/** What the token's list of mechanisms promises. */
function listed(mechanisms: ReadonlySet<number>, publicKey: KeyObject): CanSign {
  const kind = keyKind(publicKey);
  const possible = sampleRequests(kind)
    .filter(({ request }) => canSignBy(mechanisms, kind, request))
    .map(({ name }) => name);
  return (name) => possible.includes(name);
}

const tokenOptions = ({ hosts, defaultModule, pinFor }: TokenCheckOptions, uri: Pkcs11Uri) => ({
  tokens: tokensOf(hosts),
  ...pinFor(uri.pinSource),
  ...(defaultModule !== undefined && { defaultModule }),
});

function describeKey(name: string, publicKey: KeyObject, alwaysAuthenticate: boolean): string {
  const each = alwaysAuthenticate ? ', wants the PIN with each signature' : '';
  return `${name}: ${keyKindName(keyKind(publicKey))}${each}`;
}

/** Looks for a key without a login: what is public, and private keys that their token shows to everybody. */
async function lookForKey(
  host: Module,
  token: TokenInfo,
  uri: Pkcs11Uri,
  certificate: X509Certificate | undefined,
  options: TokenCheckOptions,
  report: Report,
): Promise<FoundKey> {
  const name = pkcs11UriName(uri);
  const { privateKey, publicKey, certificates, mechanisms } = await peekAtKey(host, token, uri);
  if (privateKey && publicKey) {
    report({ outcome: 'ok', what: 'key', detail: describeKey(name, publicKey, privateKey.alwaysAuthenticate) });
  } else {
    const half = publicKey ? ` (its public half is there: ${keyKindName(keyKind(publicKey))})` : '';
    report({
      outcome: 'skip',
      what: 'key',
      detail: `${name}: ${AFTER_LOGIN}${half}`,
      hint: options.login ? 'the PIN is what is wrong: see above' : 'give --login',
    });
  }
  const kindOf = publicKey ?? certificate?.publicKey;
  const canSign = kindOf && listed(mechanisms, kindOf);
  return { name, publicKey, certificates, signer: undefined, ...(canSign && { canSign }) };
}

/** Opens a key, logging in where its token wants that. */
async function openTokenKey(
  host: Module,
  token: TokenInfo,
  uri: Pkcs11Uri,
  certificate: X509Certificate | undefined,
  options: TokenCheckOptions,
  report: Report,
): Promise<FoundKey> {
  const keyOptions = { ...tokenOptions(options, uri), ...(certificate && { certificate }) };
  const signer = await askingAgain(options, uri.pinSource, () => TokenKey.open(uri, keyOptions));
  if (pinState(token).needsLogin) report({ outcome: 'ok', what: 'PIN', detail: `token '${token.label}' accepted it` });
  const { privateKey, mechanisms } = await peekAtKey(host, token, uri);
  const alwaysAuthenticate = privateKey?.alwaysAuthenticate === true;
  const { name, publicKey, certificates } = signer;
  report({ outcome: 'ok', what: 'key', detail: describeKey(name, publicKey, alwaysAuthenticate) });
  if (!alwaysAuthenticate || options.login) return { name, publicKey, certificates, signer };
  await signer[Symbol.asyncDispose]();
  return { name, publicKey, certificates, signer: undefined, canSign: listed(mechanisms, publicKey) };
}

/**
 * Checks a key in a token: its module, the token, the PIN's state, the key itself.
 * @param certificate for tokens that tell nothing of the public half
 * @returns undefined if it can't be used
 */
export async function checkTokenKey(
  key: string,
  certificate: X509Certificate | undefined,
  options: TokenCheckOptions,
  report: Report,
): Promise<FoundKey | undefined> {
  let what = 'key';
  try {
    const uri = parsePkcs11Uri(key);
    what = 'module';
    const host = await options.hosts.get(await findModule(uri, options.defaultModule));
    report({ outcome: 'ok', what, detail: `${host.modulePath} loads` });
    what = 'token';
    const token = await tokensOf(options.hosts).await(uri, host.modulePath);
    const { label, manufacturer, model, serial } = token;
    report({ outcome: 'ok', what, detail: `'${label}' is there (${manufacturer} ${model}, serial ${serial})` });
    what = 'PIN';
    const hasChance = await checkPinState(token, uri.pinSource, options, report);
    what = 'key';
    if (!pinState(token).needsLogin || (options.login && hasChance)) {
      try {
        return await openTokenKey(host, token, uri, certificate, options, report);
      } catch (error) {
        if (errorCode(error)?.startsWith('ERR_PIN_') !== true) throw error;
        report(failure('PIN', error));
      }
    }
    return await lookForKey(host, token, uri, certificate, options, report);
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
  options: TokenCheckOptions,
): Promise<X509Certificate | undefined> {
  const uri = parsePkcs11Uri(certificate);
  const host = await options.hosts.get(await findModule(uri, options.defaultModule));
  const token = await tokensOf(options.hosts).await(uri, host.modulePath);
  if (options.login) {
    const certificateOptions = tokenOptions(options, uri);
    return await askingAgain(options, uri.pinSource, () => readTokenCertificate(uri, certificateOptions));
  }
  return await peekAtCertificate(host, token, uri).catch((error: unknown) => {
    if (pinState(token).needsLogin && errorCode(error) === 'ERR_CERTIFICATE_NOT_FOUND') return undefined;
    throw error;
  });
}
