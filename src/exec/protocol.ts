import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { AgentError, type AgentErrorCode } from '../errors.ts';
import { decodeEcdsaDer } from '../signing/ecdsa-der.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { hashOf, parseAbility, type Ability } from './abilities.ts';

// What agent and program say to each other: a JSON object a line, requests to the program's standard input, replies from its
// standard output. docs/EXEC.md describes it; what is said there stays as long as the version is the same.

export const VERSION = 1;

/** What a program is asked to do, by the word that says so; base64 where bytes are meant. */
export type ProgramRequest =
  | { readonly do: 'hello' }
  | { readonly do: 'login'; readonly secret: string }
  | ({ readonly do: 'sign'; readonly secret?: string } & SignFields);

/** What is to be signed. */
export interface SignFields {
  readonly scheme: SignatureRequest['scheme'];
  readonly hash?: string;
  readonly saltLength?: number;
  readonly digest?: string;
  readonly digestInfo?: string;
  readonly block?: string;
  readonly message?: string;
}

/** A reply, of which nothing is known but that it is an object. */
export type Reply = Readonly<Record<string, unknown>>;

/** What a program says of itself and its key. */
export interface Hello {
  /** Undefined where it does not tell: its certificate, or one that is given, does. */
  readonly publicKey: KeyObject | undefined;
  readonly certificates: readonly X509Certificate[];
  readonly abilities: readonly Ability[];
  /** It takes further requests until its standard input ends; else there is one to a process. */
  readonly isKept: boolean;
  /** How many requests may be under way at a time. */
  readonly parallel: number;
  /** It wants a PIN or passphrase. */
  readonly wantsSecret: boolean;
}

const MAX_PARALLEL = 64;
/** More of a program's text goes into no error. */
const MAX_TEXT = 200;

/** The program does not speak as it must. */
export function protocolError(name: string, what: string): AgentError {
  return new AgentError('ERR_EXEC_PROTOCOL', `${name} ${what}`, { hint: 'docs/EXEC.md says what a program answers' });
}

const base64 = (bytes: Buffer): string => bytes.toString('base64');

/** A request to sign as the program gets it. */
export function signFields(request: SignatureRequest): SignFields {
  const hash = hashOf(request);
  const common = {
    scheme: request.scheme,
    ...(hash !== undefined && { hash }),
    ...(request.message && { message: base64(request.message) }),
  };
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING': {
      const { digest, encoded } = request.digestInfo;
      return { ...common, digest: base64(digest), digestInfo: base64(encoded) };
    }
    case 'RSA_PKCS1_PSS_PADDING':
      return { ...common, saltLength: request.saltLength, digest: base64(request.digest) };
    case 'RSA_NO_PADDING':
      return { ...common, saltLength: request.saltLength, block: base64(request.block) };
    case 'ECDSA':
      return { ...common, digest: base64(request.digest) };
    case 'ED25519':
    case 'ED448':
      return common;
  }
}

const CODES = new Map<unknown, AgentErrorCode>([
  ['unsupported', 'ERR_SCHEME_UNSUPPORTED'],
  ['absent', 'ERR_TOKEN_ABSENT'],
  ['not-found', 'ERR_KEY_NOT_FOUND'],
  ['pin-incorrect', 'ERR_PIN_INCORRECT'],
  ['pin-locked', 'ERR_PIN_LOCKED'],
  ['pin-required', 'ERR_PIN_REQUIRED'],
]);

/** What is said of the secret, as tokens say it: the memory of refused PINs goes by that. All else was said of the signature. */
const LOGIN_CKRS = new Map<unknown, string>([
  ['pin-incorrect', 'CKR_PIN_INCORRECT'],
  ['pin-locked', 'CKR_PIN_LOCKED'],
]);

/** The error of a reply that has one. @param redact takes secrets out of what the program says */
export function errorIn(reply: Reply, name: string, redact: (text: string) => string): AgentError | undefined {
  const { error } = reply;
  if (error === undefined || error === null) return undefined;
  if (typeof error !== 'object') return protocolError(name, 'answers with an error that is no object');
  const { code, message } = error as Reply;
  const why = typeof message === 'string' && message !== '' ? message : typeof code === 'string' ? code : 'no reason';
  // the cut comes last: it would leave part of a secret
  const text = redact(why).slice(0, MAX_TEXT).replace(/\s+/g, ' ');
  const login = LOGIN_CKRS.get(code);
  return new AgentError(CODES.get(code) ?? 'ERR_EXEC_FAILED', `${name} says: ${text}`, {
    ckr: login ?? 'CKR_FUNCTION_FAILED',
    ckrFunction: login === undefined ? 'C_Sign' : 'C_Login',
  });
}

function texts(value: unknown): readonly string[] | undefined {
  if (value === undefined) return [];
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined;
}

/** base64 in its one form; undefined if it is anything else. */
function bytesOf(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** PEM, or the base64 of DER. */
function keyIn(text: unknown): KeyObject | undefined {
  if (text === undefined || text === null) return undefined;
  if (typeof text === 'string' && text.includes('-----BEGIN')) {
    // a private key would be taken too, and the first of several: that they are here is a mistake to be told
    const [label, ...more] = text.match(/-----BEGIN [^-]*-----/g) ?? [];
    if (!/ (RSA )?PUBLIC KEY-----$/.test(label ?? '') || more.length > 0)
      throw new TypeError('it is PEM of something else');
    return createPublicKey(text);
  }
  const key = bytesOf(text);
  if (!key) throw new TypeError('it is neither PEM nor base64');
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

/** One in base64 of DER, or all in PEM: node takes the first of them. */
function certificatesIn(text: string): X509Certificate[] {
  if (!text.includes('-----BEGIN ')) return [new X509Certificate(Buffer.from(text, 'base64'))];
  const blocks = text.split(/(?=-----BEGIN )/).filter((part) => part.startsWith('-----BEGIN '));
  return blocks.map((block) => new X509Certificate(block));
}

function read<Value>(name: string, field: string, parse: () => Value): Value {
  try {
    return parse();
  } catch {
    throw protocolError(name, `answers 'hello' with a '${field}' that can't be read`);
  }
}

/** Reads the reply to `hello`. @throws AgentError ERR_EXEC_PROTOCOL */
export function helloIn(reply: Reply, name: string): Hello {
  const { version, publicKey, keep = false, parallel = 1, secret = false } = reply;
  if (version !== VERSION) {
    const said = typeof version === 'number' ? `speaks version ${version}` : "answers 'hello' without a version";
    throw protocolError(name, `${said}: pksigd speaks ${VERSION}`);
  }
  const schemes = texts(reply['schemes']);
  if (!schemes || schemes.length === 0) throw protocolError(name, "answers 'hello' without 'schemes'");
  const certificates = texts(reply['certificates']);
  if (!certificates) throw protocolError(name, "answers 'hello' with 'certificates' that are no list of texts");
  if (typeof keep !== 'boolean') throw protocolError(name, "answers 'hello' with a 'keep' that is not true or false");
  if (typeof secret !== 'boolean')
    throw protocolError(name, "answers 'hello' with a 'secret' that is not true or false");
  if (typeof parallel !== 'number' || !Number.isSafeInteger(parallel) || parallel < 1)
    throw protocolError(name, "answers 'hello' with a 'parallel' that is no number of requests");
  return {
    publicKey: read(name, 'publicKey', () => keyIn(publicKey)),
    certificates: read(name, 'certificates', () => certificates.flatMap(certificatesIn)),
    // those of a later version of the protocol are left out
    abilities: schemes.map(parseAbility).filter((ability) => ability !== undefined),
    isKept: keep,
    parallel: Math.min(parallel, MAX_PARALLEL),
    wantsSecret: secret,
  };
}

/** What a reply to `sign` has. */
export interface Signed {
  /** r‖s for ECDSA. */
  readonly bytes: Buffer;
  /** What the program says that it signed with. */
  readonly mechanism: string | undefined;
}

/** Reads the reply to `sign`. @param orderBytes of an EC key's order @throws AgentError ERR_EXEC_PROTOCOL */
export function signatureIn(reply: Reply, name: string, orderBytes: number | undefined): Signed {
  const { signature, encoding = 'der', mechanism } = reply;
  const bytes = bytesOf(signature);
  if (!bytes) throw protocolError(name, "answers 'sign' without a 'signature' in base64");
  if (encoding !== 'der' && encoding !== 'raw')
    throw protocolError(name, "answers 'sign' with an 'encoding' that is neither der nor raw");
  const raw = orderBytes === undefined || encoding === 'raw' ? bytes : decodeEcdsaDer(bytes, orderBytes);
  if (!raw) throw protocolError(name, "answers 'sign' with a 'signature' that is no DER of ECDSA");
  const said = typeof mechanism === 'string' && mechanism !== '' ? mechanism.slice(0, MAX_TEXT) : undefined;
  return { bytes: raw, mechanism: said };
}

/** Reads the reply to `login`. @returns whether the program looked at the secret @throws AgentError ERR_EXEC_PROTOCOL */
export function isLoginChecked({ login }: Reply, name: string): boolean {
  if (login === 'accepted' || login === 'unchecked') return login === 'accepted';
  throw protocolError(name, "answers 'login' with a 'login' that is neither accepted nor unchecked");
}
