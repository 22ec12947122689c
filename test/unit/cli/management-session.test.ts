import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { completeCommand } from '../../../src/cli/management-completion.ts';
import { type ManagementCommandOptions, runManagementCommand } from '../../../src/cli/management-session.ts';
import { type FakeDaemon, FakeListener, GREETING } from '../../support/fake-daemon.ts';

let listener: FakeListener;
beforeEach(async () => {
  listener = await FakeListener.start();
});
afterEach(() => listener.stop());

interface Run {
  readonly daemon: FakeDaemon;
  readonly stdin: PassThrough;
  readonly done: Promise<unknown>;
  readonly out: () => string;
  readonly err: () => string;
}

async function run(options: Partial<ManagementCommandOptions>): Promise<Run> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const text = (stream: PassThrough): (() => string) => {
    let all = '';
    stream.on('data', (chunk: Buffer) => {
      all += chunk.toString();
    });
    return () => all;
  };
  const [out, err] = [text(stdout), text(stderr)];
  const done = runManagementCommand(
    { address: listener.address, command: [], ...options },
    { stdin, stdout, stderr },
  ).then(
    () => undefined,
    (error: unknown) => error,
  );
  const daemon = await listener.next();
  daemon.say(GREETING);
  return { daemon, stdin, done, out, err };
}

describe('one command', () => {
  test('its reply as the daemon says it', async () => {
    const { daemon, done, out } = await run({ command: ['status', '2'] });
    await daemon.hear('status 2\n');
    daemon.say('>LOG:1,I,not asked for\r\nTITLE,x\r\nTIME,y,1\r\nEND\r\n');
    expect(await done).toBeUndefined();
    expect(out()).toBe('TITLE,x\nTIME,y,1\n');
    await daemon.gone();
  });

  test('words are quoted, one piece is a line', async () => {
    const words = await run({ command: ['kill', 'Test Client'] });
    expect(await words.daemon.hear('\n')).toBe('kill "Test Client"\n');
    words.daemon.say("SUCCESS: common name 'Test Client' found, 1 client(s) killed\r\n");
    await words.done;
    const line = await run({ command: ['hold release'] });
    expect(await line.daemon.hear('\n')).toBe('hold release\n');
    line.daemon.say('SUCCESS: hold release succeeded\r\n');
    await line.done;
    expect(line.out()).toBe('SUCCESS: hold release succeeded\n');
  });

  test('refused', async () => {
    const { daemon, done, out } = await run({ command: ['kill', 'x'] });
    await daemon.hear('\n');
    daemon.say("ERROR: common name 'x' not found\r\n");
    expect(await done).toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    expect(out()).toBe('');
  });

  test.each([
    ['pid', 'SUCCESS: pid=7\r\n', { command: 'pid', text: 'pid=7', reply: { pid: 7 } }],
    ['hold release', 'SUCCESS: hold release succeeded\r\n', { command: 'hold', text: 'hold release succeeded' }],
    ['state', '1,WAIT,,,,,,\r\nEND\r\n', { command: 'state', reply: [{ time: 1, name: 'WAIT' }] }],
    ['log on', 'SUCCESS: x\r\n', { command: 'log', text: 'x' }],
    [
      'load-stats',
      'SUCCESS: nclients=1,bytesin=2,bytesout=3\r\n',
      {
        command: 'load-stats',
        text: 'nclients=1,bytesin=2,bytesout=3',
        reply: { nclients: 1, bytesin: 2, bytesout: 3 },
      },
    ],
    ['help', 'a\r\nb\r\nEND\r\n', { command: 'help', lines: ['a', 'b'] }],
    [
      'version',
      'OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n',
      { command: 'version', reply: { title: 'OpenVPN 2.6.14', management: 5 } },
    ],
    [
      'remote-entry-get all',
      '0,h,1,udp,enabled\r\nEND\r\n',
      { command: 'remote-entry-get', reply: [{ index: 0, host: 'h', port: '1', protocol: 'udp', enabled: true }] },
    ],
    [
      'status',
      'OpenVPN STATISTICS\r\nUpdated,now\r\nAuth read bytes,1\r\nEND\r\n',
      { command: 'status', reply: { kind: 'client', updated: 'now', counters: { 'Auth read bytes': 1 } } },
    ],
  ])('as JSON: %s', async (command, answer, parsed) => {
    const { daemon, done, out } = await run({ command: [command], json: true });
    await daemon.hear('\n');
    daemon.say(answer);
    await done;
    expect(JSON.parse(out())).toEqual(parsed);
  });

  test('with a block from standard input', async () => {
    const { daemon, done, stdin } = await run({ command: ['client-auth', '0', '1'] });
    stdin.end('push "route 10.0.0.0 255.0.0.0"\nEND\nsignal SIGTERM\n');
    expect(await daemon.hear('END\n')).toBe('client-auth 0 1\npush "route 10.0.0.0 255.0.0.0"\nEND\n');
    daemon.say('SUCCESS: client-auth command succeeded\r\n');
    expect(await done).toBeUndefined();
  });
});

describe('the prompt', () => {
  test('commands, blocks, errors, notifications; the end of input is the end', async () => {
    const { daemon, done, stdin, out, err } = await run({});
    stdin.write('pid\nwrong\n\nclient-auth 0 1\na\nEND\n');
    await daemon.hear('pid\n');
    daemon.say('>STATE:1,WAIT,,,,,,\r\n>PASSWORD:Auth-Token:secret\r\n>LOG:1,I,\x1b[31mred\r\nSUCCESS: pid=7\r\n');
    await daemon.hear('wrong\n');
    daemon.say("ERROR: unknown command, enter 'help' for more options\r\n");
    expect(await daemon.hear('END\n')).toBe('client-auth 0 1\na\nEND\n');
    stdin.end();
    daemon.say('SUCCESS: client-auth command succeeded\r\n');
    expect(await done).toBeUndefined();
    expect(out().split('\n').slice(1, -1)).toEqual([
      '>STATE:1,WAIT,,,,,,',
      '>PASSWORD:Auth-Token:<redacted>',
      '>LOG:1,I,\\u{1b}[31mred',
      'SUCCESS: pid=7',
      "ERROR: unknown command, enter 'help' for more options",
      'SUCCESS: client-auth command succeeded',
    ]);
    expect(err()).toBe('');
  });

  test('as JSON', async () => {
    const { daemon, done, stdin, out } = await run({ json: true });
    daemon.say('>HOLD:Waiting for hold release:3\r\n');
    stdin.write('exit\n');
    await daemon.hear('exit\n');
    daemon.socket.end();
    await done;
    const objects = out()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(objects).toContainEqual({
      notification: { type: 'HOLD', text: 'Waiting for hold release', waitSeconds: 3 },
    });
    expect(objects).toContainEqual({ command: 'exit' });
  });

  test('the daemon goes away before it has answered: that is an error, told once', async () => {
    const { daemon, done, stdin, out, err } = await run({});
    stdin.end('pid\nstate\nstatus\n');
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=7\r\n');
    await daemon.hear('state\n');
    daemon.socket.end();
    expect(await done).toMatchObject({ code: 'ERR_MANAGEMENT_CLOSED' });
    expect([out().split('\n').slice(1), err()]).toEqual([['SUCCESS: pid=7', ''], '']);
  });

  test('the daemon goes away', async () => {
    const { daemon, done, err } = await run({});
    daemon.socket.end();
    expect(await done).toBeUndefined();
    expect(err()).toMatch(/has closed the connection\n$/);
  });
});

test.each([
  ['ho', ['hold']],
  ['client-a', ['client-auth', 'client-auth-nt']],
  ['hold r', ['release']],
  ['log on a', ['all']],
  ['signal SIGU', ['SIGUSR1', 'SIGUSR2']],
  ['pid ', []],
  ['nothing-like-it', []],
])('completes %j', (line, matches) => {
  expect(completeCommand(line)[0]).toEqual(matches);
});
