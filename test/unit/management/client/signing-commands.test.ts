import { expect, test } from 'vitest';
import { coded, setUp } from '../pair.ts';
import { type CommandCase, testEachCommand } from './each-command.ts';

const { pair } = setUp();

const cases: CommandCase[] = [
  ['signal', (c) => c.signal('SIGUSR1'), 'signal SIGUSR1', 'SUCCESS: signal SIGUSR1 thrown', undefined],
];

testEachCommand(cases, pair);

test('certificates: the PEM blocks alone', async () => {
  const { client, daemon } = await pair();
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n';
  const sent = client.certificate(`signal SIGTERM\n${pem}\nmore\r\n${pem.replaceAll('\n', '\r\n')}`);
  expect(await daemon.hear('\nEND\n')).toBe(`certificate\n${pem}${pem}END\n`);
  daemon.say('SUCCESS: certificate command succeeded\r\n');
  await sent;
  await expect(client.certificate('no certificate')).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT'));
  const many = pem.replace('AAAA', 'A'.repeat(60).concat('\n').repeat(200));
  await expect(client.certificate(many)).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT', '10000'));
});
