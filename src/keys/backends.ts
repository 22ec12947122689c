// Keys: what a KEY names, opened as a Signer, wherever it lives. For the agent, the checks and the commands.
// A further kind of key is one more row here, and nothing elsewhere.
import type { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CertificateWords } from '../certificates/words.ts';
import { AgentError } from '../errors.ts';
import { type ExecKey, execTextFrom, formatExecText, isExecText, parseExecText } from '../exec/index.ts';
import { readCertificateFile } from '../keyfile/certificate-file.ts';
import { FileKey } from '../keyfile/key-file.ts';
import {
  namesTokenObject,
  parseTokenObject,
  pkcs11UriName,
  type Pkcs11Uri,
  type TokenKey,
  type TokenOptions,
} from '../pkcs11/index.ts';
import { nearest } from '../nearest.ts';
import { type Secret, withoutPinAttributes } from '../secret.ts';
import type { Signer } from '../signing/signer.ts';
import type { AskManner, KeyOptions } from './key-options.ts';
import { programSecret } from './program-secret.ts';
import { askingAgain, pinsBySource, pkcs11Options, type PinFor } from './pins.ts';

/** How to open keys: one for all copies of a key and its certificate, so that they share PINs. */
export interface Opening {
  readonly options: Omit<KeyOptions, 'keys' | 'certificate'>;
  readonly pinFor: PinFor;
  /** The key's certificate if one was given, for keys that do not tell their public half. */
  readonly certificate?: X509Certificate | undefined;
  /** What says which of several is meant, of keys and certificates. */
  readonly words?: CertificateWords | undefined;
}

/** Where a secret that a key may ask for comes from. */
export interface AskedSecret {
  /** The source that the KEY itself names; undefined for the one that serves all KEYs that name none. */
  readonly source: string | undefined;
}

/** One kind of place that keys and certificates are in. `text` is a KEY or CERT that the row {@link takes}. */
export interface Backend {
  /** Recognises a KEY or CERT by its scheme. */
  takes(text: string): boolean;
  /** The text as it may be logged: without secrets, and without what says where they are. */
  publicName(text: string): string;
  /** @throws AgentError if the text can't be read: a mistake, which is not waited for as for a copy that is away */
  validate(text: string): void;
  /** The text with what is a path in it counted from a folder. @throws AgentError if the text can't be read */
  from(text: string, folder: string): string;
  /** The path in it that can't be counted from a folder; undefined if there is none. @throws AgentError if the text can't be read */
  uncountedPath(text: string): string | undefined;
  /** The secret that opening it may ask for; undefined if it never asks. */
  secretOf(text: string): AskedSecret | undefined;
  /** Text for a person who waits while it is opened; empty where that takes no time. */
  readonly notice: string;
  /** @throws AgentError ERR_KEY_*, ERR_PIN_*, ERR_URI, ERR_TOKEN_*, ERR_MODULE_*, ERR_EXEC_* */
  openKey(text: string, opening: Opening): Promise<Signer>;
  /** The certificates that a CERT names, the key's own first. @throws AgentError ERR_CERTIFICATE_*, and as openKey does */
  readCertificates(text: string, opening: Opening): Promise<X509Certificate[]>;
  /** The path of a certificate that OpenVPN itself can read; undefined where it can't. */
  certificatePath(text: string): string | undefined;
}

/** How to open what a `pkcs11:` URI names. @throws AgentError ERR_USAGE without the settings that tokens take */
export function tokenOptions({ options, pinFor }: Opening, { pinSource }: Pkcs11Uri): TokenOptions {
  const { tokens, defaultModule } = pkcs11Options(options);
  return { tokens, ...pinFor(pinSource), ...(defaultModule !== undefined && { defaultModule }) };
}

interface TokenBackend extends Backend {
  openKey(text: string, opening: Opening): Promise<TokenKey>;
}

/** `pkcs11:` URIs (RFC 7512): keys and certificates in tokens. */
export const TOKEN_BACKEND: TokenBackend = {
  takes: namesTokenObject,
  publicName: (text) => pkcs11UriName(parseTokenObject(text)),
  validate: parseTokenObject,
  from: (text) => text,
  uncountedPath: (text) => parseTokenObject(text).modulePath,
  secretOf: (text) => ({ source: parseTokenObject(text).pinSource }),
  notice: 'reading the token…',
  openKey: async (text, opening) => {
    // what opens other kinds of keys takes its time to load
    const { TokenKey } = await import('../pkcs11/index.ts');
    const uri = parseTokenObject(text);
    const { options, certificate, words } = opening;
    const keyOptions = {
      ...tokenOptions(opening, uri),
      watchInterval: options.pkcs11?.watchInterval,
      onEvent: options.onEvent,
      ...(certificate && { certificate }),
      ...(words && { words }),
    };
    return await askingAgain(options, uri.pinSource, () => TokenKey.open(uri, keyOptions));
  },
  readCertificates: async (text, opening) => {
    const { readTokenCertificates } = await import('../pkcs11/index.ts');
    const uri = parseTokenObject(text);
    const certificateOptions = { ...tokenOptions(opening, uri), words: opening.words };
    return await askingAgain(opening.options, uri.pinSource, () => readTokenCertificates(uri, certificateOptions));
  },
  certificatePath: () => undefined,
};

/**
 * Opens a key behind a program.
 * @param withoutLogin leave its secret alone: nothing that takes it is signed
 * @throws AgentError ERR_USAGE without the settings that programs take; what {@link ExecKey.open} throws
 */
export async function openExecKey(text: string, opening: Opening, withoutLogin = false): Promise<ExecKey> {
  const { options, pinFor, certificate } = opening;
  const { programs } = options;
  if (!programs) throw new AgentError('ERR_USAGE', 'an exec: key, and nothing to run programs with');
  const { ExecKey } = await import('../exec/index.ts');
  const secret = (name: string) => programSecret(name, pinFor(undefined).pin);
  return await askingAgain(options, undefined, () =>
    ExecKey.open(text, { programs, certificate, secret, withoutLogin }),
  );
}

/** `exec:PROGRAM`: keys and certificates behind programs. */
export const EXEC_BACKEND: Backend = {
  takes: isExecText,
  publicName: (text) => formatExecText(parseExecText(text)),
  validate: parseExecText,
  from: execTextFrom,
  uncountedPath: () => undefined,
  secretOf: () => ({ source: undefined }),
  notice: 'asking the program…',
  openKey: openExecKey,
  readCertificates: async (text, opening) => {
    const key = await openExecKey(text, opening, true);
    await key.close();
    if (key.certificates.length > 0) return [...key.certificates];
    throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `${key.name} tells no certificate`);
  },
  certificatePath: () => undefined,
};

/** @throws AgentError ERR_USAGE for another kind of KEY whose scheme is mistyped: the rest of it, a PIN maybe, is not repeated */
function refuseMistyped(text: string, path: string): void {
  const scheme = /^([a-z0-9]+):/i.exec(text)?.[1] ?? '';
  const close = nearest(scheme, ['pkcs11', 'exec']);
  if (close === undefined || existsSync(path)) return;
  throw new AgentError('ERR_USAGE', `no key begins with '${scheme}:', and no file is called so`, {
    hint: `did you mean '${close}:'?`,
  });
}

/** Paths of files: whatever no other backend takes. */
export const FILE_BACKEND: Backend = {
  takes: () => true,
  publicName: withoutPinAttributes,
  validate: (text) => {
    refuseMistyped(text, text);
  },
  from: (text, folder) => {
    const path = resolve(folder, text);
    refuseMistyped(text, path);
    return path;
  },
  uncountedPath: () => undefined,
  secretOf: () => ({ source: undefined }),
  notice: '',
  openKey: async (text, { options }) => {
    let manner: AskManner = 'ask';
    const passphrase = async (): Promise<Secret> => {
      const asked = options.askSecret(`passphrase of ${withoutPinAttributes(text)}`, undefined, manner);
      manner = 'ask again';
      return await asked;
    };
    const allowReadableByOthers = options.allowReadableKey ?? false;
    return await askingAgain(options, undefined, () => FileKey.open(text, { passphrase, allowReadableByOthers }));
  },
  readCertificates: readCertificateFile,
  certificatePath: (text) => text,
};

/** All backends, in the order to ask them whether a text is theirs. */
const BACKENDS: readonly Backend[] = [TOKEN_BACKEND, EXEC_BACKEND];

/** The backend of a KEY or CERT. */
export function backendOf(text: string): Backend {
  return BACKENDS.find((backend) => backend.takes(text)) ?? FILE_BACKEND;
}

/** Prepares opening a key, its copies and its certificate. */
export function openingOf(options: Omit<KeyOptions, 'keys' | 'certificate'>): Opening {
  return { options, pinFor: pinsBySource(options), words: options.words };
}
