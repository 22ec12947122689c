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

test('certificates of as many characters as the daemon takes', async () => {
  const { client, daemon } = await pair();
  const [begin, end] = ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----'];
  const pemOf = (length: number): string => `${begin}\n${'A'.repeat(length - begin.length - end.length - 3)}\n${end}\n`;
  // lines have at most 768 bytes
  const lines = (length: number): string => pemOf(length).replace(/A{700}(?=AA)/g, `${'A'.repeat(699)}\n`);
  expect(lines(10_000)).toHaveLength(10_000);
  const sent = client.certificate(lines(10_000));
  expect(await daemon.hear('\nEND\n')).toBe(`certificate\n${lines(10_000)}END\n`);
  daemon.say('SUCCESS: certificate command succeeded\r\n');
  await sent;
  await expect(client.certificate(lines(10_001))).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT'));
});

test('no signature is an empty block', async () => {
  const { client, daemon } = await pair();
  for (const [called, name] of [
    [client.pkSig(null), 'pk-sig'],
    [client.rsaSig(null), 'rsa-sig'],
  ] as const) {
    expect(await daemon.hear('END\n')).toBe(`${name}\nEND\n`);
    daemon.say(`SUCCESS: ${name} command succeeded\r\n`);
    await called;
  }
});

test.each(['pk-sig', 'rsa-sig'] as const)('a signature goes whole, and ahead of all that waits (%s)', async (name) => {
  const { client, daemon } = await pair();
  const signature = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const [pid, verb] = [client.pid(), client.verb()];
  const signed = name === 'pk-sig' ? client.pkSig(signature) : client.rsaSig(signature);
  expect(await daemon.hear('\n')).toBe('pid\n');
  daemon.say('SUCCESS: pid=1\r\n');
  expect(await daemon.hear('\n')).toBe(`${name}\n`);
  const lines = signature.toString('base64').match(/.{1,64}/g) ?? [];
  expect(await daemon.hear('END\n')).toBe([...lines, 'END', ''].join('\n'));
  daemon.say(`SUCCESS: ${name} command succeeded\r\n`);
  await signed;
  expect(await daemon.hear('\n')).toBe('verb\n');
  daemon.say('SUCCESS: verb=3\r\n');
  expect([await pid, await verb]).toEqual([1, 3]);
});
