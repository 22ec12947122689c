// Requests, and their answers.
import { GREETING, type Script } from './dialogue.ts';

export const SIGNATURES: readonly Script[] = [
  {
    name: 'a signature, with its states',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(['state', 'END'], ['state all', 'END'], ['hold release', 'SUCCESS']);
      await client.quiet();
    },
  },
  ...['1', '2', '3', '4', 'none'].map(
    (version): Script => ({
      name: `the request for a client of version ${version}`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        client.say(`${version === 'none' ? '' : `version ${version}\n`}hold release\n`);
        await client.hear('SUCCESS: hold');
        client.answer(
          await client.request(),
          version === '1' || version === 'none' ? 'rsa-sig\n@END\n' : 'pk-sig\n@END\n',
        );
        await client.hear('SUCCESS: ');
        await client.quiet();
      },
    }),
  ),
  {
    name: 'a request that was made before a client came keeps its form',
    settings: { isHeld: false },
    play: async (stage) => {
      await stage.asks();
      const client = await stage.client();
      client.say('version 3\n');
      await client.request();
      await client.quiet();
      client.leave();
      const next = await stage.client();
      next.answer(await next.request());
      await next.hear('SUCCESS: ');
      await next.quiet();
    },
  },
  {
    name: 'renegotiations',
    settings: { renegotiates: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('version 3\n');
      await client.connects();
      client.answer(await client.request());
      await client.hear('SUCCESS: ');
      await client.request();
      await client.quiet();
    },
  },
  {
    name: 'questions while a request waits',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS']);
      const request = await client.request();
      await client.ask(
        ['state', 'END'],
        ['hold', 'SUCCESS'],
        ['version 3\nhold release', 'SUCCESS'],
        ['nonsense', 'ERROR'],
        ['test 2', '\\[1\\]'],
      );
      client.answer(request);
      await client.hear('SUCCESS: ');
      await client.quiet();
    },
  },
  {
    name: 'commands within a block, and behind one in the same write',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS']);
      await client.request();
      client.say('pk-sig\npid\n');
      client.say('END\n');
      await client.hear('SUCCESS: pk-sig', '>HOLD:');
      await client.ask(['hold release', 'SUCCESS']);
      client.answer(await client.request(), 'pk-sig\n@END\nverb\n');
      await client.hear('SUCCESS: ', 'SUCCESS: ');
      await client.quiet();
    },
  },
  ...(
    [
      ['CRLF', 'pk-sig\r\n@END\r\n'],
      ['blank lines', 'pk-sig\n\n@\n\nEND\n'],
      ['rsa-sig for pk-sig', 'rsa-sig\n@END\n'],
      ['words behind pk-sig', 'pk-sig x\n@END\n'],
    ] as const
  ).map(
    ([what, how]): Script => ({
      name: `an answer with ${what}`,
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        await client.ask(['version 3\nstate on\nhold release', 'SUCCESS: hold']);
        client.answer(await client.request(), how);
        await client.hear('SUCCESS: |ERROR: ');
        await client.hear('>STATE:\\d+,(?:CONNECTED|RECONNECTING)');
        await client.quiet();
      },
    }),
  ),
  {
    name: 'an answer whose END has a space behind it',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nhold release', 'SUCCESS: hold']);
      client.answer(await client.request(), 'pk-sig\n@END \n');
      client.say('END\n');
      await client.hear('SUCCESS: ', '>HOLD:');
      await client.quiet();
    },
  },
  ...(
    [
      ['empty', 'pk-sig\nEND\n'],
      ['garbage', 'pk-sig\n!!!! no base64 !!!!\nEND\n'],
      ['too short a signature', 'pk-sig\nAAAA\nEND\n'],
      ['a long line', `pk-sig\n${'A'.repeat(1000)}\nEND\n`],
    ] as const
  ).map(
    ([what, block]): Script => ({
      name: `a block that is no signature: ${what}`,
      settings: { isImpatient: true },
      play: async (stage) => {
        const client = await stage.client();
        await client.hear(GREETING, '>HOLD:');
        await client.ask(['version 3\nstate on\nhold release', 'SUCCESS: hold']);
        await client.request();
        client.say(block);
        await client.hear('SUCCESS: pk-sig', '>HOLD:');
        await client.quiet();
        await client.connects();
        await client.hear('>STATE:\\d+,CONNECTED');
        await client.quiet();
      },
    }),
  ),
  {
    name: 'holds after failures',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('version 3\n');
      for (let failures = 0; failures < 7; failures += 1) {
        await client.ask(['hold release', 'SUCCESS']);
        await client.request();
        client.say('pk-sig\nEND\n');
        await client.hear('SUCCESS: pk-sig', '>HOLD:');
      }
      await client.ask(['state on', 'SUCCESS']);
      await client.connects();
      await client.hear('>STATE:\\d+,CONNECTED');
      await client.ask(['signal SIGUSR1', 'SUCCESS']);
      await client.hear('>HOLD:');
      await client.quiet();
    },
  },
  {
    name: 'a wrong signature',
    settings: { isImpatient: true },
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      await client.ask(['version 3\nstate on\nhold release', 'SUCCESS: hold']);
      await client.request();
      client.answer(`>PK_SIGN:${Buffer.alloc(32, 1).toString('base64')},ECDSA`);
      await client.hear('SUCCESS: pk-sig', '>HOLD:');
      await client.quiet();
    },
  },
  {
    name: 'a failure without hold',
    settings: { isHeld: false },
    play: async (stage) => {
      await stage.asks();
      const client = await stage.client();
      client.say('version 3\n');
      await client.request();
      client.say('pk-sig\nEND\n');
      await client.hear('SUCCESS');
      client.answer(await client.request());
      await client.hear('SUCCESS');
      await client.quiet();
    },
  },
  {
    name: 'an answer that nobody asked for, behind one that was',
    play: async (stage) => {
      const client = await stage.client();
      await client.hear(GREETING, '>HOLD:');
      client.say('version 3\n');
      await client.connects();
      client.say('pk-sig\nAAAA\nEND\n');
      await client.hear('ERROR', 'ERROR', 'ERROR');
      await client.quiet();
    },
  },
];
