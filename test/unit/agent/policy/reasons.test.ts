import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { PolicySettings } from '../../../../src/config/settings.ts';
import type { Reason } from '../../../../src/errors.ts';
import { HANDSHAKES, HANDSHAKES_CA } from '../../../support/handshakes.ts';
import { askedOf, policy, refusal } from './policy-bed.ts';

const ec = HANDSHAKES.find(({ name }) => name.includes(' p256 1.3 '));
if (!ec) throw new Error('the recordings lack a key');

// by it the command line names the setting that would allow it
describe('a refusal has a reason', () => {
  const cases: readonly [Reason, Partial<PolicySettings>, Buffer?, string?][] = [
    ['foreign-message', {}, Buffer.from('a contract')],
    ['hash-without-context', { context: 'require' }, randomBytes(32), 'ECDSA'],
    ['server-not-seen', { serverCa: HANDSHAKES_CA }],
    ['server-not-seen', { serverName: 'server p256' }],
    ['scheme-not-allowed', { schemes: ['RSA_PKCS1_PADDING'] }],
    ['hash-not-allowed', { hashes: ['SHA512'] }, randomBytes(32), 'ECDSA'],
    ['old-hash-not-allowed', {}, randomBytes(20), 'ECDSA'],
  ];
  test.for(cases)('%s', async ([reason, settings, data, algorithm]) => {
    expect(await refusal(await policy(settings), askedOf(ec, data, algorithm))).toMatchObject({ reason });
  });
});
