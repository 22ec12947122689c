import { describe, expect, test } from 'vitest';
import { GREETING } from '../../../support/fake-daemon.ts';
import { coded, greeting } from '../pair.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();

/** Every byte that a line can have: not UTF-8. */
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))
  .filter((character) => !/[\x00-\x1f\x7f]/.test(character))
  .join('');
/** As the tests' daemon says it, one character a byte. */
const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

describe('what is not ASCII', () => {
  test('is text to the agent, and the same bytes to a client', async () => {
    const { daemon, user, client } = await relayed();
    const a = await user();
    const [asked, over] = [client().next('NEED-OK'), client().next('FATAL')];
    const said = utf8(
      ">NEED-OK:Need 'Schlüssel' confirmation MSG:Bitte einstecken 🔑\r\n>FATAL:größer als möglich\r\n",
    );
    daemon.say(said);
    expect(await asked).toMatchObject({ name: 'Schlüssel', text: 'Bitte einstecken 🔑' });
    expect((await over).text).toBe('größer als möglich');
    expect(await a.hear('glich\r\n')).toBe(said);
  });

  test('and not UTF-8 either passes in notifications, blocks and replies', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    const block = `>CLIENT:CONNECT,0,1\r\n>CLIENT:ENV,x=${BYTES}\r\n>CLIENT:ENV,END\r\n`;
    daemon.say(`>INFO:${BYTES}\r\n${block}`);
    expect(await a.hear('END\r\n')).toBe(`>INFO:${BYTES}\r\n${block}`);
    a.say('status\n');
    await answer(daemon, 'status', `${BYTES}\r\n${utf8('ü')}\r\nEND\r\n`);
    expect(await a.hear('END\r\n')).toBe(`${BYTES}\r\n${utf8('ü')}\r\nEND\r\n`);
    a.say('log on all\n');
    const log = `SUCCESS: real-time log notification set to ON\r\n1,I,${BYTES}\r\nEND\r\n>LOG:2,I,${BYTES}\r\n`;
    await answer(daemon, 'log on all', log);
    expect(await a.hear(/>LOG:2.*\r\n/)).toBe(log);
  });

  test('passes in a question that is told again, and in a line that the daemon cut', async () => {
    const { daemon, user } = await relayed();
    const question = `>NEED-STR:Need '${BYTES}' string MSG:x\r\n`;
    daemon.say(question);
    await user(`${GREETING}${question}`);
    const a = await user(`${GREETING}${question}`);
    const cut = `>INFO:${BYTES}`.padEnd(10_239, '\xff');
    daemon.say(`${cut}>INFO:x\r\n`);
    // no line end, which the daemon cut as well
    expect(await a.hear('>INFO:x\r\n')).toBe(`${cut}>INFO:x\r\n`);
  });

  test('passes in a line that a daemon before 2.6 cut', async () => {
    const { daemon, user } = await relayed({}, greeting(3));
    const a = await user();
    const cut = `>INFO:${BYTES}`.padEnd(8_191, '\xff');
    daemon.say(`${cut}>INFO:x\r\n`);
    expect(await a.hear('>INFO:x\r\n')).toBe(`${cut}>INFO:x\r\n`);
  });

  test('passes in commands and their blocks', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    a.say(`echo "${BYTES.replace(/["\\]/g, '')}"\nclient-auth 1 2\npush ${BYTES}\nEND\n`);
    await answer(daemon, `echo "${BYTES.replace(/["\\]/g, '')}"`, 'ERROR: no\r\n');
    await daemon.hear(`client-auth 1 2\npush ${BYTES}\nEND\n`);
    daemon.say('SUCCESS: client-auth command succeeded\r\n');
    await a.hear('SUCCESS: client-auth command succeeded\r\n');
  });
});

test('a connection that something has listened to is not relayed: its greeting would be missing', async () => {
  const { relay, client, again } = await relayed();
  await again();
  client().on('*', () => undefined);
  await Promise.resolve();
  expect(() => {
    relay.attach(client());
  }).toThrow(coded('ERR_USAGE'));
});
