import { expect, test } from 'vitest';
import { reportContext } from '../../../src/check/context.ts';
import type { KeyKind } from '../../../src/signing/public-key.ts';
import { reported } from './reported.ts';

const EC: KeyKind = { type: 'EC', curve: 'P-256', orderBytes: 32 };
const RELEASE = { major: 2, minor: 6 };

function line(kind: KeyKind, words: readonly string[], release = RELEASE): string {
  const { report, lines } = reported();
  reportContext(kind, new Map([['management-external-key', words]]), release, report);
  return lines.join('\n');
}

test('what is seen of what a daemon wants signed is told by key and .ovpn', () => {
  expect(line(EC, ['digest'])).toContain('whole messages');
  expect(line({ type: 'ED25519' }, [])).toContain('whole messages');
  expect(line(EC, ['nopadding'])).toMatch(/sends hashes.*'digest'.*10,239 bytes/);
  expect(line(EC, ['nopadding'], { major: 2, minor: 5 })).toMatch(/sends hashes.*2\.6/);
});
