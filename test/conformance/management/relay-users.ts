import type { ManagementAddress } from '../../../src/management/index.ts';
import { ManagementUser } from '../../support/management-user.ts';

/** A command, and where its reply ends. */
type Step = readonly [command: string, end: RegExp];

const LINE = /^(?:SUCCESS|ERROR):.*\r\n/m;
const BLOCK = /^END\r\n/m;
const PID = /^SUCCESS: pid=.*\r\n/m;
const line = (command: string): Step => [command, LINE];
const block = (command: string): Step => [command, BLOCK];

/** What each of ten users does, over and over. */
export const SCRIPTS: readonly (readonly Step[])[] = [
  [block('status'), block('status 2'), block('status 3')],
  [
    block('log on all'),
    block('log 5'),
    line('log off'),
    block('log on 3'),
    line('log on'),
    ['log 2 off', /^END\r\nSUCCESS:.*\r\n/m],
  ],
  [block('state'), block('state on all'), block('state 2'), line('state off'), block('state off 1')],
  [line('bytecount 1'), line('bytecount 3'), line('pid'), line('bytecount 0'), line('bytecount')],
  // some daemons acknowledge a version, some don't
  [block('version'), ['version 2\r\npid', PID], block('help'), ['version 4\r\npid', PID]],
  [block('echo all'), line('echo on'), line('verb'), line('mute'), line('echo off'), block('echo on all')],
  [line('no-such-command x'), line('status "2'), line('log'), line('log bogus'), line('verb 99'), line('"pid"')],
  [line('hold'), line('hold on'), line('auth-retry'), line('auth-retry none'), line('log off'), line('mute 0')],
  [line('pid'), line('load-stats'), line('verb 3'), block('status 2\r\n\r\n   '), line('exit')],
  [
    line('pk-sig'),
    line('rsa-sig'),
    line('certificate'),
    line('needok x ok'),
    line('password "Auth" x'),
    line('kill x'),
  ],
];

/** One command's reply: its own lines, whatever came unasked before it. */
export interface Heard {
  readonly command: string;
  readonly reply: string;
}

/** Asks, and takes the reply apart from the notifications before it. */
async function ask(user: ManagementUser, [command, end]: Step): Promise<Heard> {
  const heard = await user.ask(command, end);
  // two commands at once: between their replies anything may come
  const all = command.includes('\r\n') ? heard.replace(/^>.*\r\n/gm, '') : heard;
  // notifications come whole, and only before a reply's first line
  const reply = /^(?:>.*\r\n)*([^]*)$/.exec(all)?.[1] ?? '';
  if (/^>/m.test(reply)) throw new Error(`a notification inside the reply to ${command}:\n${reply}`);
  return { command, reply };
}

/** Runs a script again and again while `going`; resolves with all that was heard. */
export async function runScript(
  address: ManagementAddress,
  script: readonly Step[],
  going: () => boolean,
): Promise<Heard[]> {
  const heard: Heard[] = [];
  let user = await ManagementUser.open(address);
  try {
    await user.hear(/^>INFO:OpenVPN Management Interface.*\r\n/);
    while (going()) {
      for (const step of script) {
        if (step[0] === 'exit') {
          user.say('exit\r\n');
          await user.gone();
          user = await ManagementUser.open(address);
          await user.hear(/^>INFO:OpenVPN Management Interface.*\r\n/);
        } else {
          heard.push(await ask(user, step));
        }
      }
    }
  } finally {
    user.close();
  }
  return heard;
}

/** What a reply looks like whenever it is asked for: numbers, and histories' lines, vary. */
export function form({ command, reply }: Heard): string {
  const masked = reply
    .replace(/^\d+,[A-Z]*,.*\r\n/gm, 'entry\r\n')
    .replace(/^(Updated|TIME),.*\r\n/gm, '$1\r\n')
    .replace(/(?:entry\r\n)+/g, 'entries\r\n')
    .replace(/\d+/g, '#');
  return `${command}: ${masked}`;
}
