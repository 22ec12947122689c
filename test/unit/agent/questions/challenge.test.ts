import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AnswerFlags } from '../../../../src/config/answers.ts';
import { MANY, PATIENTLY } from '../daemon-bed.ts';
import { AGAIN, asked, CONNECTED, folder, login, NEED, read, REFUSED, told, write } from './answers-bed.ts';

describe('a challenge', () => {
  const CHALLENGE = ">PASSWORD:Need 'Auth' username/password SC:1,Your code?\r\n";
  const flags = (command: string): AnswerFlags => ({
    authUserPass: write('login', 'al\npw\n'),
    challengeCommand: command,
  });
  const scrv1 = (code: string): string =>
    `SCRV1:${Buffer.from('pw').toString('base64')}:${Buffer.from(code).toString('base64')}`;
  /** Prints one code a line of a file. */
  const codes = (...all: string[]): string => {
    const file = write('codes', `${all.join('\n')}\n`);
    return `head -1 ${file}; sed -i 1d ${file}`;
  };

  test('is on the standard input of the command, and in no variable', async () => {
    const seen = join(folder, 'seen');
    const one = await asked(flags(`{ cat; env; tr '\\0' '\\n' < /proc/$$/cmdline; } > '${seen}'; echo 123`));
    one.daemon.say(CHALLENGE);
    await login(one, 'al', scrv1('123'));
    const text = readFileSync(seen, 'utf8');
    expect(text).toMatch(/^Your code\?\n/);
    expect(text.match(/Your code/g)).toHaveLength(1);
    expect(text).toContain('PKSIGD_QUESTION=static-challenge\n');
    expect(text).toContain('PKSIGD_TUNNEL=office\n');
  });

  test('with concatenation', async () => {
    const one = await asked(flags('echo 123'));
    one.daemon.say(">PASSWORD:Need 'Auth' username/password SC:3,Your code?\r\n");
    await login(one, 'al', 'pw123');
  });

  test('gets no other text than the command says, where that is not UTF-8', async () => {
    const one = await asked(flags("printf '12\\344\\n'"));
    one.daemon.say(CHALLENGE);
    await told(one, 'the answer can not be had');
    expect(one.daemon.received).toBe('');
    expect(JSON.stringify(one.logged)).toContain('no response to a challenge: the command says what is not UTF-8');
  });

  test('of which only the first line counts may have others in any bytes', async () => {
    const one = await asked(flags("printf '123\\n\\344\\n'"));
    one.daemon.say(CHALLENGE);
    await login(one, 'al', scrv1('123'));
  });

  test('gets another code after a refusal, and no third one', async () => {
    const one = await asked(flags(codes('1', '2', '3')));
    one.daemon.say(CHALLENGE);
    await login(one, 'al', scrv1('1'));
    one.daemon.say(`${REFUSED}${CHALLENGE}`);
    await login(one, 'al', scrv1('2'));
    one.daemon.say(`${REFUSED}${CHALLENGE}`);
    await told(one, AGAIN);
    expect(one.daemon.received).toBe('');
    expect(readFileSync(join(folder, 'codes'), 'utf8')).toBe('3\n');
  });

  test('gets codes again once the server has let the daemon in', async () => {
    const one = await asked(flags(codes('1', '2', '3')));
    one.daemon.say(CHALLENGE);
    await login(one, 'al', scrv1('1'));
    one.daemon.say(`${REFUSED}${CHALLENGE}`);
    await login(one, 'al', scrv1('2'));
    one.daemon.say(`${CONNECTED}${REFUSED}${CHALLENGE}`);
    await login(one, 'al', scrv1('3'));
  });

  test('does not get a code that was refused: the next one is waited for', async () => {
    const one = await asked(flags(codes('1', '1', '2')));
    one.daemon.say(CHALLENGE);
    await login(one, 'al', scrv1('1'));
    one.daemon.say(`${REFUSED}${CHALLENGE}`);
    await told(one, AGAIN);
    expect(one.daemon.received).toBe('');
    one.clock.pass(10);
    await login(one, 'al', scrv1('2'));
  });

  const crv1 = (state: string): string =>
    `>PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:${state}:${Buffer.from('al').toString('base64')}:Which colour?']\r\n`;

  test('that comes with a refusal is answered in place of the password; two wrong answers, and no third', async () => {
    const one = await asked(flags(codes('crimson', 'azure', 'green')));
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
    one.daemon.say(`${crv1('s1')}${NEED}`);
    await login(one, 'al', 'CRV1::s1::crimson');
    one.daemon.say(`${crv1('s2')}${NEED}`);
    await login(one, 'al', 'CRV1::s2::azure');
    one.daemon.say(`${crv1('s3')}${NEED}`);
    await told(one, AGAIN);
    expect(one.daemon.received).toBe('');
    expect(JSON.stringify([one.logged, one.events])).not.toMatch(/crimson|azure|s1|s2/);
  });

  test('that the server has forgotten by now: the password again', async () => {
    const one = await asked(flags('echo red'));
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
    one.daemon.say(crv1('s1'));
    await read(one);
    one.clock.pass(301);
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
  });

  test('without a command is told of', async () => {
    const one = await asked({ authUserPass: write('login', 'al\npw\n') });
    one.daemon.say(CHALLENGE);
    await told(one, 'the answer can not be had');
    expect(JSON.stringify(one.logged)).toContain('the response to a challenge');
  });

  test('of a pending login is answered beside all else', async () => {
    const one = await asked({ challengeCommand: 'sed s/^/re:/' });
    one.daemon.say(Buffer.from('>INFOMSG:CR_TEXT:R,E:Täglicher Code: 3\r\n').toString('latin1'));
    await one.takes(`cr-response ${Buffer.from('re:Täglicher Code: 3').toString('base64')}`);
  });

  test('of a pending login that wants no answer gets none', async () => {
    const one = await asked({ challengeCommand: 'echo x', answerRemote: ['ACCEPT'] });
    one.daemon.say('>INFOMSG:CR_TEXT:E:Look at your phone\r\n>REMOTE:a,1,udp\r\n');
    await one.takes('remote ACCEPT');
    expect(one.daemon.received).toBe('');
  });

  test('that comes again and again, in a flood, starts few commands', PATIENTLY, async () => {
    const started = join(folder, 'started');
    const one = await asked(flags(`echo >> '${started}'; sleep 1000`));
    one.daemon.say(CHALLENGE.repeat(MANY));
    for (let times = 0; times < 100; times += 1)
      one.daemon.say(`>PASSWORD:Need 'Auth' username/password SC:1,${times}?\r\n>INFOMSG:CR_TEXT:R:${times}?\r\n`);
    await read(one);
    one.clock.pass(20);
    await expect.poll(() => existsSync(started), PATIENTLY).toBe(true);
    one.daemon.close();
    await one.served;
    expect(readFileSync(started, 'utf8').length).toBeLessThanOrEqual(12);
  });

  test('whose command hangs: it ends at its deadline, with all that it started, and so does the daemon’s end', async () => {
    const started = join(folder, 'started');
    const command = `sleep 1000 & echo $! > '${started}.new'; mv '${started}.new' '${started}'; wait`;
    const one = await asked(flags(command));
    one.daemon.say(CHALLENGE);
    const isAlive = (): boolean => {
      try {
        // a process that has ended and that nobody waited for is none
        return !/^State:\s+Z/m.test(readFileSync(`/proc/${readFileSync(started, 'utf8').trim()}/status`, 'utf8'));
      } catch {
        return false;
      }
    };
    await expect.poll(() => existsSync(started), PATIENTLY).toBe(true);
    expect(isAlive()).toBe(true);
    one.clock.pass(120);
    await expect.poll(isAlive, PATIENTLY).toBe(false);
    await told(one, 'the answer can not be had');
    rmSync(started);
    one.clock.pass(10);
    await expect.poll(() => existsSync(started), PATIENTLY).toBe(true);
    one.daemon.close();
    await one.served;
    await expect.poll(isAlive, PATIENTLY).toBe(false);
  });
});
