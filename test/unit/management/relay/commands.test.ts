import { describe, expect, test } from 'vitest';
import { greeting } from '../pair.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const COUNTED = 'SUCCESS: bytecount interval changed\r\n';
const UNREADABLE = 'ERROR: Options error: the command can not be read\r\n';
const TOO_LONG = 'ERROR: the line is too long\r\n';
const set = (topic: string, to: string): string => `SUCCESS: real-time ${topic} notification set to ${to}\r\n`;

describe('a client’s line', () => {
  test('without a command is answered with nothing', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    a.say('\n  \n# pid\n; pid\npid\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(PID);
  });

  test('is sent as the daemon reads it, up to the length behind which a signature can follow at once', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    const quoted = (count: number): string => `'${'"'.repeat(count)}'`;
    const sent = (count: number): string => `"${'\\"'.repeat(count)}"`;
    a.say(`echo ${quoted(200)} ${quoted(179)}\n`);
    const longest = `echo ${sent(200)} ${sent(179)}`;
    expect(longest).toHaveLength(768);
    await answer(daemon, longest, 'ERROR: x\r\n');
    expect(await a.hear('\n')).toBe('ERROR: x\r\n');
    expect(await a.ask(`echo ${quoted(200)} ${quoted(180)}`)).toBe(TOO_LONG);
    // longer than what any daemon reads
    expect(await a.ask(`echo ${quoted(200)} ${quoted(200)} ${quoted(200)}`)).toMatch(/^ERROR: a line has /);
    expect(await a.ask('x'.repeat(769))).toBe(TOO_LONG);
    a.say('pid\n');
    await answer(daemon, 'pid', PID);
  });

  test('that cannot be read goes to the daemon, which says so, unless the relay goes by its words', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    for (const line of ['bytecount "', 'version "4', 'log on "', 'state "', 'echo "', '"pid'])
      expect(await a.ask(line)).toBe(UNREADABLE);
    a.say('  status "x\n');
    await answer(daemon, 'status "x', 'ERROR: x\r\n');
    expect(await a.hear('\n')).toBe('ERROR: x\r\n');
    // what it may do without words says nothing of those that cannot be read
    expect(await a.ask('verb "4')).toContain('not allowed');
  });

  test('with a name that a daemon could read otherwise is no command', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    for (const line of ['"next\'" x', 'next:pid', '-next'])
      expect(await a.ask(line)).toBe("ERROR: unknown command, enter 'help' for more options\r\n");
    a.say('what-comes-next 1\n');
    await answer(daemon, 'what-comes-next 1', 'ERROR: x\r\n');
  });

  test('that no table has goes to the newest release that we know, with all rights', async () => {
    const { daemon, user } = await relayed({ rights: 'all' }, greeting(6));
    const a = await user(greeting(6));
    a.say('what-comes-next 1\n');
    await answer(daemon, 'what-comes-next 1', 'ERROR: x\r\n');
  });

  test.each(['exit', 'quit'])('%s ends the connection, and is nothing to the daemon', async (line) => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const [a, b] = [await user(), await user()];
    a.say(`${line}\npid\n`);
    await a.gone();
    b.say('pid\n');
    await answer(daemon, 'pid', PID);
    await b.hear(PID);
    expect(daemon.received).toBe('');
  });

  test('is answered while no daemon is there', async () => {
    const { daemon, user, client } = await relayed({ rights: 'all', keep: true });
    const a = await user();
    daemon.socket.destroy();
    await client().closed;
    for (const line of ['pid', 'what-comes-next 1', 'bytecount 0', 'log off', 'version'])
      expect(await a.ask(line)).toBe('ERROR: the daemon is away\r\n');
    // most daemons say nothing to this
    expect(await a.ask('version 3\npid')).toBe('ERROR: the daemon is away\r\n');
  });

  test.each([
    [5, ''],
    [6, ' [next]'],
  ])('that management version %s does not know is answered in its words', async (version, named) => {
    const { user } = await relayed({}, greeting(version));
    expect(await (await user()).ask('next')).toBe(`ERROR: unknown command${named}, enter 'help' for more options\r\n`);
  });
});

describe('what a client wants to be told', () => {
  test('is turned off where nobody else wants it', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('log on\n');
    await answer(daemon, 'log on', set('log', 'ON'));
    a.say('log off\n');
    await answer(daemon, 'log off', set('log', 'OFF'));
    await a.hear(set('log', 'OFF'));
    daemon.say('>LOG:1,,x\r\n>INFO:x\r\n');
    expect(await a.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
    // nobody is left who wants something else than the daemon does
    a.say('exit\n');
    await a.gone();
    b.say('pid\n');
    await answer(daemon, 'pid', PID);
    expect(daemon.received).toBe('');
  });

  test.each([
    ['log on off', 'OFF', ['ON', 'OFF']],
    ['log off on', 'ON', ['OFF', 'ON']],
    ['log off off on', 'OFF', ['OFF', 'OFF']],
  ])('is what it said last: %s', async (line, last, each) => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say(`${line}\n`);
    const replies = each.map((to) => set('log', to)).join('');
    await answer(daemon, line, replies);
    expect(await a.hear(replies)).toBe(replies);
    daemon.say('>LOG:1,,x\r\n>INFO:x\r\n');
    expect(await a.hear('>INFO:x\r\n')).toBe(last === 'ON' ? '>LOG:1,,x\r\n>INFO:x\r\n' : '>INFO:x\r\n');
    a.say('exit\n');
    await a.gone();
    if (last === 'ON') await answer(daemon, 'log off', set('log', 'OFF'));
    b.say('pid\n');
    await answer(daemon, 'pid', PID);
    await b.hear(PID);
    expect(daemon.received).toBe('');
  });

  test('is left as it was by a look at the past, whoever looks', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('log on\n');
    await answer(daemon, 'log on', set('log', 'ON'));
    await a.hear(set('log', 'ON'));
    for (const each of [b, a]) {
      each.say('log 5\n');
      await answer(daemon, 'log 5', '1,I,old\r\nEND\r\n');
      await each.hear('END\r\n');
    }
    daemon.say('>LOG:1,,x\r\n>INFO:x\r\n');
    expect(await a.hear('>INFO:x\r\n')).toBe('>LOG:1,,x\r\n>INFO:x\r\n');
    expect(await b.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
    b.say('exit\n');
    await b.gone();
    a.say('pid\n');
    await answer(daemon, 'pid', PID);
    await a.hear(PID);
    expect(daemon.received).toBe('');
  });

  test('goes on for who asked for what was before as well, when another turns it off', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('log on all\n');
    await answer(daemon, 'log on all', `${set('log', 'ON')}END\r\n`);
    await a.hear('END\r\n');
    b.say('log off\n');
    await answer(daemon, 'log on', set('log', 'ON'));
    expect(await b.hear('\n')).toBe(set('log', 'OFF'));
  });

  test('goes on for others when one of them leaves', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    for (const each of [a, b]) {
      each.say('log on\n');
      await answer(daemon, 'log on', set('log', 'ON'));
      await each.hear(set('log', 'ON'));
      each.say('bytecount 5\n');
      if (each === a) await answer(daemon, 'bytecount 5', COUNTED);
      await each.hear(COUNTED);
    }
    a.say('exit\n');
    await a.gone();
    b.say('pid\n');
    await answer(daemon, 'pid', PID);
    await b.hear(PID);
    daemon.say('>LOG:1,,x\r\n>BYTECOUNT:1,2\r\n>INFO:x\r\n');
    expect(await b.hear('>INFO:x\r\n')).toBe('>LOG:1,,x\r\n>BYTECOUNT:1,2\r\n>INFO:x\r\n');
    expect(daemon.received).toBe('');
  });

  test('are no byte counts in less than no time, nor without a word', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('bytecount 5\n');
    await answer(daemon, 'bytecount 5', COUNTED);
    await a.hear(COUNTED);
    expect(await b.ask('bytecount -3')).toBe(COUNTED);
    daemon.say('>BYTECOUNT:1,2\r\n>INFO:x\r\n');
    expect(await b.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
    b.say('bytecount\n');
    await answer(daemon, 'bytecount', "ERROR: the 'bytecount' command requires 1 parameter\r\n");
    expect(await b.hear('\n')).toBe("ERROR: the 'bytecount' command requires 1 parameter\r\n");
  });
});

describe('what becomes of a command', () => {
  test('is told as the daemon said it: only a log has anything to hide', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    const said = "MANAGEMENT: CMD 'password x'\r\nEND\r\n";
    a.say('status\n');
    await answer(daemon, 'status', said);
    expect(await a.hear('END\r\n')).toBe(said);
  });

  test('leaves a question that the daemon asks anew to all, if it was refused for another reason', async () => {
    const { daemon, user } = await relayed({ rights: 'operate' });
    const [a, b] = [await user(), await user()];
    const hold = '>HOLD:Waiting for hold release:0\r\n';
    daemon.say(hold);
    await Promise.all([a.hear(hold), b.hear(hold)]);
    for (const reply of ["ERROR: signal 'SIGHUP' is not known\r\n", 'SUCCESS: signal SIGHUP thrown\r\n']) {
      a.say('signal SIGHUP\n');
      await answer(daemon, 'signal SIGHUP', reply);
      await a.hear(reply);
      daemon.say(`${hold}>INFO:x\r\n`);
      expect(await a.hear('>INFO:x\r\n')).toBe(`${hold}>INFO:x\r\n`);
      expect(await b.hear('>INFO:x\r\n')).toBe(`${hold}>INFO:x\r\n`);
    }
  });

  test('is nothing where the daemon goes before it answers: the next one is not asked for a log', async () => {
    const { daemon, user, again } = await relayed({ keep: true });
    const a = await user();
    a.say('log on\n');
    await daemon.hear('log on\n');
    daemon.socket.destroy();
    expect(await a.hear('\n')).toMatch(/^ERROR: the management connection /);
    const next = await again();
    await a.hear(greeting(5));
    a.say('pid\n');
    await next.hear('pid\n');
  });
});
