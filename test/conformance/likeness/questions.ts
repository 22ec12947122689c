// What a daemon is asked, each with how the last line of its answer begins.
import { GREETING, type Script } from './dialogue.ts';

const IN_HOLD: Readonly<Record<string, readonly string[]>> = {
  'pid, version': [
    'pid => SUCCESS',
    'version => END',
    'version 3\npid => SUCCESS: pid',
    'version x\npid => SUCCESS: pid',
  ],
  hold: [
    'hold => SUCCESS',
    'hold off => SUCCESS',
    'hold => SUCCESS',
    'hold on => SUCCESS',
    'hold => SUCCESS',
    'hold nonsense => ERROR|SUCCESS',
  ],
  state: [
    'state => END',
    'state on => SUCCESS',
    'state off => SUCCESS',
    'state all => END',
    'state 1 => END',
    'state on all => END',
    'state nonsense => ERROR|END',
  ],
  log: ['log on => SUCCESS', 'log off => SUCCESS', 'log => ERROR', 'log nonsense => ERROR|END', 'log 0 => ERROR|END'],
  echo: ['echo on => SUCCESS', 'echo off => SUCCESS', 'echo all => END', 'echo => ERROR'],
  test: ['test 3 => \\[2\\]', 'test 0\npid => SUCCESS: pid', 'test x\npid => SUCCESS: pid', 'test => ERROR'],
  'verb, mute': [
    'verb => SUCCESS',
    'verb 4 => SUCCESS',
    'verb => SUCCESS',
    'verb 99 => ERROR',
    'mute => SUCCESS',
    'mute 40 => SUCCESS',
    'mute => SUCCESS',
  ],
  status: ['status => END|ERROR', 'status 2 => END|ERROR'],
  help: ['help => END'],
  'what it does not know': ['nonsense => ERROR', 'PID => ERROR', 'get out => ERROR', 'END => ERROR'],
  'odd lines': [
    '\npid => SUCCESS',
    ' pid  => SUCCESS',
    'pid\r => SUCCESS',
    'pid extra => SUCCESS|ERROR',
    '"pid" => SUCCESS',
    'pid "open => ERROR',
    '#pid\npid => SUCCESS',
    'hold\thold => SUCCESS|ERROR',
  ],
  'signals in hold': ['signal SIGUSR1 => ERROR|SUCCESS', 'signal SIGFOO => ERROR|SUCCESS', 'signal => ERROR'],
  bytecount: ['bytecount 5 => SUCCESS', 'bytecount 0 => SUCCESS', 'bytecount => ERROR'],
  'answers to nothing': [
    'password Auth x => ERROR',
    'username Auth x => ERROR',
    'needok x ok => ERROR',
    'needstr x y => ERROR',
    'certificate => ERROR',
    'rsa-sig => ERROR',
    'pk-sig => ERROR',
    'AAAA => ERROR',
    'END => ERROR',
    'pk-sig x => ERROR',
  ],
  'what a daemon that is no server does not do': [
    'kill x => ERROR',
    'client-kill 0 => ERROR',
    'load-stats => SUCCESS',
    'remote ACCEPT => ERROR',
    'proxy NONE => ERROR',
    'auth-retry => SUCCESS',
    'auth-retry interact => SUCCESS',
    'forget-passwords => SUCCESS',
    'net => ERROR|SUCCESS|END',
    'env-filter 2 => SUCCESS',
    'cr-response x => SUCCESS|ERROR',
    'remote-entry-count => \\d|ERROR|END',
  ],
};

const UP = [
  'status => END',
  'load-stats => SUCCESS',
  'hold => SUCCESS',
  'state 2 => END',
  'state 0\npid => SUCCESS',
  'remote ACCEPT => ERROR',
  'state off => SUCCESS',
  'signal SIGUSR2 => SUCCESS',
  'bytecount 1 => SUCCESS',
  'net => ERROR',
];

const split = (questions: readonly string[]): [string, string][] =>
  questions.map((question) => question.split(' => ') as [string, string]);

export const QUESTIONS: readonly Script[] = [
  ...Object.entries(IN_HOLD).map(
    ([what, questions]): Script => ({
      name: `asked in hold: ${what}`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        await client.ask(...split(questions));
        await client.quiet();
      },
    }),
  ),
  {
    name: 'asked of a tunnel that is up',
    settings: { pings: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(...split(UP));
      await client.counted();
      await client.ask(['bytecount 0', 'SUCCESS: bytecount']);
      await client.quiet();
    },
  },
  {
    name: 'commands in pieces, and several in one write',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('pi');
      client.say('d\nho');
      client.say('ld\nstate on\nstate off\n');
      await client.hear('SUCCESS: real-time', 'SUCCESS: real-time');
      await client.quiet();
    },
  },
  ...[200, 255, 256, 300, 1000, 1023, 1024, 1500, 5000].map(
    (length): Script => ({
      name: `a line of ${length} bytes`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        client.say(`${'x'.repeat(length)}\n`);
        client.say('verb\n');
        await client.hear('SUCCESS: verb');
        await client.quiet();
      },
    }),
  ),
];
