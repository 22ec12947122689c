import { Secret } from '../../secret.ts';
import {
  encodeStaticChallenge,
  type DynamicChallenge,
  parseDynamicChallenge,
  parseStaticChallenge,
  type StaticChallenge,
} from './challenge.ts';

/** The forms of `>PASSWORD:` (management-notes "COMMAND -- password and username"). */
export type PasswordNotification =
  | {
      readonly type: 'PASSWORD';
      readonly form: 'need';
      /** The thing that it is for: `Auth`, `Private Key`, `HTTP Proxy`… Goes back in `username` and `password`. */
      readonly name: string;
      /** OpenVPN 2.7 asks for a username alone, from client version 4 on. */
      readonly wants: 'password' | 'username/password' | 'username';
      readonly staticChallenge: StaticChallenge | undefined;
    }
  | {
      readonly type: 'PASSWORD';
      readonly form: 'failed';
      /** What failed; undefined in the form `Verification Failed: ['reason']`. */
      readonly name: string | undefined;
      /** The server's reason; for a dynamic challenge see {@link dynamicChallengeOf}. */
      readonly reason: string | undefined;
    }
  | {
      readonly type: 'PASSWORD';
      readonly form: 'auth-token';
      readonly token: Secret;
    };

/** The dynamic challenge in a refusal's reason, undefined if it is an ordinary reason. */
export function dynamicChallengeOf(notification: PasswordNotification): DynamicChallenge | undefined {
  if (notification.form !== 'failed' || notification.reason === undefined) return undefined;
  return parseDynamicChallenge(notification.reason);
}

/** Reads what follows `>PASSWORD:`; undefined if it has none of the forms. */
export function parsePassword(text: string): PasswordNotification | undefined {
  const need = /^Need '(.*?)' (password|username\/password|username)(?: SC:(.*))?$/s.exec(text);
  if (need !== null) {
    const [, name = '', wants, challengeText] = need;
    const staticChallenge = challengeText === undefined ? undefined : parseStaticChallenge(challengeText);
    if (challengeText !== undefined && staticChallenge === undefined) return undefined;
    if (wants !== 'password' && wants !== 'username/password' && wants !== 'username') return undefined;
    return { type: 'PASSWORD', form: 'need', name, wants, staticChallenge };
  }
  const both = /^Verification Failed: '(.*?)' \['(.*)'\]$/s.exec(text);
  if (both !== null) return { type: 'PASSWORD', form: 'failed', name: both[1], reason: both[2] };
  const one = /^Verification Failed: (?:'(.*)'|\['(.*)'\])$/s.exec(text);
  if (one !== null) return { type: 'PASSWORD', form: 'failed', name: one[1], reason: one[2] };
  if (text.startsWith('Auth-Token:'))
    return { type: 'PASSWORD', form: 'auth-token', token: new Secret(text.slice('Auth-Token:'.length)) };
  return undefined;
}

/** The inverse of {@link parsePassword}. The text of an `auth-token` is secret. */
export function encodePassword(notification: PasswordNotification): string {
  switch (notification.form) {
    case 'need': {
      const challenge = notification.staticChallenge;
      const suffix = challenge === undefined ? '' : ` SC:${encodeStaticChallenge(challenge)}`;
      return `Need '${notification.name}' ${notification.wants}${suffix}`;
    }
    case 'failed': {
      const parts = [
        ...(notification.name === undefined ? [] : [`'${notification.name}'`]),
        ...(notification.reason === undefined ? [] : [`['${notification.reason}']`]),
      ];
      return `Verification Failed: ${parts.join(' ')}`;
    }
    case 'auth-token':
      return `Auth-Token:${notification.token.reveal()}`;
  }
}
