import { describe, expect, test } from 'vitest';
import type { ManagementClient } from '../../../../src/management/index.ts';
import { coded, type setUp } from '../pair.ts';

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

export function testEachCommand(cases: readonly CommandCase[], pair: ReturnType<typeof setUp>['pair']): void {
  describe('each command: what it sends and what comes of the reply', () => {
    test.each(cases)('%s', async (_, call, sends, answer, result) => {
      const { client, daemon } = await pair();
      const stray: string[] = [];
      client.on('STRAY', ({ line }) => stray.push(line));
      const called = call(client);
      expect(await daemon.hear(`${sends}\n`)).toBe(`${sends}\n`);
      // without an answer, that the next command goes out shows that none was awaited
      if (answer !== '') daemon.say(`${answer}\r\n`);
      expect(await called).toEqual(result);
      const behind = client.pid();
      await daemon.hear('pid\n');
      daemon.say('SUCCESS: pid=1\r\n');
      await behind;
      expect(stray).toEqual([]);
    });

    test.each(cases.filter(isRefusable))('%s, refused', async (_, call, sends) => {
      const { client, daemon } = await pair();
      const called = call(client);
      await daemon.hear(`${sends}\n`);
      daemon.say(sends.includes(' on ') ? 'ERROR: no\r\nEND\r\n' : 'ERROR: no\r\n');
      await expect(called).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', ': no'));
    });
  });
}
