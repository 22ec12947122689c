import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { readCertificateFile } from '../keyfile/certificate-file.ts';
import { FileKey } from '../keyfile/key-file.ts';
import {
  Pin,
  TokenKey,
  isPkcs11Uri,
  parsePkcs11Uri,
  pkcs11UriName,
  processMemory,
  readTokenCertificate,
  type ModuleHosts,
  type PinMemory,
  type TokenEvent,
} from '../pkcs11/index.ts';
import { withoutPinAttributes, type Secret } from '../secret.ts';
import type { Signer } from '../signing/signer.ts';
import { FailoverKey } from './failover-key.ts';
import type { FailoverEvent } from './key-copy.ts';

/**
 * `ask again`: a token refused what came last time; get it anew, from a person only if one waits for that, or reject.
 * `quietly`: without troubling a person, or reject.
 */
export type AskManner = 'ask' | 'ask again' | 'quietly';

/** Which key to open, and how. */
export interface KeyOptions {
  /** Files' paths or `pkcs11:` URIs; several are copies of one key, the first preferred. */
  readonly keys: readonly string[];
  /** A file's path or a `pkcs11:` URI; without it, what comes with the key. */
  readonly certificate?: string | undefined;
  readonly hosts: ModuleHosts;
  /** The module for URIs that name none. */
  readonly defaultModule?: string | undefined;
  readonly allowReadableKey?: boolean | undefined;
  /**
   * Gets a PIN or passphrase.
   * @param what for a prompt: `PIN of token 'x'`, `passphrase of /path`
   * @param uriSource the `pin-source` of the URI that wants it
   */
  readonly askSecret: (what: string, uriSource: string | undefined, manner: AskManner) => Promise<Secret>;
  /** Whether a person who typed a wrong PIN is there to type it again: then all is done again, with `ask again`. */
  readonly mayAskAgain?: ((error: unknown, uriSource: string | undefined) => boolean) | undefined;
  /**
   * Names the source that a URI's `pin-source` (or none) comes to, so that two ways to say one source are one. Without it
   * each text is a source of its own.
   * @throws AgentError ERR_USAGE if it is none
   */
  readonly nameSource?: ((uriSource: string | undefined) => string) | undefined;
  /** The memory of refused PINs over restarts; without it, for as long as `hosts` are used. */
  readonly refusedPins?: PinMemory | undefined;
  readonly useFinalPinTry?: boolean | undefined;
  /** Milliseconds between looks at a token; without it, its removal is noticed by the next signature only. */
  readonly watchInterval?: number | undefined;
  /** Milliseconds that a signature may take. */
  readonly deadline: number;
  readonly onEvent?: (event: TokenEvent | FailoverEvent) => void;
}

/** A key that is ready, and the certificates to hand to the daemon, the key's own first. */
export interface OpenedKey extends AsyncDisposable {
  readonly signer: Signer;
  readonly certificates: readonly X509Certificate[];
}

/** Milliseconds after which the next copy is asked as well: the daemon stands still meanwhile. */
const LONGEST_PATIENCE = 5_000;

/** What was refused, where there is no memory over restarts: for as long as the hosts are used. */
const memories = new WeakMap<ModuleHosts, PinMemory>();

/** A PIN, and the name of where it comes from. */
export interface SourcedPin {
  readonly pin: Pin;
  readonly pinSource: string;
}

/** PINs by their source: key and certificate on one token share one, and a wrong one is tried once. */
export function pinCache(
  options: Pick<KeyOptions, 'askSecret' | 'nameSource' | 'refusedPins' | 'useFinalPinTry' | 'onEvent' | 'hosts'>,
): (uriSource: string | undefined) => SourcedPin {
  const { askSecret, nameSource, refusedPins, useFinalPinTry, onEvent, hosts } = options;
  const refused = refusedPins ?? memories.get(hosts) ?? processMemory();
  if (!refusedPins) memories.set(hosts, refused);
  const pins = new Map<string, Pin>();
  return (uriSource) => {
    const ask = (token: string, again: boolean): Promise<Secret> =>
      askSecret(`PIN of token '${token}'`, uriSource, again ? 'ask again' : 'ask');
    const pinSource = nameSource?.(uriSource) ?? JSON.stringify(uriSource ?? null);
    const pin = pins.get(pinSource) ?? new Pin({ ask, refused, useFinalTry: useFinalPinTry, onEvent });
    pins.set(pinSource, pin);
    return { pin, pinSource };
  };
}

/** Does something that may take a PIN; where a person typed a wrong one, again, until it is right or they give up. */
export async function askingAgain<Result>(
  { mayAskAgain }: Pick<KeyOptions, 'mayAskAgain'>,
  uriSource: string | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (mayAskAgain?.(error, uriSource) !== true) throw error;
    }
  }
}

/**
 * Opens a key and the certificate that goes with it.
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_*, ERR_PIN_*, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function openKey(options: KeyOptions): Promise<OpenedKey> {
  const { keys, certificate, hosts, defaultModule, askSecret, onEvent, watchInterval, deadline } = options;
  const pinFor = pinCache(options);
  const tokenOptions = { hosts, ...(defaultModule !== undefined && { defaultModule }) };

  const readCertificates = async (): Promise<X509Certificate[] | undefined> => {
    if (certificate === undefined) return undefined;
    if (!isPkcs11Uri(certificate)) return await readCertificateFile(certificate);
    const uri = parsePkcs11Uri(certificate);
    return [
      await askingAgain(options, uri.pinSource, () =>
        readTokenCertificate(uri, { ...tokenOptions, ...pinFor(uri.pinSource) }),
      ),
    ];
  };

  const given = await readCertificates();
  const [givenOwn] = given ?? [];
  const openOne = async (key: string): Promise<Signer> => {
    if (!isPkcs11Uri(key)) {
      return await FileKey.open(key, {
        passphrase: () => askSecret(`passphrase of ${withoutPinAttributes(key)}`, undefined, 'ask'),
        allowReadableByOthers: options.allowReadableKey ?? false,
      });
    }
    const uri = parsePkcs11Uri(key);
    const tokenKeyOptions = {
      ...tokenOptions,
      ...pinFor(uri.pinSource),
      watchInterval,
      ...(onEvent && { onEvent }),
      ...(givenOwn && { certificate: givenOwn }),
    };
    return await askingAgain(options, uri.pinSource, () => TokenKey.open(uri, tokenKeyOptions));
  };

  // a URI that can't be read is a mistake, not a copy that fails
  for (const key of keys) if (isPkcs11Uri(key)) parsePkcs11Uri(key);
  const [first, ...copies] = keys;
  if (first === undefined) throw new AgentError('ERR_USAGE', 'no key was named');
  const signer =
    copies.length === 0
      ? await openOne(first)
      : await FailoverKey.open(
          keys.map((key) => ({ key: publicName(key), open: () => openOne(key) })),
          { patience: Math.min(LONGEST_PATIENCE, deadline / keys.length), ...(onEvent && { onEvent }) },
        );

  const certificates = given ?? signer.certificates;
  const [own] = certificates;
  if (own && !own.publicKey.equals(signer.publicKey)) {
    await signer[Symbol.asyncDispose]();
    throw new AgentError(
      'ERR_CERTIFICATE_MISMATCH',
      `the certificate ${certificate ?? ''} is not of the key ${signer.name}`,
    );
  }
  return { signer, certificates, [Symbol.asyncDispose]: () => signer[Symbol.asyncDispose]() };
}

/** A KEY as it may be logged: a URI without its query. */
function publicName(key: string): string {
  return isPkcs11Uri(key) ? pkcs11UriName(parsePkcs11Uri(key)) : withoutPinAttributes(key);
}
