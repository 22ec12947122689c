import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RELAY_RIGHTS } from '../../../src/management/index.ts';
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

/** What the daemon would carry out of all that it was sent: commands' first words; blocks are taken as it takes them. */
function carriedOut(sent: string): string[] {
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
    inBlock = /^client-auth(?: |$)/.test(name) && /^\S+ +\d+ +\d+/.test(line);
  }
  return names;
}

const FORBIDDEN = ['pk-sig', 'rsa-sig', 'certificate', 'exit', 'quit'];
const READ = /^(?:bytecount|echo|help|load-stats|log|nclients|pid|state|status|verb|version)$/;
const OPERATE = /^(?:cr-response|hold|needok|needstr|password|signal|username)$/;

const token = fc.constantFrom(
  ...['pk-sig', 'rsa-sig', 'certificate', 'exit', 'client-auth', 'kill', 'status', 'pid', 'signal', 'SIGTERM', 'verb'],
  ...['version', 'version', 'log', 'off', 'on', 'bytecount', '\xc3\xa9'],
  ...['1', '2', 'x', 'END', ' ', ' ', '"', "'", '\\', ';', '#', '\x01', '\r', '\t', '\xa0', '\x85', '\xff', '\0'],
);
const line = fc
  .tuple(fc.constantFrom('', ' '), fc.array(token, { minLength: 1, maxLength: 5 }))
  .map(([between, tokens]) => tokens.join(between));
const block = fc
  .tuple(fc.array(fc.constantFrom('1', '2', 'x', '-', '"1"', '\xa01', '\\1'), { maxLength: 3 }), line)
  .map(([ids, body]) => `client-auth ${ids.join(' ')}\n${body}\nEND`);
const input = fc.array(fc.oneof({ weight: 3, arbitrary: line }, block), { minLength: 1, maxLength: 10 });

describe.each(RELAY_RIGHTS)('whatever a client with the right %s writes', (rights) => {
  test('the daemon carries out nothing that it may not', { timeout: 300_000 }, async () => {
    const { daemon, user, client } = await relayed({ rights });
    // every line gets some answer, so that the next one is sent
    daemon.socket.on('data', () => {
      daemon.say('ERROR: no\r\n');
    });
    await fc.assert(
      fc.asyncProperty(input, async (parts) => {
        const before = daemon.chunks.length;
        const one = await user();
        one.socket.end(`${parts.join('\n')}\n`, 'latin1');
        await one.gone();
        const names = carriedOut(daemon.chunks.slice(before).join(''));
        for (const name of names) {
          expect(FORBIDDEN).not.toContain(name);
          if (rights !== 'all')
            expect(name).toMatch(rights === 'read' ? READ : new RegExp(`${READ.source}|${OPERATE.source}`));
        }
      }),
      { numRuns: runs },
    );
    // the agent's connection is still in order
    expect((await client().exchange('pid')).error).toBe('no');
  });
});
