import { expect, test } from 'vitest';
import { RequestRecord } from '../../../../src/agent/audit/request-record.ts';
import { serverIn } from '../../../../src/signing/tls/server-name.ts';
import { makeCertificate } from '../../../support/certificates.ts';
import { withServer } from '../../../support/forged-handshakes.ts';
import { contextIn, TRANSCRIPTS } from '../../../support/handshakes.ts';
import { alarms, LogBed } from './log-bed.ts';

const [handshake] = TRANSCRIPTS.filter(({ tls }) => tls === '1.2');
if (!handshake) throw new Error('no handshake');
const issuer = makeCertificate();

// Whoever makes up a handshake chooses the certificate in it: JSON takes two bytes for each of the first two
test.for(['"', '\\', 'ä', '\u{10400}'])('a long name of %s fits in a line', async (character) => {
  const name = character.repeat(40_000 / Buffer.byteLength(character));
  const { certificate } = makeCertificate({ subject: [['CN', name]], issuer });
  const context = contextIn(handshake, withServer(handshake, certificate.raw));
  const server = serverIn(context) ?? '';
  expect(server).toContain(`CN=${character.repeat(100)}`);

  const bed = new LogBed();
  const log = await bed.open();
  const asking = { tunnel: 'office', daemon: () => ({ pid: null, user: null }), data: '' };
  const record = new RequestRecord(asking, log);
  const known = { scheme: 'ECDSA', context: { tls: '1.2', server, verified: false } };
  void record.accepted(known);
  await record.signed(known, Buffer.of(1), 1);
  bed.clock.pass(1);
  await record.signed(known, Buffer.of(2), 2);
  await log.close();
  expect(alarms(bed)).toEqual([]);
  expect(await bed.verify()).toMatchObject({ faults: [], notes: [], isEnded: true });
});
