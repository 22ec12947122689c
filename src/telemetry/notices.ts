import type { AgentEvent } from '../agent/events.ts';

/** Something that a person is to do, whom no window and no terminal asks for it. */
export interface Notice {
  /**
   * - `touch`: a token may wait for a finger;
   * - `keypad`: it waits for its PIN there;
   * - `pin`: a PIN or passphrase is wanted, or was refused;
   * - `token`: one that is wanted is not there.
   */
  readonly kind: 'touch' | 'keypad' | 'pin' | 'token';
  /** In a few words. */
  readonly summary: string;
  /** In one sentence. Nothing of it is secret. */
  readonly text: string;
  /** Whom it is about, as far as it is known. */
  readonly tunnel?: string;
  readonly key?: string;
  readonly token?: string;
}

/** What an event wants of a person, if it does. */
export function noticeOf(event: AgentEvent): Notice | undefined {
  switch (event.type) {
    case 'request-slow': {
      const { tunnel, key, waitsFor } = event;
      if (waitsFor !== 'signature') return undefined;
      const text = `Tunnel ${tunnel} waits for a signature: touch your token if it wants that.`;
      return { kind: 'touch', summary: 'Touch your token', text, tunnel, ...(key !== undefined && { key }) };
    }
    case 'pin-pad': {
      const { token } = event;
      const text = `Token ${token} wants its PIN on its own keypad.`;
      return { kind: 'keypad', summary: "Enter the PIN on the token's keypad", text, token };
    }
    case 'login-failed': {
      const { token, error } = event;
      return {
        kind: 'pin',
        summary: 'The token wants its PIN',
        text: `Can't log in to token ${token}: ${error}`,
        token,
      };
    }
    case 'key-state':
      // of a token that is waited for its trouble tells
      if (event.state === 'waiting' && event.code === 'ERR_TOKEN_ABSENT') return undefined;
      return event.state === 'failed' || event.state === 'waiting' ? keyNotice(event) : undefined;
    case 'trouble': {
      const { error } = event.details;
      if (event.trouble !== 'token-absent' || event.seconds > 0) return undefined;
      return { kind: 'token', summary: 'Put in the token', text: error ?? 'The token is not there.' };
    }
    case 'request-done': {
      const { tunnel, outcome } = event;
      if (outcome.outcome !== 'failed' || outcome.code !== 'ERR_TOKEN_ABSENT') return undefined;
      const text = `Tunnel ${tunnel} got no signature: ${outcome.error}`;
      return { kind: 'token', summary: 'Put in the token', text, tunnel };
    }
    default:
      return undefined;
  }
}

function keyNotice(event: Extract<AgentEvent, { readonly type: 'key-state' }>): Notice | undefined {
  const { name, code = '', error = '' } = event;
  const text = `Key ${name} can't be used: ${error}`;
  if (code.startsWith('ERR_PIN_')) return { kind: 'pin', summary: 'The key wants its PIN', text, key: name };
  return code === 'ERR_TOKEN_ABSENT' ? { kind: 'token', summary: 'Put in the token', text, key: name } : undefined;
}

/** Of what kind are notices that an event makes old: what they wanted is done, or is not wanted any more. */
export function settledBy(event: AgentEvent): Notice['kind'] | undefined {
  switch (event.type) {
    case 'found':
      return 'token';
    case 'token-state':
      return event.isLoggedIn ? 'pin' : undefined;
    case 'trouble-over':
      return event.subject === 'token' ? 'token' : undefined;
    default:
      return undefined;
  }
}
