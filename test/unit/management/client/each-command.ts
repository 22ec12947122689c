import { describe, expect, test } from 'vitest';
import type { ManagementClient } from '../../../../src/management/index.ts';
import { coded, type Pair, type setUp } from '../pair.ts';

/** The call, what it sends, what manage.c answers, what the caller gets. */
export type CommandCase = [
  name: string,
  call: (client: ManagementClient) => Promise<unknown>,
  sends: string,
  answer: string,
  result: unknown,
];

/** Blocks are answered when they end, push-update in several lines: they have tests of their own. */
const isRefusable = ([, , sends, answer]: CommandCase): boolean => answer !== '' && !/\n|^push-update/.test(sends);

/** Waits for what the call sends. A call that is over before its answer has sent nothing. */
async function sent(
  daemon: Pair['daemon'],
  [, , sends, answer]: CommandCase,
  called: Promise<unknown>,
): Promise<string> {
  const heard = daemon.hear('\n');
  const line = await (answer === '' ? heard : Promise.race([heard, called.then(() => 'nothing')]));
  return line === `${sends}\n` || !sends.startsWith(line) ? line : line + (await daemon.hear('END\n'));
}

export function testEachCommand(cases: readonly CommandCase[], pair: ReturnType<typeof setUp>['pair']): void {
  describe('each command: what it sends and what comes of the reply', () => {
    test.each(cases)('%s', async (...its) => {
      const [, call, sends, answer, result] = its;
      const { client, daemon } = await pair();
      const stray: string[] = [];
      client.on('STRAY', ({ line }) => stray.push(line));
      const called = call(client);
      expect(await sent(daemon, its, called)).toBe(`${sends}\n`);
      // without an answer, that the next command goes out shows that none was awaited
      if (answer !== '') daemon.say(`${answer}\r\n`);
      expect(await called).toEqual(result);
      const behind = client.pid();
      await daemon.hear('pid\n');
      daemon.say('SUCCESS: pid=1\r\n');
      await behind;
      expect(stray).toEqual([]);
    });

    test.each(cases.filter(isRefusable))('%s, refused', async (...its) => {
      const [, call, sends] = its;
      const { client, daemon } = await pair();
      const called = call(client);
      expect(await sent(daemon, its, called)).toBe(`${sends}\n`);
      daemon.say(sends.includes(' on ') ? 'ERROR: no\r\nEND\r\n' : 'ERROR: no\r\n');
      // by its first word: those behind it may be secret
      const [name] = sends.split(' ');
      await expect(called).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', `the ${name} command: no`));
    });
  });
}
