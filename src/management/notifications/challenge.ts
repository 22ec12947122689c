import { cut, fieldsOf } from '../wire/fields.ts';

/** A static challenge: asked together with username and password (`static-challenge` in the client's configuration). */
export interface StaticChallenge {
  /** Show what the user types. */
  readonly echo: boolean;
  /** The response is appended to the password ({@link concatenatedResponse}) instead of packed as SCRV1 (2.6 on). */
  readonly concat: boolean;
  readonly text: string;
}

/** A dynamic challenge: sent by the server in a refusal, to be answered at the next `Need 'Auth'`. */
export interface DynamicChallenge {
  /** Show what the user types (flag `E`). */
  readonly echo: boolean;
  /** A response must be given (flag `R`). */
  readonly responseRequired: boolean;
  /** Opaque; goes back with the response. */
  readonly stateId: string;
  /** Answer with this username. */
  readonly username: string;
  readonly text: string;
}

/** Reads `flags,text` behind `SC:`; the flags are a number of two bits (management_query_user_pass in manage.c). */
export function parseStaticChallenge(text: string): StaticChallenge | undefined {
  const fields = fieldsOf(text, 2);
  const [flagText = '', question = ''] = fields ?? [];
  if (fields === undefined || !/^[0-3]$/.test(flagText)) return undefined;
  const flags = Number(flagText);
  return { echo: (flags & 1) !== 0, concat: (flags & 2) !== 0, text: question };
}

/** The inverse of {@link parseStaticChallenge}. */
export function encodeStaticChallenge(challenge: StaticChallenge): string {
  return `${(challenge.echo ? 1 : 0) | (challenge.concat ? 2 : 0)},${challenge.text}`;
}

/** Reads `CRV1:flags:state:base64 of the username:text` (get_auth_challenge in misc.c). */
export function parseDynamicChallenge(text: string): DynamicChallenge | undefined {
  let rest = text;
  const fields: string[] = [];
  while (fields.length < 4) {
    const halves = cut(rest, ':');
    if (halves === undefined) return undefined;
    fields.push(halves[0]);
    rest = halves[1];
  }
  const [word, flags = '', stateId = '', username = ''] = fields;
  if (word !== 'CRV1') return undefined;
  return {
    echo: flags.includes('E'),
    responseRequired: flags.includes('R'),
    stateId,
    username: Buffer.from(username, 'base64').toString(),
    text: rest,
  };
}

/** The inverse of {@link parseDynamicChallenge}: also a `client-deny` reason by which a server asks. */
export function encodeDynamicChallenge(challenge: DynamicChallenge): string {
  const flags = [...(challenge.responseRequired ? ['R'] : []), ...(challenge.echo ? ['E'] : [])].join(',');
  const username = Buffer.from(challenge.username).toString('base64');
  return `CRV1:${flags}:${challenge.stateId}:${username}:${challenge.text}`;
}

/** The password that answers a static challenge: `SCRV1:base64 of the password:base64 of the response`. */
export function staticChallengeResponse(password: string, response: string): string {
  return `SCRV1:${Buffer.from(password).toString('base64')}:${Buffer.from(response).toString('base64')}`;
}

/** The password that answers a static challenge with `concat`: the password and, right behind it, the response. */
export function concatenatedResponse(password: string, response: string): string {
  return password + response;
}

/** The password that answers a dynamic challenge: `CRV1::state::response`. */
export function dynamicChallengeResponse(challenge: DynamicChallenge, response: string): string {
  return `CRV1::${challenge.stateId}::${response}`;
}

/** The argument of `cr-response`, the answer to a CR_TEXT: base64 of the response. */
export function challengeTextResponse(response: string): string {
  return Buffer.from(response).toString('base64');
}
