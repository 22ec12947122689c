import { expect, test } from 'vitest';
import {
  challengeTextResponse,
  concatenatedResponse,
  dynamicChallengeOf,
  dynamicChallengeResponse,
  encodeDynamicChallenge,
  parseDynamicChallenge,
  parseNotification,
  staticChallengeResponse,
} from '../../../../src/management/index.ts';

test('a static challenge', () => {
  // OpenVPN's own example: password "foo", response "bar"
  expect(staticChallengeResponse('foo', 'bar')).toBe('SCRV1:Zm9v:YmFy');
  expect(concatenatedResponse('foo', '123456')).toBe('foo123456');
});

test('a dynamic challenge, from the refusal to the answer', () => {
  // the notes' example 8
  const text = 'CRV1:R,E:Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l:Y3Ix:Please enter token PIN';
  const notification = parseNotification([`>PASSWORD:Verification Failed: 'Auth' ['${text}']`]);
  const challenge = notification.type === 'PASSWORD' ? dynamicChallengeOf(notification) : undefined;
  expect(challenge).toEqual({
    echo: true,
    responseRequired: true,
    stateId: 'Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l',
    username: 'cr1',
    text: 'Please enter token PIN',
  });
  if (challenge === undefined) return;
  expect(dynamicChallengeResponse(challenge, '8675309')).toBe('CRV1::Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l::8675309');
  expect(encodeDynamicChallenge(challenge)).toBe(text);
});

test('a reason that is no challenge', () => {
  expect(parseDynamicChallenge('CRV1:R')).toBeUndefined();
  expect(parseDynamicChallenge('Sorry: not: on: a: Monday')).toBeUndefined();
  const notification = parseNotification([">PASSWORD:Verification Failed: 'Auth'"]);
  expect(notification.type === 'PASSWORD' && dynamicChallengeOf(notification)).toBeUndefined();
});

test('an answer to CR_TEXT', () => {
  expect(challengeTextResponse('Hallo Welt!')).toBe('SGFsbG8gV2VsdCE=');
});
