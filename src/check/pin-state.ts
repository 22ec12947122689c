import { AgentError, errorCode } from '../errors.ts';
import { pinState, type TokenInfo } from '../pkcs11/index.ts';
import type { Secret } from '../secret.ts';
import type { Opening } from '../keys/backends.ts';
import type { KeyCheck } from './checked-key.ts';
import { failure, type Verdict } from './verdict.ts';

/** The PIN's state by the token's flags, which costs nothing; undefined if they say nothing bad. */
function verdictOfFlags(token: TokenInfo, useFinalPinTry: boolean): Verdict | undefined {
  const { label } = token;
  const { tries } = pinState(token);
  if (tries === 'locked') {
    const hint = 'unlock it with its PUK or SO PIN';
    return failure('PIN', new AgentError('ERR_PIN_LOCKED', `the PIN of token '${label}' is locked`, { hint }));
  }
  if (tries === 'final try') {
    const detail = `token '${label}' has one try for its PIN left`;
    if (useFinalPinTry) return { outcome: 'warn', what: 'PIN', detail };
    const hint = 'log in by hand with the right PIN';
    return failure('PIN', new AgentError('ERR_PIN_FINAL_TRY', detail, { hint, reason: 'final-pin-try' }));
  }
  if (tries === 'count low') {
    const detail = `a wrong PIN was entered at token '${label}' since the last login`;
    return { outcome: 'warn', what: 'PIN', detail, hint: 'few tries are left' };
  }
  return undefined;
}

/** The PIN; undefined where a person or a command would have to be asked for it. */
async function quietPin(token: TokenInfo, uriSource: string | undefined, options: Opening['options']) {
  return await options
    .askSecret(`PIN of token '${token.label}'`, uriSource, 'quietly')
    .catch((error: unknown): Secret | undefined => {
      if (errorCode(error) === 'ERR_PIN_REQUIRED') return undefined;
      throw error;
    });
}

/**
 * Tells the state of a token's PIN without trying it: by the token's flags, and by the memory of PINs that it refused.
 * @returns whether a login has a chance
 */
export async function checkPinState(
  token: TokenInfo,
  uriSource: string | undefined,
  { opening: { options }, report }: Pick<KeyCheck, 'opening' | 'report'>,
): Promise<boolean> {
  const { label } = token;
  const { needsLogin, hasKeypad } = pinState(token);
  if (!needsLogin) {
    report({ outcome: 'ok', what: 'PIN', detail: `token '${label}' needs no login` });
    return true;
  }
  const said = verdictOfFlags(token, options.pkcs11?.useFinalPinTry ?? false);
  if (said) report(said);
  if (said?.outcome === 'fail') return false;
  if (hasKeypad) {
    const detail = `token '${label}' has a keypad of its own, or says so`;
    report({ outcome: 'warn', what: 'PIN', detail, hint: 'somebody may have to type there whenever pksigd starts' });
    return true;
  }
  try {
    const pin = await quietPin(token, uriSource, options);
    if (pin) await options.pkcs11?.refusedPins?.check(token, pin).finally(pin.destroy.bind(pin));
    if (!said) {
      const detail = `token '${label}' is not locked${pin ? ', and has not refused this PIN before' : ''}`;
      report({ outcome: 'ok', what: 'PIN', detail });
    }
    return true;
  } catch (error) {
    report(failure('PIN', error));
    return false;
  }
}
