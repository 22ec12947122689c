// What the relay is made of, without sockets.
import { describe, expect, test } from 'vitest';
import { parseNotification } from '../../../../src/management/notifications/notification.ts';
import { type ClientLine, CommandLines } from '../../../../src/management/relay/line-reader.ts';
import { PasswordGate } from '../../../../src/management/relay/password-gate.ts';
import { Questions } from '../../../../src/management/relay/questions.ts';
import { redactLog, visible } from '../../../../src/management/relay/rights.ts';
import { forwardedWords, outcome, Subscriptions } from '../../../../src/management/relay/subscriptions.ts';
import { MAX_PIPELINED_LINE } from '../../../../src/management/wire/words.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';

describe('a client’s lines', () => {
  const read = (...chunks: (string | Buffer)[]): ClientLine[] => {
    const lines: ClientLine[] = [];
    const input = new CommandLines();
    for (const chunk of chunks) input.push(Buffer.from(chunk), (line) => lines.push(line));
    return lines;
  };
  const line = (text: string): ClientLine => ({ text, tooLong: false });
  const TOO_LONG: ClientLine = { text: '', tooLong: true };

  test('are read in whatever pieces they come', () => {
    expect(read('one\n\ntwo\nthr')).toEqual([line('one'), line(''), line('two')]);
    expect(read('o', 'ne', '\nt', 'wo\n', 'three', '\n')).toEqual([line('one'), line('two'), line('three')]);
  });

  test('have no control characters, and each other byte is one character', () => {
    expect(read('a\r\n\x00b\x1f\x7f c\td\n')).toEqual([line('a'), line('b cd')]);
    expect(read(Buffer.of(0x80, 0xff, 0x0a))).toEqual([line('\x80\xff')]);
  });

  test('are too long behind so many characters, and the next ones are not', () => {
    const most = 'x'.repeat(MAX_PIPELINED_LINE);
    expect(read(`${most}\nnext\n`)).toEqual([line(most), line('next')]);
    expect(read(`${most}x\nnext\n`)).toEqual([TOO_LONG, line('next')]);
    expect(read(most, 'x', 'y', '\nnext\n')).toEqual([TOO_LONG, line('next')]);
    expect(read(`${most}\r\0\n`)).toEqual([line(most)]);
  });
});

describe('guesses of a password', () => {
  const gate = (clock: FakeClock): ((guess: string) => { right: boolean; delay: number }) => {
    const made = new PasswordGate(new Secret('sesame'), clock);
    return (guess) => made.check(Buffer.from(guess));
  };

  test('are answered later with each wrong one, whether they are right or wrong', () => {
    const check = gate(new FakeClock());
    expect(check('sesame')).toEqual({ right: true, delay: 0 });
    const delays = Array.from({ length: 8 }, () => check('guess'));
    expect(delays).toEqual([0, 250, 500, 1_000, 2_000, 4_000, 8_000, 8_000].map((delay) => ({ right: false, delay })));
    expect(check('sesame')).toEqual({ right: true, delay: 8_000 });
    expect(check('sesam').right).toBe(false);
    expect(check('').right).toBe(false);
  });

  test('are forgotten one by one, one in ten seconds without a wrong one', () => {
    const clock = new FakeClock();
    clock.pass(1_000);
    const check = gate(clock);
    for (let count = 0; count < 4; count += 1) check('guess');
    const delayAfter = (seconds: number): number => {
      clock.pass(seconds);
      return check('sesame').delay;
    };
    expect([delayAfter(0), delayAfter(9), delayAfter(1), delayAfter(9), delayAfter(1)]).toEqual([
      2_000, 2_000, 1_000, 1_000, 500,
    ]);
    clock.pass(9);
    // a wrong one begins the ten seconds anew
    expect(check('guess').delay).toBe(500);
    expect([delayAfter(9), delayAfter(2), delayAfter(1_000)]).toEqual([1_000, 500, 0]);
    expect([check('guess').delay, check('guess').delay]).toEqual([0, 250]);
  });

  test('are forgotten within minutes, however many they were', () => {
    const clock = new FakeClock();
    const check = gate(clock);
    for (let count = 0; count < 100; count += 1) check('guess');
    clock.pass(310);
    expect(check('sesame').delay).toBe(250);
    clock.pass(10);
    expect(check('sesame').delay).toBe(0);
  });
});

describe('byte counts', () => {
  const subscribed = (interval: number): Subscriptions => {
    const subscriptions = new Subscriptions();
    subscriptions.wantedInterval = interval;
    subscriptions.startByteCounts();
    return subscriptions;
  };
  /** At which seconds one of the counts that come each `upstream` seconds is for this client. */
  const taken = (subscriptions: Subscriptions, upstream: number, seconds: readonly number[], source = ''): number[] =>
    seconds.filter((second) => subscriptions.takesByteCount(source, second * 1000, upstream));
  const each = (step: number, from: number, to: number): number[] =>
    Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);

  test('are for nobody who did not ask, or turned them off', () => {
    expect(taken(new Subscriptions(), 1, each(1, 100, 120))).toEqual([]);
    expect(taken(subscribed(0), 1, each(1, 100, 120))).toEqual([]);
    const asked = new Subscriptions();
    asked.wantedInterval = 5;
    expect(taken(asked, 1, each(1, 100, 120))).toEqual([]);
  });

  test('come one in each interval that the client wants', () => {
    expect(taken(subscribed(10), 2, each(2, 102, 142))).toEqual([110, 120, 130, 140]);
    expect(taken(subscribed(2), 2, each(2, 102, 110))).toEqual(each(2, 102, 110));
    expect(taken(subscribed(1), 2, each(2, 102, 110))).toEqual(each(2, 102, 110));
    expect(taken(subscribed(3), 2, each(2, 102, 118))).toEqual([104, 106, 110, 112, 116, 118]);
  });

  test('also if the daemon’s timer is a little ahead, or behind', () => {
    const late = each(2, 102, 142).map((second, index) => second + (index % 2 === 0 ? 0.2 : -0.2));
    expect(taken(subscribed(10), 2, late).map(Math.round)).toEqual([110, 120, 130, 140]);
  });

  test('all come to who wants them as often as the daemon counts, however they come', () => {
    expect(taken(subscribed(2), 2, [102, 103, 106])).toEqual([102, 103, 106]);
  });

  test('are not made up for after a pause', () => {
    const subscriptions = subscribed(10);
    taken(subscriptions, 2, each(2, 102, 110));
    expect(taken(subscriptions, 2, each(2, 202, 218)).length).toBeLessThanOrEqual(3);
  });

  test('are counted for each client of a server by itself, and anew when asked for again', () => {
    const subscriptions = subscribed(4);
    expect(taken(subscriptions, 2, [102, 104], '1')).toEqual([104]);
    expect(taken(subscriptions, 2, [104, 106], '2')).toEqual([106]);
    expect(taken(subscriptions, 2, [106, 108], '1')).toEqual([108]);
    subscriptions.startByteCounts();
    expect(taken(subscriptions, 2, [110, 112], '1')).toEqual([112]);
  });
});

describe('a command that was not carried out', () => {
  test('leaves what a client had', () => {
    const subscriptions = new Subscriptions();
    subscriptions.active.add('log');
    subscriptions.wanted.add('state');
    subscriptions.wantedInterval = 5;
    subscriptions.startByteCounts();
    subscriptions.wantedInterval = 7;
    subscriptions.forgetWanted();
    expect([[...subscriptions.wanted], subscriptions.wantedInterval]).toEqual([['log'], 5]);
  });
});

describe('what is turned off for one client', () => {
  test('stays on where others want it', () => {
    expect(forwardedWords(['log', 'off'], true)).toEqual(['log', 'on']);
    expect(forwardedWords(['log', 'off'], false)).toEqual(['log', 'off']);
    expect(forwardedWords(['log', '5', 'off'], true)).toEqual(['log', '5', 'on']);
    expect(forwardedWords(['log', 'off', 'all'], true)).toEqual(['log', 'on', 'all']);
    expect(forwardedWords(['echo', 'on', 'all', 'off'], true)).toEqual(['echo', 'on', 'all', 'off']);
  });

  const set = (topic: string, to: string): string => `SUCCESS: real-time ${topic} notification set to ${to}`;

  test('is shown as what the client asked for', () => {
    expect(outcome('log', ['log', 'off'], [set('log', 'ON')])).toEqual({ lines: [set('log', 'OFF')], on: false });
    expect(outcome('log', ['log', 'on', 'all'], [set('log', 'ON'), '1,I,x', 'END'])).toEqual({
      lines: [set('log', 'ON'), '1,I,x', 'END'],
      on: true,
    });
    expect(outcome('state', ['state', 'on', 'off'], [set('state', 'ON'), set('state', 'ON')])).toEqual({
      lines: [set('state', 'ON'), set('state', 'OFF')],
      on: false,
    });
  });

  test('is nothing where the daemon refuses, or says it of something else', () => {
    for (const lines of [['ERROR: no'], ['1,I,x', 'END'], [set('echo', 'ON')], [` ${set('log', 'ON')}`]])
      expect(outcome('log', ['log', 'off'], lines)).toEqual({ lines, on: undefined });
    const more = [set('log', 'ON'), set('log', 'ON')];
    expect(outcome('log', ['log', 'off'], more)).toEqual({ lines: [set('log', 'OFF'), more[1]], on: false });
    expect(outcome('log', ['log', '5', 'all', 'off'], [set('log', 'ON')]).on).toBeUndefined();
  });
});

describe('what the daemon waits with', () => {
  const NEED = ">PASSWORD:Need 'Auth' username/password";
  const PIN = ">PASSWORD:Need 'Private Key' password";
  const HOLD = '>HOLD:Waiting for hold release:0';
  const OK = ">NEED-OK:Need 'token' confirmation MSG:x";
  const STRING = ">NEED-STR:Need 'name' string MSG:x";
  const REMOTE = '>REMOTE:vpn.example.com,1194,udp';
  const PROXY = '>PROXY:1,UDP,vpn.example.com';
  const CR_TEXT = '>INFOMSG:CR_TEXT:R,E:Code?';
  const done = { text: 'x', lines: [], raw: [], error: undefined };
  const failed = { text: undefined, lines: [], raw: [], error: 'x' };

  function asked(...lines: readonly string[]): Questions & { readonly overs: number } {
    let overs = 0;
    const questions = Object.defineProperty(new Questions(), 'overs', { get: () => overs }) as Questions & {
      readonly overs: number;
    };
    questions.onOver = () => (overs += 1);
    for (const line of lines) questions.note(parseNotification([line]), [line]);
    return questions;
  }

  test.each([
    [HOLD, 'HOLD', 'hold', 'release'],
    [OK, 'NEED-OK', 'needok', 'token'],
    [STRING, 'NEED-STR', 'needstr', 'name'],
    [PIN, 'PASSWORD', 'password', 'Private Key'],
  ] as const)('%s: until it is answered', (line, type, command, argument) => {
    const questions = asked(line);
    expect([questions.lines, questions.type, questions.isOpen(type)]).toEqual([[line], type, true]);
    questions.settle(command, argument, failed);
    for (const other of ['hold', 'needok', 'needstr', 'password', 'username', 'remote', 'pid'].filter(
      (each) => each !== command,
    ))
      questions.settle(other, 'release', done);
    questions.settle('hold', 'on', done);
    expect([questions.lines, questions.overs]).toEqual([[line], 0]);
    questions.settle(command, argument, done);
    expect([questions.lines, questions.type, questions.isOpen(type), questions.overs]).toEqual([
      ...[[], undefined, false],
      1,
    ]);
    // answered once
    questions.settle(command, argument, done);
    expect(questions.overs).toBe(1);
  });

  test('a username and a password: until both are answered, in either order', () => {
    for (const [one, other] of [
      ['username', 'password'],
      ['password', 'username'],
    ] as const) {
      const questions = asked(NEED);
      questions.settle(one, 'Auth', done);
      questions.settle(one, 'Auth', done);
      expect(questions.type).toBe('PASSWORD');
      questions.settle(other, 'Auth', done);
      expect([questions.type, questions.overs]).toEqual([undefined, 1]);
    }
    // the halves of one question answer no other
    const again = asked(NEED, PIN);
    again.settle('password', 'Private Key', done);
    expect(again.type).toBeUndefined();
  });

  test('is over with a signal, the end of its connection, and what comes behind an answer', () => {
    for (const line of [HOLD, OK, STRING, PIN, NEED]) {
      const signalled = asked(line, REMOTE);
      signalled.settle('signal', 'SIGUSR1', done);
      expect([signalled.type, signalled.isOpen('REMOTE'), signalled.overs]).toEqual([undefined, false, 1]);
      const gone = asked(line, REMOTE);
      gone.forget();
      expect([gone.type, gone.isOpen('REMOTE'), gone.overs]).toEqual([undefined, false, 1]);
      for (const next of ['>PK_SIGN:AAAA,ECDSA', '>RSA_SIGN:AAAA', '>NEED-CERTIFICATE:x', '>FATAL:x']) {
        const questions = asked(line, next);
        expect([next, questions.lines, questions.overs]).toEqual([next, [], 1]);
      }
    }
  });

  test('is not over with what else the daemon says', () => {
    const others = ['>INFO:x', '>STATE:1,WAIT,,,', ">PASSWORD:Verification Failed: 'Auth'", '>INFOMSG:OPEN_URL:x'];
    const questions = asked(OK, ...others, '>PASSWORD:Auth-Token:x');
    expect([questions.lines, questions.overs]).toEqual([[OK], 0]);
    expect(asked(...others).type).toBeUndefined();
    expect(asked('>FATAL:x', '>PK_SIGN:AAAA,ECDSA').overs).toBe(0);
    expect(asked(...others).isOpen('INFOMSG')).toBe(false);
  });

  test.each([
    [REMOTE, 'REMOTE', 'remote'],
    [PROXY, 'PROXY', 'proxy'],
    [CR_TEXT, 'INFOMSG', 'cr-response'],
  ] as const)('%s is asked besides, and told to nobody who comes later', (line, type, command) => {
    const questions = asked(line);
    expect([questions.lines, questions.type, questions.isOpen(type)]).toEqual([[], undefined, true]);
    questions.settle('pid', undefined, done);
    questions.settle(command, 'x', failed);
    expect([questions.isOpen(type), questions.overs]).toEqual([true, 0]);
    questions.settle(command, 'x', done);
    questions.settle(command, 'x', done);
    expect([questions.isOpen(type), questions.overs]).toEqual([false, 1]);
    // the daemon begins anew
    expect(asked(line, HOLD).isOpen(type)).toBe(false);
    expect(asked(line, OK).isOpen(type)).toBe(true);
    const beside = asked(line, OK);
    beside.settle('pid', undefined, done);
    expect(beside.isOpen(type)).toBe(true);
    // the agent answers itself: once
    const taken = asked(line, OK);
    expect([taken.take(type), taken.take(type), taken.type]).toEqual([true, false, 'NEED-OK']);
  });

  test('is taken by the agent once, and only what it is', () => {
    const questions = asked(HOLD);
    expect([questions.take('NEED-OK'), questions.take('HOLD'), questions.take('HOLD')]).toEqual([false, true, false]);
    expect([questions.type, questions.overs]).toEqual([undefined, 0]);
  });
});

describe('a notification', () => {
  test('of several lines shows those that a client may see', () => {
    const block = ['>CLIENT:CONNECT,0,1', '>CLIENT:ENV,common_name=x', '>CLIENT:ENV,UV_X=y', '>CLIENT:ENV,END'];
    const secret = '>CLIENT:ENV,password=z';
    const all = [...block.slice(0, 3), secret, ...block.slice(3)];
    expect(visible(all, 'all')).toEqual(all);
    expect(visible(all, 'operate')).toEqual(block);
    expect(visible(all, 'read')).toEqual([block[0], block[1], block[3]]);
    expect(visible(['>CLIENT:CR_RESPONSE,0,1,x', ...block.slice(1)], 'operate')).toEqual([]);
    expect(visible([], 'read')).toEqual([]);
  });

  test('of the log, or the last one, has no secrets; others are as they came', () => {
    const said = "MANAGEMENT: CMD 'needstr name c2VjcmV0'";
    const shown = "MANAGEMENT: CMD 'needstr [...]";
    for (const head of ['>LOG:1,D,', '>FATAL:', '1,D,']) {
      expect(redactLog(head + said, 'read')).toBe(head + shown);
      expect(redactLog(head + said, 'operate')).toBe(head + shown);
      expect(redactLog(head + said, 'all')).toBe(head + said);
    }
    expect(redactLog(`>INFO:${said}`, 'read')).toBe(`>INFO:${said}`);
    expect(redactLog(`>STATE:1,>LOG:${said}`, 'read')).toBe(`>STATE:1,>LOG:${said}`);
    expect(visible([`>LOG:1,D,${said}`], 'read')).toEqual([`>LOG:1,D,${shown}`]);
  });
});
