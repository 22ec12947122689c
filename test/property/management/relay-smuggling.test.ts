import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COMMANDS, RELAY_RIGHTS } from '../../../src/management/index.ts';
import { greeting } from '../../unit/management/pair.ts';
import { runs } from './arbitraries.ts';
import { relays } from '../../unit/management/relay/relayed.ts';

const relayed = relays();

/** First words as man_dispatch_command gets them from parse_line (options_parse.c), in the C locale. */
function firstWord(line: string): string | undefined {
  const words: string[] = [];
  let word = '';
  let state: 'initial' | 'bare' | '"' | "'" = 'initial';
  let backslash = false;
  const isSpace = (character: string): boolean => character === '' || /^[ \t\n\v\f\r]$/.test(character);
  for (const character of [...Array.from(line), '']) {
    if (!backslash && character === '\\' && state !== "'") {
      backslash = true;
      continue;
    }
    let out = '';
    let done = false;
    if (state === 'initial') {
      if (!isSpace(character)) {
        if (character === ';' || character === '#') break;
        if (!backslash && (character === '"' || character === "'")) state = character;
        else {
          out = character;
          state = 'bare';
        }
      }
    } else if (state === 'bare') {
      if (!backslash && isSpace(character)) done = true;
      else out = character;
    } else if ((state === "'" || !backslash) && character === state) done = true;
    else out = character;
    if (done) {
      words.push(word);
      word = '';
      state = 'initial';
    }
    if (backslash && out !== '' && !/^[\\" \t]$/.test(out)) return undefined;
    backslash = false;
    word += out;
    if (word.length > 256) return undefined;
  }
  return state === 'initial' ? words[0] : undefined;
}

/** A daemon as it reads what it is sent: which commands take a block there. */
interface Model {
  readonly name: string;
  readonly management: number;
  readonly blocks: readonly string[];
}

const MODELS: readonly Model[] = [
  { name: '2.5', management: 3, blocks: ['client-auth', 'client-pf'] },
  { name: '2.5 --disable-pf', management: 3, blocks: ['client-auth'] },
  { name: '2.5 --disable-def-auth', management: 3, blocks: [] },
  { name: '2.6', management: 5, blocks: ['client-auth'] },
  { name: '2.7', management: 6, blocks: ['client-auth'] },
  // not one that we know of: its lines are commands whatever stands before them
  { name: 'one without blocks', management: 6, blocks: [] },
];

/** Whether the line begins a block: man_client_auth and man_client_pf in manage.c, with sscanf's numbers. */
function beginsBlock(line: string, name: string, model: Model): boolean {
  if (!model.blocks.includes(name)) return false;
  const ids = line.trim().split(/ +/).slice(1);
  return (
    ids.slice(0, name === 'client-auth' ? 2 : 1).filter((id) => /^[-+]?\d/.test(id)).length ===
    (name === 'client-auth' ? 2 : 1)
  );
}

/** What the daemon would carry out of all that it was sent: commands' first words; blocks are taken as it takes them. */
function carriedOut(sent: string, model: Model): string[] {
  const names: string[] = [];
  let inBlock = false;
  for (const line of sent.split('\n')) {
    if (inBlock) {
      inBlock = line !== 'END';
      continue;
    }
    const name = firstWord(line);
    if (name === undefined) continue;
    names.push(name);
    // what all clients share is the relay's to say
    if (name === 'version') expect(line).toBe('version');
    if (name === 'bytecount') expect(line).toMatch(/^bytecount(?: \d+)?$/);
    // to a client of version 5 the rest would be the password
    if (name === 'password') expect(line).toMatch(/^password [^ ]+ [^ ]|^password$|["'\\]/);
    inBlock = beginsBlock(line, name, model);
  }
  // else it would swallow the agent's own answers
  expect(inBlock).toBe(false);
  return names;
}

const FORBIDDEN = ['pk-sig', 'rsa-sig', 'certificate', 'exit', 'quit'];
const HARMLESS = /^(?:echo|help|load-stats|nclients|pid|state|status)$/;
const READ = /^(?:bytecount|echo|help|load-stats|log|nclients|pid|state|status|verb|version)$/;
const OPERATE = /^(?:cr-response|hold|needok|needstr|password|signal|username)$/;

const token = fc.constantFrom(
  ...['pk-sig', 'rsa-sig', 'certificate', 'exit', 'client-auth', 'kill', 'status', 'pid', 'signal', 'SIGTERM', 'verb'],
  ...['client-pf', 'password', 'quit', '[END]', '+x', 'pk\\-sig', '"pk-sig"', '\xef\xbb\xbf', '\x0b', '\f', '\x7f'],
  ...['version', 'version', 'log', 'off', 'on', 'bytecount', '\xc3\xa9'],
  ...['1', '2', 'x', 'END', ' ', ' ', '"', "'", '\\', ';', '#', '\x01', '\r', '\t', '\xa0', '\x85', '\xff', '\0'],
);
const line = fc
  .tuple(fc.constantFrom('', ' '), fc.array(token, { minLength: 1, maxLength: 5 }))
  .map(([between, tokens]) => tokens.join(between));
const block = fc
  .tuple(
    fc.constantFrom('client-auth', 'client-auth', 'client-pf', 'certificate', 'pk-sig', '"client-pf"'),
    fc.array(fc.constantFrom('1', '2', 'x', '-', '-1', '"1"', '\xa01', '\\1', '99999999999999999999'), {
      maxLength: 3,
    }),
    fc.array(
      fc.oneof(line, fc.constantFrom('+x', '[END]', '-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----')),
      {
        maxLength: 3,
      },
    ),
  )
  .map(([name, ids, body]) => `${name} ${ids.join(' ')}\n${body.join('\n')}\nEND`);
const input = fc.array(fc.oneof({ weight: 3, arbitrary: line }, block), { minLength: 1, maxLength: 10 });

const CASES = RELAY_RIGHTS.flatMap((rights) => MODELS.map((model) => [rights, model.name, model] as const));

describe.each(CASES)('whatever a client with the right %s writes', (rights, release, model) => {
  test(`a daemon of ${release} carries out nothing that it may not`, { timeout: 300_000 }, async () => {
    const { daemon, user, client, relay } = await relayed({ rights }, greeting(model.management));
    // every line gets some answer, so that the next one is sent
    daemon.socket.on('data', (chunk) => {
      daemon.say(
        chunk.toString().startsWith('certificate\n') ? 'ERROR: certificate command failed\r\n' : 'ERROR: no\r\n',
      );
    });
    await fc.assert(
      fc.asyncProperty(input, async (parts) => {
        const before = daemon.chunks.length;
        const one = await user();
        // for the relay's clients, as where the agent has none: their `certificate` would be let through
        daemon.say('>NEED-CERTIFICATE:x\r\n>INFO:x\r\n');
        await one.hear('>INFO:x\r\n');
        relay.askForCertificate(client());
        await one.hear('>NEED-CERTIFICATE:x\r\n');
        one.socket.end(`${parts.join('\n')}\n`, 'latin1');
        await one.gone();
        daemon.say('>HOLD:x\r\n');
        const sent = daemon.chunks.slice(before).join('');
        for (const name of carriedOut(withoutCertificates(sent), model)) {
          expect(FORBIDDEN).not.toContain(name);
          if (rights !== 'all')
            expect(name).toMatch(rights === 'read' ? READ : new RegExp(`${READ.source}|${OPERATE.source}`));
        }
        for (const body of bodies(sent))
          for (const each of body) {
            const name = firstWord(each);
            if (name !== undefined && Object.hasOwn(COMMANDS, name)) expect(name).toMatch(HARMLESS);
          }
      }),
      { numRuns: Math.ceil(runs / 4) },
    );
    // the agent's connection is still in order
    expect((await client().exchange('pid')).error).toBe('no');
  });
});

/** A certificate's block, which this daemon asked for: PEM and nothing else. */
function withoutCertificates(sent: string): string {
  return sent.replace(
    /^certificate\n(?:-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/]+={0,2}\n)*-----END CERTIFICATE-----\n)+END\n/gm,
    '',
  );
}

/** The blocks' lines. */
function bodies(sent: string): string[][] {
  return [...sent.matchAll(/^(?:client-auth \d+ \d+|client-pf \d+|certificate)\n((?:.*\n)*?)END\n/gm)].map(
    ([, body = '']) => body.split('\n'),
  );
}
