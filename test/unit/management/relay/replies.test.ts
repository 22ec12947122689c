import { describe, expect, test } from 'vitest';
import { GREETING } from '../../../support/fake-daemon.ts';
import { greeting } from '../pair.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const ON = 'SUCCESS: real-time log notification set to ON\r\n';
const OFF = 'SUCCESS: real-time log notification set to OFF\r\n';

describe('replies', () => {
  test('go to whoever asked, whole, in the order of asking', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('status 2\r\npid\n');
    await daemon.hear('status 2\n');
    b.say('version\n');
    daemon.say('TITLE,x\r\nTIME,\xe9\r\n');
    daemon.say('END\r\n');
    await answer(daemon, 'version', 'OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(`TITLE,x\r\nTIME,\xe9\r\nEND\r\n${PID}`);
    expect(await b.hear('END\r\n')).toBe('OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n');
  });

  test('come before what the daemon sent behind them, also in one packet', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    a.say('log on all\n');
    await answer(daemon, 'log on all', `>LOG:1,D,CMD\r\n${ON}1,I,old\r\nEND\r\n>LOG:2,I,new\r\n`);
    expect(await a.hear('new\r\n')).toBe(`${ON}1,I,old\r\nEND\r\n>LOG:2,I,new\r\n`);
  });

  test.each(['log', 'state', 'echo'])(
    'of %s with a number that the daemon cuts to its own size hold up nobody',
    async (name) => {
      const { daemon, user } = await relayed();
      const [a, b] = [await user(), await user()];
      a.say(`${name} -4294967291\n`);
      await answer(daemon, `${name} -4294967291`, '1,I,old\r\nEND\r\n');
      b.say('pid\n');
      await answer(daemon, 'pid', PID);
      expect(await a.hear('END\r\n')).toBe('1,I,old\r\nEND\r\n');
      expect(await b.hear(PID)).toBe(PID);
    },
  );

  test('of a client that left are nobody else’s', async () => {
    const { daemon, user, events } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('status\n');
    await daemon.hear('status\n');
    a.close();
    b.say('pid\n');
    daemon.say('of a\r\nEND\r\n');
    await answer(daemon, 'pid', PID);
    expect(await b.hear(PID)).toBe(PID);
    expect(events.at(-1)).toEqual({ type: 'disconnected', client: '#1' });
  });

  test('of those who end their side still come', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    a.socket.end('pid\npid\npi');
    await answer(daemon, 'pid', PID);
    await answer(daemon, 'pid', PID);
    await a.gone();
    expect(a.received).toBe(PID + PID);
  });
});

describe('what concerns the key', () => {
  test('is never seen, nor answered, by a client', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    daemon.say('>PK_SIGN:AAAA,ECDSA\r\n>RSA_SIGN:AAAA\r\n>NEED-CERTIFICATE:x\r\n>INFO:seen\r\n');
    expect(await a.hear('seen\r\n')).toBe('>INFO:seen\r\n');
    for (const line of ['pk-sig', '"pk-sig"', 'rsa-sig', ' pk-sig x', 'pk\x01-sig', '\\ pk-sig', 'certificate'])
      expect(await a.ask(line)).toMatch(
        /^ERROR: The (?:pk-sig|rsa-sig|certificate) command is not currently available/,
      );
    const late = await user();
    a.say('pid\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(PID);
    expect(late.received).toBe('');
  });

  test('goes ahead of what clients wait for', async () => {
    const { daemon, user, client } = await relayed();
    for (const each of [await user(), await user()]) each.say('status\nstatus\n');
    await daemon.hear('status\n');
    const signed = client().pkSig(Buffer.from('abc'));
    // the second client's command waits for the first one's reply, the signature doesn't
    await daemon.hear('pk-sig\nYWJj\nEND\n');
    daemon.say('END\r\n');
    await daemon.hear('status\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await signed;
  });

  test('is passed on where the agent has no certificate', async () => {
    const { daemon, user, relay, client } = await relayed({ rights: 'all' });
    const a = await user();
    daemon.say('>NEED-CERTIFICATE:office\r\n>INFO:x\r\n');
    await a.hear('>INFO:x\r\n');
    expect(relay.askForCertificate(client())).toBe(true);
    await a.hear('>NEED-CERTIFICATE:office\r\n');
    const late = await user(`${GREETING}>NEED-CERTIFICATE:office\r\n`);
    late.say('certificate\ntext\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nEND\n');
    await daemon.hear('certificate\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nEND\n');
    daemon.say('SUCCESS: certificate command succeeded\r\n');
    await late.hear('SUCCESS: certificate command succeeded\r\n');
    expect(await a.ask('certificate')).toBe('ERROR: The certificate command is not currently available\r\n');
  });
});

describe('what a client turns on or off', () => {
  test('is its own: the daemon is asked once for all', async () => {
    const { daemon, user } = await relayed();
    const [a, b, c] = [await user(), await user(), await user()];
    for (const each of [a, b]) {
      each.say('log on\n');
      await answer(daemon, 'log on', ON);
      await each.hear(ON);
    }
    daemon.say('>LOG:1,,one\r\n>INFO:1\r\n');
    expect(await c.hear('>INFO:1\r\n')).toBe('>INFO:1\r\n');
    a.say('log off\n');
    // b still wants it
    await answer(daemon, 'log on', ON);
    expect(await a.hear(OFF)).toBe(`>LOG:1,,one\r\n>INFO:1\r\n${OFF}`);
    daemon.say('>LOG:2,,two\r\n>INFO:2\r\n');
    expect(await a.hear('>INFO:2\r\n')).toBe('>INFO:2\r\n');
    expect(await b.hear('>INFO:2\r\n')).toBe('>LOG:1,,one\r\n>INFO:1\r\n>LOG:2,,two\r\n>INFO:2\r\n');
    b.close();
    await daemon.hear('log off\n');
  });

  test('no trick turns it off for others, nor lowers the version', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const [a, b] = [await user(), await user()];
    a.say('log on\n');
    await answer(daemon, 'log on', ON);
    await a.hear(ON);
    b.say('version 1 \xe9\nversion 1\xa0\nlog off \xe9\n');
    await answer(
      daemon,
      'log on \xe9',
      `${ON}ERROR: log parameter must be 'on' or 'off' or some number n or 'all'\r\n`,
    );
    await b.hear("or 'all'\r\n");
    expect(await b.ask('version 1 "')).toMatch(/^ERROR: Options error/);
    expect(await b.ask('log off "')).toMatch(/^ERROR: Options error/);
    expect(daemon.received).toBe('');
  });

  test('state, echo and their history too', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('echo on\n');
    await answer(daemon, 'echo on', ON.replace('log', 'echo'));
    b.say('echo 5 off\n');
    await answer(daemon, 'echo 5 on', `1,x\r\nEND\r\n${ON.replace('log', 'echo')}`);
    expect(await b.hear('OFF\r\n')).toBe(`1,x\r\nEND\r\n${OFF.replace('log', 'echo')}`);
    b.say('state on all\n');
    await answer(daemon, 'state on all', `${ON.replace('log', 'state')}1,WAIT,,,\r\nEND\r\n`);
    daemon.say('>STATE:1,AUTH,,,\r\n>ECHO:2,y\r\n>INFO:1\r\n');
    expect(await a.hear('INFO:1\r\n')).toBe(`${ON.replace('log', 'echo')}>ECHO:2,y\r\n>INFO:1\r\n`);
    expect(await b.hear('INFO:1\r\n')).toContain('END\r\n>STATE:1,AUTH,,,\r\n>INFO:1\r\n');
    b.say('state bogus\n');
    await answer(daemon, 'state bogus', "ERROR: state parameter must be 'on' or 'off' or some number n or 'all'\r\n");
    await b.hear("ERROR: state parameter must be 'on' or 'off' or some number n or 'all'\r\n");
  });

  test('byte counts: the daemon counts in the shortest interval', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    const changed = 'SUCCESS: bytecount interval changed\r\n';
    a.say('bytecount 9\n');
    await answer(daemon, 'bytecount 9', changed);
    await a.hear(changed);
    b.say('bytecount 2\n');
    await answer(daemon, 'bytecount 2', changed);
    await b.hear(changed);
    expect(await a.ask('bytecount 600')).toBe(changed);
    daemon.say('>BYTECOUNT:1,2\r\n>INFO:1\r\n');
    expect(await a.hear('INFO:1\r\n')).toBe('>INFO:1\r\n');
    expect(await b.hear('INFO:1\r\n')).toBe('>BYTECOUNT:1,2\r\n>INFO:1\r\n');
    b.say('bytecount 0\n');
    await answer(daemon, 'bytecount 600', changed);
    await b.hear(changed);
    a.close();
    await daemon.hear('bytecount 0\n');
  });

  test.for([
    [1, 'version 4', 'version', 'OpenVPN Version: x\r\nEND\r\n'],
    [5, 'version 1', undefined, ''],
    [5, 'version 4', undefined, ''],
    [6, 'version 3', undefined, ''],
    [6, 'version 5', undefined, 'SUCCESS: Management client version set to 5\r\n'],
  ] as const)('management version %s acknowledges "%s"', async ([management, line, sent, reply]) => {
    const { daemon, user } = await relayed({}, greeting(management));
    const a = await user();
    // such a daemon prints its version for whatever version is announced
    if (management === 1) daemon.say('OpenVPN Version: x\r\nEND\r\n');
    a.say(`${line}\npid\n`);
    if (sent !== undefined) await answer(daemon, sent, reply);
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(reply + PID);
  });
});
