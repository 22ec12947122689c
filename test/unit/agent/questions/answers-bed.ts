import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { TunnelAnswers } from '../../../../src/agent/questions/tunnel-answers.ts';
import { type AnswerFlags, answerSettings } from '../../../../src/config/answers.ts';
import { AgentError } from '../../../../src/errors.ts';
import { type Relay, Secret } from '../../../../src/management/index.ts';
import { type Bed, bed, PATIENTLY } from '../daemon-bed.ts';
import type { FakeClock } from '../fake-clock.ts';

export const NEED = ">PASSWORD:Need 'Auth' username/password\r\n";
export const REFUSED = ">PASSWORD:Verification Failed: 'Auth'\r\n";
export const CONNECTED = '>STATE:1,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,,\r\n';

export let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-answers-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

export function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
}

/**
 * A tunnel's answers.
 * @param typed what a person types at the terminal, one after the other
 * @param environment of commands, beside PATH
 */
function answers(
  flags: AnswerFlags,
  typed: string[] = [],
  environment: NodeJS.ProcessEnv = {},
): (clock: FakeClock) => TunnelAnswers {
  const settings = answerSettings(flags);
  if (settings === undefined) throw new Error('no answers');
  return (clock) =>
    new TunnelAnswers(settings, 'office', {
      commands: {
        clock,
        environment: { PATH: process.env['PATH'], ...environment },
        killGroup: (leader) => {
          process.kill(-leader, 'SIGKILL');
        },
      },
      secrets: {
        credentialsDirectory: folder,
        prompt: () => {
          const next = typed.shift();
          if (next === undefined) throw new AgentError('ERR_PIN_REQUIRED', 'there is no terminal');
          return Promise.resolve(new Secret(next));
        },
        warn: () => undefined,
        run: () => Promise.reject(new Error('commands run for a tunnel')),
      },
    });
}

/** What a daemon says when it takes a command. */
function taken(command: string): string {
  const [word = ''] = command.split(' ');
  const texts: Readonly<Record<string, string>> = {
    'auth-retry': 'auth-retry parameter changed',
    username: "'Auth' username entered, but not yet verified",
    password: "'Auth' password entered, but not yet verified",
    needok: "'x' needok-confirmation entered, but not yet verified",
    needstr: "'x' needstr-string entered, but not yet verified",
  };
  return `SUCCESS: ${texts[word] ?? `${word} command succeeded`}\r\n`;
}

export interface Asked extends Bed {
  /** Hears a command, and lets it succeed. */
  readonly takes: (command: string) => Promise<void>;
  readonly answers: TunnelAnswers;
}

export async function asked(
  flags: AnswerFlags,
  { relay, typed, environment }: { relay?: Relay; typed?: string[]; environment?: NodeJS.ProcessEnv } = {},
): Promise<Asked> {
  let made: TunnelAnswers | undefined;
  const one = await bed(relay, undefined, (clock) => (made = answers(flags, typed, environment)(clock)));
  if (made === undefined) throw new Error('no answers');
  // once a connection, when the daemon has its first answer
  one.daemon.hears('state on 1').then(
    () => {
      one.daemon.say('SUCCESS: real-time state notification set to ON\r\nEND\r\n');
    },
    () => undefined,
  );
  return {
    ...one,
    answers: made,
    takes: async (command) => {
      await one.daemon.hears(command);
      one.daemon.say(taken(command));
    },
  };
}

/** Hears a login. */
export async function login({ takes }: Asked, username: string, password: string): Promise<void> {
  await takes('auth-retry interact');
  await takes(`username Auth ${username}`);
  await takes(`password Auth "${password}"`);
}

/** Waits for the line of a trouble, letting no time pass. */
export const told = async ({ logged }: Bed, text: string, times = 1): Promise<void> => {
  await expect.poll(() => logged.filter((line) => line.text.includes(text)).length, PATIENTLY).toBe(times);
};

/** Waits until all that the daemon has said was read. */
export const read = async ({ daemon, events }: Bed): Promise<void> => {
  daemon.say('>ECHO:1,x\r\n');
  const isRead = (): boolean => events.some((event) => event.type === 'notification' && event.notification === 'ECHO');
  await expect.poll(isRead, PATIENTLY).toBe(true);
};

export const answered = async ({ events }: Bed, times: number): Promise<void> => {
  const count = (): number => events.filter(({ type }) => type === 'question-answered').length;
  await expect.poll(count, PATIENTLY).toBe(times);
};

export const AGAIN = 'refused before: it is not sent again';
