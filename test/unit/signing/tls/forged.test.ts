import { expect, test } from 'vitest';
import { forgedTls13, forgedTranscripts } from '../../../support/forged-handshakes.ts';
import { contextIn, TLS13, TRANSCRIPTS } from '../../../support/handshakes.ts';

const CASES = [
  ...TLS13.flatMap((handshake) => forgedTls13(handshake).map((forged) => ({ handshake, forged }))),
  ...TRANSCRIPTS.flatMap((handshake) => forgedTranscripts(handshake).map((forged) => ({ handshake, forged }))),
];

test(`${CASES.length} forged messages are seen to be none of a TLS client`, () => {
  expect(CASES.length).toBeGreaterThan(3000);
  expect(new Set(CASES.map(({ forged }) => forged.name)).size).toBeGreaterThan(200);
  for (const { handshake, forged } of CASES) {
    const { message, algorithm = handshake.algorithm, name } = forged;
    const context = contextIn({ ...handshake, algorithm }, message);
    expect(context.kind, `${handshake.name}: ${name}`).toBe('other-message');
  }
});
