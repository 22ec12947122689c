// Hold, and signals.
import { GREETING, type Script } from './dialogue.ts';

export const SIGNALS: readonly Script[] = [
  ...['SIGUSR2', 'SIGINT'].map(
    (signal): Script => ({
      name: `signal ${signal} in hold`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        client.say(`signal ${signal}\n`);
        await client.hear('SUCCESS|ERROR');
        client.say('pid\n');
        await client.gone();
        await stage.daemonEnds();
      },
    }),
  ),
  {
    name: 'signal SIGUSR1 while a request waits',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on\nhold release', 'SUCCESS: hold']);
      await client.request();
      await client.ask(['signal SIGUSR1', 'SUCCESS']);
      await client.hear('>HOLD:');
      await client.quiet();
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.quiet();
    },
  },
  {
    name: 'signal SIGUSR1 behind a signature',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(['signal SIGUSR1', 'SUCCESS']);
      await client.hear('>HOLD:');
      await client.ask(['signal SIGUSR1', 'ERROR|SUCCESS'], ['hold', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.quiet();
    },
  },
  {
    name: 'signal SIGHUP behind a signature',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(['signal SIGHUP', 'SUCCESS']);
      await client.hear('>HOLD:');
      await client.ask(['signal SIGHUP', 'SUCCESS|ERROR']);
      await client.hear('>HOLD:');
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(['state all', 'END']);
      await client.quiet();
    },
  },
  {
    name: 'hold off before a failure',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold off', 'SUCCESS'], ['hold release', 'SUCCESS']);
      await client.request();
      client.say('pk-sig\nEND\n');
      await client.hear('SUCCESS');
      client.answer(await client.request());
      await client.hear('SUCCESS');
      await client.quiet();
    },
  },
  {
    name: 'hold on, of a daemon that was not',
    settings: { isHeld: false },
    play: async (stage) => {
      await stage.asks();
      const client = await stage.client();
      await client.request();
      await client.ask(['hold', 'SUCCESS'], ['hold on', 'SUCCESS']);
      client.say('pk-sig\nEND\n');
      await client.hear('SUCCESS', '>HOLD');
      await client.connects();
      await client.quiet();
    },
  },
  ...(['in hold', 'while a request waits', 'behind a signature'] as const).map(
    (when): Script => ({
      name: `signal SIGTERM ${when}`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        await client.ask(['version 3\nstate on', 'SUCCESS']);
        if (when === 'behind a signature') {
          await client.connects();
          await client.hear('>STATE:\\d+,CONNECTED');
        } else if (when === 'while a request waits') {
          await client.ask(['hold release', 'SUCCESS']);
          await client.request();
        }
        client.say('signal SIGTERM\n');
        await client.gone();
        await stage.daemonEnds();
      },
    }),
  ),
];
