// How clients are greeted, come and go.
import { GREETING, type Script } from './dialogue.ts';

export const ARRIVALS: readonly Script[] = [
  {
    name: 'a client is greeted and told of the hold',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.quiet();
    },
  },
  {
    name: 'on a TCP port',
    settings: { isTcp: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.quiet();
      await client.connects();
      client.say('quit\n');
      await client.gone();
    },
  },
  {
    name: 'the right password',
    settings: { password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\n');
      await client.hear('SUCCESS: password', GREETING, '>HOLD:');
      await client.quiet();
    },
  },
  {
    name: 'a wrong password, a command in its place, and the right one',
    settings: { password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('battery staple\n');
      await client.hear('ENTER PASSWORD');
      client.say('pid\n');
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\n');
      await client.hear('SUCCESS: password', GREETING, '>HOLD:');
      await client.quiet();
    },
  },
  {
    name: 'three wrong passwords',
    settings: { password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      for (const guess of ['a', 'b', 'c']) {
        await client.hear('ENTER PASSWORD');
        client.say(`${guess}\n`);
      }
      await client.gone();
      const next = await stage.client();
      await next.hear('ENTER PASSWORD');
      next.say('correct horse\r\n');
      await next.hear('SUCCESS: password', GREETING, '>HOLD:');
      await next.quiet();
    },
  },
  {
    name: 'a password in the same write as commands',
    settings: { password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\nversion 3\nstate on\n');
      await client.hear('SUCCESS: real-time');
      await client.quiet();
    },
  },
  {
    name: 'a request that waits for a client with a password',
    settings: { password: 'correct horse', isHeld: false },
    play: async (stage) => {
      await stage.asks();
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\n');
      client.answer(await client.request());
      await client.hear('SUCCESS');
      await client.quiet();
    },
  },
  {
    name: 'released in the same write as the password',
    settings: { password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\nversion 3\nhold release\n');
      await client.hear('SUCCESS: hold');
      await client.quiet();
      await client.request();
      await client.quiet();
    },
  },
  {
    name: 'commands before the greeting was heard',
    play: async (stage) => {
      const client = await stage.client();
      client.say('version 3\nstate on\nhold\n');
      await client.hear('SUCCESS: hold');
      await client.quiet();
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
    },
  },
  {
    name: 'a connection that is lost while a request waits',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on\nhold release', 'SUCCESS: hold']);
      await client.request();
      client.leave();
      const next = await stage.client();
      await next.hear(GREETING);
      next.answer(await next.request());
      await next.hear('SUCCESS: pk-sig');
      await next.quiet();
    },
  },
  {
    name: 'a connection that is lost in hold',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on', 'SUCCESS']);
      client.leave();
      const next = await stage.client();
      await next.hear(GREETING, '>HOLD:');
      await next.connects();
      await next.quiet();
    },
  },
  {
    name: 'a connection that is lost behind a signature',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('version 3\n');
      await client.connects();
      client.leave();
      const next = await stage.client();
      await next.hear(GREETING);
      await next.quiet();
    },
  },
  {
    name: 'a connection that is lost within a block',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS: hold']);
      await client.request();
      client.say('pk-sig\nAAAA\n');
      client.leave();
      const next = await stage.client();
      await next.hear(GREETING);
      await next.request();
      next.say('pk-sig\nAAAA\nEND\n');
      await next.hear('ERROR', 'ERROR', 'ERROR');
      await next.ask(['signal SIGUSR1', 'SUCCESS']);
      await next.hear('>HOLD:');
      await next.connects();
      await next.quiet();
    },
  },
  ...['quit', 'exit'].map(
    (word): Script => ({
      name: `${word}, and the next client`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        client.say(`${word}\npid\n`);
        await client.gone();
        const next = await stage.client();
        await next.hear(GREETING, '>HOLD:');
        await next.quiet();
      },
    }),
  ),
  {
    name: 'quit while a request waits',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS: hold']);
      await client.request();
      client.say('quit\n');
      await client.gone();
      const next = await stage.client();
      next.answer(await next.request());
      await next.hear('SUCCESS: pk-sig');
      await next.quiet();
    },
  },
  {
    name: 'more clients than one',
    play: async (stage) => {
      const first = await stage.client();
      await first.hear(GREETING, '>HOLD:');
      const second = await stage.client();
      second.say('pid\n');
      const third = await stage.client();
      await stage.cannotConnect();
      await first.quiet();
      first.leave();
      await second.hear(GREETING, '>HOLD:', 'SUCCESS: pid');
      await second.quiet();
      second.say('quit\n');
      await second.gone();
      await third.hear(GREETING, '>HOLD:');
      await third.quiet();
    },
  },
  {
    name: 'a client that leaves while it waits for another',
    play: async (stage) => {
      const first = await stage.client();
      await first.hear(GREETING, '>HOLD:');
      const second = await stage.client();
      second.leave();
      const third = await stage.client();
      await first.quiet();
      first.leave();
      await third.hear(GREETING, '>HOLD:');
      await third.quiet();
    },
  },
  {
    name: 'a daemon that connects: hold, signature, and a client that leaves',
    settings: { isClient: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('version 3\n');
      await client.connects();
      await client.quiet();
      client.leave();
      await stage.daemonEnds();
    },
  },
  {
    name: 'a daemon that connects, without hold, and a failure',
    settings: { isClient: true, isHeld: false },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING);
      await client.request();
      client.say('version 3\npk-sig\nEND\n');
      await client.hear('SUCCESS');
      client.answer(await client.request());
      await client.hear('SUCCESS');
      client.say('quit\n');
      await client.gone();
      await stage.daemonEnds();
    },
  },
  {
    name: 'a daemon that connects, and a client that leaves while a request waits',
    settings: { isClient: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS']);
      await client.request();
      client.leave();
      await stage.daemonEnds();
    },
  },
  {
    name: 'a daemon that connects, and wants a password',
    settings: { isClient: true, password: 'correct horse' },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear('ENTER PASSWORD');
      client.say('correct horse\n');
      await client.hear('SUCCESS: password', GREETING, '>HOLD:');
      await client.quiet();
      client.say('signal SIGTERM\n');
      await client.gone();
      await stage.daemonEnds();
    },
  },
];
