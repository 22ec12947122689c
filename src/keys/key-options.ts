import type { CertificateWords } from '../certificates/words.ts';
import type { Programs } from '../exec/index.ts';
import type { PinMemory, PinTries, TokenEvent, Tokens } from '../pkcs11/index.ts';
import type { Secret } from '../secret.ts';
import type { FailoverEvent } from './key-copy.ts';

export type { PinTries };

/**
 * `ask again`: a token refused what came last time; get another one, from a person too, or reject.
 * `quietly`: without troubling a person, or reject.
 */
export type AskManner = 'ask' | 'ask again' | 'quietly';

/** How to open keys and certificates in PKCS#11 tokens. */
export interface Pkcs11Options {
  /** All keys that are opened with the same ones share each token's session. */
  readonly tokens: Tokens;
  /** The module for URIs that name none. */
  readonly defaultModule?: string | undefined;
  /** The memory of refused PINs over restarts; without it, for as long as `tokens` are used. */
  readonly refusedPins?: PinMemory | undefined;
  readonly useFinalPinTry?: boolean | undefined;
  /** Milliseconds between looks at a token; without it, its removal is noticed by the next signature only. */
  readonly watchInterval?: number | undefined;
}

/** Which key to open, and how. */
export interface KeyOptions {
  /** Files' paths, `pkcs11:` URIs or `exec:` programs; several are copies of one key, the first preferred. */
  readonly keys: readonly string[];
  /** A file's path or a `pkcs11:` URI; without it, what comes with the key. */
  readonly certificate?: string | undefined;
  /** What the certificate must be, where the KEY names several keys, or there are several certificates. */
  readonly words?: CertificateWords | undefined;
  /** For `pkcs11:` URIs: without it there can be none. */
  readonly pkcs11?: Pkcs11Options | undefined;
  /** For `exec:` programs: without it there can be none. */
  readonly programs?: Programs | undefined;
  /** Take a key file that group or others can read. */
  readonly allowReadableKey?: boolean | undefined;
  /**
   * Gets a PIN or passphrase.
   * @param what for a prompt: `PIN of token 'x'`, `passphrase of /path`
   * @param uriSource the `pin-source` of the URI that wants it
   * @param tries what a token says of those that are left: for a prompt
   */
  readonly askSecret: (
    what: string,
    uriSource: string | undefined,
    manner: AskManner,
    tries?: PinTries,
  ) => Promise<Secret>;
  /** Whether a person who typed a wrong PIN is there to type it again: then all is done again, with `ask again`. */
  readonly mayAskAgain?: ((error: unknown, uriSource: string | undefined) => boolean) | undefined;
  /**
   * Names the source that a URI's `pin-source` (or none) comes to, so that two ways to say one source are one. Without it
   * each text is a source of its own.
   * @throws AgentError ERR_USAGE if it is not a source
   */
  readonly nameSource?: ((uriSource: string | undefined) => string) | undefined;
  /** Milliseconds that a signature may take: looked at anew at each. */
  readonly deadline: number;
  readonly onEvent?: ((event: TokenEvent | FailoverEvent) => void) | undefined;
}
