import { chmodSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bed, HOLD, PATIENTLY } from '../daemon-bed.ts';
import { AGAIN, answered, asked, login, NEED, read, REFUSED, told, write } from './answers-bed.ts';

describe('username and password', () => {
  test('come from a file of two lines', async () => {
    const one = await asked({ authUserPass: write('login', 'al "ice"\\\r\ns3cret "x\n') });
    one.daemon.say(NEED);
    await one.takes('auth-retry interact');
    await one.takes('username Auth "al \\"ice\\"\\\\"');
    await one.takes('password Auth "s3cret \\"x"');
    await answered(one, 1);
    expect(JSON.stringify([one.logged, one.events])).not.toContain('s3cret');
  });

  test('come from a command, beside a username that is known', async () => {
    const one = await asked({ authUser: 'bob', authUserPass: 'command:echo "$PKSIGD_TUNNEL-pw"; echo more' });
    one.daemon.say(NEED);
    await login(one, 'bob', 'office-pw');
  });

  test('come from a credential; of a private key and proxies, each its own', async () => {
    const one = await asked({
      askpass: 'credential:key',
      httpProxyUserPass: write('http', 'h\nhp\n'),
      socksProxyUserPass: write('socks', 's\nsp\n'),
    });
    write('key', 'phrase\n');
    one.daemon.say(">PASSWORD:Need 'Private Key' password\r\n");
    await one.takes('password "Private Key" "phrase"');
    one.daemon.say(">PASSWORD:Need 'HTTP Proxy' username/password\r\n");
    await one.takes('username "HTTP Proxy" h');
    await one.takes('password "HTTP Proxy" "hp"');
    one.daemon.say(">PASSWORD:Need 'SOCKS Proxy' username/password\r\n");
    await one.takes('username "SOCKS Proxy" s');
    await one.takes('password "SOCKS Proxy" "sp"');
  });

  test('that nothing is said of are not answered', async () => {
    const one = await asked({ askpass: write('key', 'x') });
    one.daemon.say(NEED);
    await told(one, 'asks for a password');
    one.daemon.say(">PASSWORD:Need 'constructor' username/password\r\n");
    one.daemon.say(">PASSWORD:Need 'Private Key' password\r\n");
    await one.takes('password "Private Key" "x"');
    expect(one.daemon.received).toBe('');
  });

  test.for([
    ['a username', NEED, 'm\xfcller\npw\n'],
    ["a static challenge's password", NEED.replace(/\r\n$/, ' SC:1,Code?\r\n'), 'mueller\np\xfcw\n'],
  ] as const)('are not sent as another text where %s is not UTF-8', async ([, need, text]) => {
    const path = write('login', '');
    writeFileSync(path, text, 'latin1');
    const one = await asked({ authUserPass: path, challengeCommand: 'echo 123456' });
    one.daemon.say(need);
    await expect.poll(() => one.logged.length + one.daemon.received.length, PATIENTLY).toBeGreaterThan(0);
    expect(one.daemon.received).toBe('');
    expect(JSON.stringify(one.logged)).toContain('is not UTF-8');
  });

  test.for([
    ['username', NEED, { authUserPass: 'login' }],
    ['password', NEED, { authUser: 'al', authUserPass: 'login' }],
    ['password', ">PASSWORD:Need 'Private Key' password\r\n", { askpass: 'login' }],
  ] as const)('are not sent with the byte order mark of an editor: %s', async ([kind, need, settings]) => {
    const path = write('login', '\uFEFFone\r\ntwo\r\n');
    const one = await asked(
      Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, value === 'login' ? path : value])),
    );
    one.daemon.say(need);
    await expect.poll(() => one.logged.length + one.daemon.received.length, PATIENTLY).toBeGreaterThan(0);
    expect(one.daemon.received).toBe('');
    expect(JSON.stringify(one.logged)).toMatch(new RegExp(`the ${kind} of login .* begins with a byte order mark`));
  });

  test('keep the bytes of a password that is not UTF-8', async () => {
    const path = write('login', '');
    writeFileSync(path, 'al\np\xfcw\n', 'latin1');
    const one = await asked({ authUserPass: path });
    one.daemon.say(NEED);
    await login(one, 'al', 'p\xfcw');
  });

  test('that were refused are not sent again, until they change at their source', async () => {
    const path = write('login', 'al\nwrong\n');
    const one = await asked({ authUserPass: path });
    one.daemon.say(NEED);
    await login(one, 'al', 'wrong');
    one.daemon.say(`${REFUSED}${HOLD}${NEED}`);
    await told(one, 'a password was refused');
    await told(one, AGAIN);
    one.clock.pass(100);
    await read(one);
    expect(one.daemon.received).toBe('');
    write('login', 'al\nright\n');
    await expect
      .poll(() => {
        one.clock.pass(15);
        return one.daemon.hasHeard('auth-retry interact');
      }, PATIENTLY)
      .toBe(true);
    await login(one, 'al', 'right');
  });

  test('that were refused are sent again when a person says so', async () => {
    const one = await asked({ authUserPass: `command:printf 'al\\nwrong\\n'` });
    one.daemon.say(NEED);
    await login(one, 'al', 'wrong');
    one.daemon.say(`${REFUSED}${NEED}`);
    await told(one, AGAIN);
    one.answers.retry();
    await login(one, 'al', 'wrong');
  });

  test('that were refused to one daemon are not sent to the next one of the tunnel', async () => {
    const one = await asked({ authUserPass: write('login', 'al\nwrong\n') });
    one.daemon.say(NEED);
    await login(one, 'al', 'wrong');
    one.daemon.say(REFUSED);
    await told(one, 'a password was refused');
    const next = await bed(undefined, undefined, () => one.answers);
    next.daemon.say(NEED);
    await told(next, AGAIN);
    expect(next.daemon.received).toBe('');
  });

  test.each([
    ["the server's token was refused, not the password", `>PASSWORD:Auth-Token:SESS_ID_secret\r\n${REFUSED}`],
    ['the server can not say', ">PASSWORD:Verification Failed: 'Auth' ['TEMP[backoff 10]: busy']\r\n"],
    ['another password was refused', ">PASSWORD:Verification Failed: 'Private Key'\r\n"],
  ])('are sent again where %s', async (_, said) => {
    const one = await asked({ authUserPass: write('login', 'al\npw\n') });
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
    one.daemon.say(said);
    one.daemon.say(NEED);
    await login(one, 'al', 'pw');
    expect(JSON.stringify([one.logged, one.events])).not.toContain('SESS_ID_secret');
  });

  test('that a person types may be wrong more than once', async () => {
    const one = await asked({ authUser: 'al', authUserPass: 'prompt' }, { typed: ['a', 'a', 'b'] });
    one.daemon.say(NEED);
    await login(one, 'al', 'a');
    one.daemon.say(`${REFUSED}${NEED}`);
    await login(one, 'al', 'a');
    one.daemon.say(`${REFUSED}${NEED}`);
    await login(one, 'al', 'b');
  });

  test.each([
    ['pinentry', 'PINENTRY', 'while read -r word _; do case $word in GETPIN) echo "D same";; *) echo OK;; esac; done'],
    ['askpass', 'SSH_ASKPASS', 'echo same'],
  ])('that a person types in a window (%s) may be wrong more than once, too', async (source, variable, script) => {
    const program = write('window', `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
    const one = await asked({ authUser: 'al', authUserPass: source }, { environment: { [variable]: program } });
    one.daemon.say(NEED);
    await login(one, 'al', 'same');
    for (let times = 0; times < 2; times += 1) {
      one.daemon.say(`${REFUSED}${NEED}`);
      await login(one, 'al', 'same');
    }
  });

  test.each([
    ['a file that is not there', { authUserPass: '/nonexistent/pksigd/login' }, 'there is no such file'],
    ['a command that fails', { authUserPass: 'command:echo s3cret; exit 3' }, 'the command failed (3)'],
    ['one line where two are wanted', { authUserPass: 'command:echo s3cret' }, 'its second line is empty'],
    ['more than OpenVPN takes', { authUserPass: `command:printf 'al\\n%0300d\\n' 7` }, 'OpenVPN takes up to 256'],
    ['no terminal', { authUser: 'al', authUserPass: 'prompt' }, 'there is no terminal'],
  ])('that can not be had are told of, and tried again: %s', async (_, flags, error) => {
    const one = await asked(flags);
    one.daemon.say(NEED);
    if (error.includes('OpenVPN')) {
      await one.takes('auth-retry interact');
      await one.takes('username Auth al');
    }
    await told(one, 'the answer can not be had');
    expect(one.logged.at(-1)).toMatchObject({ level: 'error' });
    expect(JSON.stringify(one.logged)).toContain(error);
    expect(JSON.stringify([one.logged, one.events])).not.toContain('s3cret');
  });
});
