import { AgentError } from '../errors.ts';
import { Pin, processMemory, type PinMemory, type PinTries, type Tokens } from '../pkcs11/index.ts';
import type { Secret } from '../secret.ts';
import type { KeyOptions, Pkcs11Options } from './key-options.ts';

/** A PIN, and the name of where it comes from. */
export interface SourcedPin {
  readonly pin: Pin;
  readonly pinSource: string;
}

/** The PIN that a URI's `pin-source` comes to, or the one for URIs that name none. */
export interface PinFor {
  (uriSource: string | undefined): SourcedPin;
  /** Lets go of them all, when nothing is opened by them any more. */
  readonly letGo: () => void;
}

/** Memories of refused PINs where there is none over restarts: they last as long as the tokens are used. */
const memories = new WeakMap<Tokens, PinMemory>();

function memoryOf({ tokens, refusedPins }: Pkcs11Options): PinMemory {
  const memory = refusedPins ?? memories.get(tokens) ?? processMemory();
  if (!refusedPins) memories.set(tokens, memory);
  return memory;
}

/** @throws AgentError ERR_USAGE without the settings that tokens take */
export function pkcs11Options({ pkcs11 }: Pick<KeyOptions, 'pkcs11'>): Pkcs11Options {
  if (pkcs11) return pkcs11;
  throw new AgentError('ERR_USAGE', 'a pkcs11 URI, and nothing to open tokens with');
}

/** PINs by their source: key and certificate on one token share one, and a wrong one is tried once. */
export function pinsBySource(options: Pick<KeyOptions, 'askSecret' | 'nameSource' | 'pkcs11' | 'onEvent'>): PinFor {
  const { askSecret, nameSource, onEvent } = options;
  const pins = new Map<string, Pin>();
  const undo: (() => void)[] = [];
  let isOver = false as boolean;
  const pinFor = (uriSource: string | undefined): SourcedPin => {
    const settings = pkcs11Options(options);
    const ask = async (token: string, again: boolean, tries: PinTries): Promise<Secret> => {
      const what = `PIN of token '${token}'`;
      const secret = await askSecret(what, uriSource, again ? 'ask again' : 'ask', tries);
      if (!isOver) return secret;
      secret.destroy();
      throw new AgentError('ERR_ABORTED', `not wanted any more: ${what}`);
    };
    const pinSource = nameSource?.(uriSource) ?? JSON.stringify(uriSource ?? null);
    const known = pins.get(pinSource);
    if (known) return { pin: known, pinSource };
    const pin = new Pin({ ask, refused: memoryOf(settings), useFinalTry: settings.useFinalPinTry, onEvent });
    pins.set(pinSource, pin);
    undo.push(settings.tokens.keep(pin));
    return { pin, pinSource };
  };
  const letGo = (): void => {
    isOver = true;
    for (const each of undo.splice(0)) each();
  };
  return Object.assign(pinFor, { letGo });
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
