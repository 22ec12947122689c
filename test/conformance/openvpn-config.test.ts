import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { readOpenVpnConfig } from '../../src/config/openvpn-config.ts';
import { errorCode } from '../../src/errors.ts';
import { readWords } from '../../src/management/index.ts';
import { OPENVPN } from '../support/openvpn.ts';

// a real openvpn reads the configuration, shows its settings (verb 4) and then fails to bind a socket in no folder

const folder = mkdtempSync(join(tmpdir(), 'pksigd-config-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const latin1 = (text: string) => Buffer.from(text, 'latin1');

interface Seen {
  /** OpenVPN's complaint about the file's form; undefined if it took the file. */
  readonly refused: string | undefined;
  /** Settings by name, in their order. */
  readonly settings: (name: string) => string[];
}

/** The daemon's reading of a configuration. `more`: the command line beside it. */
function openvpn(bytes: Buffer, more: readonly string[]): Seen {
  const config = join(folder, 'odd.conf');
  writeFileSync(config, bytes);
  writeFileSync(join(folder, 'ca.crt'), '');
  const fixed = [
    '--dev',
    'null',
    '--tls-client',
    '--remote',
    '127.0.0.1',
    '1',
    '--nobind',
    '--ca',
    join(folder, 'ca.crt'),
  ];
  const args = ['--cd', folder, '--verb', '4', ...fixed, ...more, '--config', config];
  const { stdout } = spawnSync(OPENVPN, args, { encoding: 'latin1', timeout: 120_000, killSignal: 'SIGKILL' });
  // a value may hold line ends
  const entries = stdout.split(/^\d{4}-\d\d-\d\d [\d:]+ us=\d+ /m).map((entry) => entry.replace(/\n$/, ''));
  const settings = (name: string) => {
    const start = `  ${name} = `;
    return entries.filter((entry) => entry.startsWith(start)).map((entry) => entry.slice(start.length));
  };
  if (settings('mode').length > 0) return { refused: undefined, settings };
  return {
    refused:
      /Bad backslash|No closing[^(]*|Parameter at|Residual|Maximum option|Endtag|Unrecognized|recursive/.exec(
        stdout,
      )?.[0] ?? stdout,
    settings,
  };
}

/** What pksigd's fault is called by OpenVPN. */
const FAULTS: readonly (readonly [RegExp, RegExp])[] = [
  [/Bad backslash/, /Bad backslash/],
  [/No closing single/, /No closing single/],
  [/No closing quotation/, /No closing quotation/],
  [/Parameter is too long/, /Parameter at/],
  [/Residual/, /Residual/],
];

/** The words behind `pkcs11-providers`, which the daemon shows one by one. */
function daemonsWords(line: string): string[] | string {
  const more = ['--pkcs11-id', 'x', '--management', '/nonexistent/m', 'unix'];
  const { refused, settings } = openvpn(latin1(`pkcs11-providers first ${line}\n`), more);
  return refused ?? settings('pkcs11_providers').slice(1);
}

function ourWords(line: string): string[] | string {
  const words = readWords(`pkcs11-providers first ${line}\n`, 'latin1');
  if (!('fault' in words)) return words.slice(2);
  return FAULTS.find(([ours]) => ours.test(words.fault))?.[1].source ?? words.fault;
}

function expectSame(line: string): void {
  const theirs = daemonsWords(line);
  const ours = ourWords(line);
  if (typeof theirs === 'string') expect(theirs).toMatch(new RegExp(typeof ours === 'string' ? ours : '^taken by us$'));
  else expect(ours).toEqual(theirs);
}

describe('words, as the daemon reads them', () => {
  test.each([
    "it's",
    '"/run/a.sock"unix',
    "'/run/a.sock'unix",
    'a"b c"d',
    "a'b",
    'C:\\tmp',
    'C:\\\\tmp',
    '"C:\\tmp"',
    "'C:\\tmp'",
    "'a\\'b",
    'a\\ b',
    'a\\\tb',
    'a\\"b',
    '\\"a',
    "\\'a",
    '\\a',
    '\\#a',
    '\\;a',
    '\\ a',
    'a\\',
    'a \\',
    'a\\\\',
    '"a\\',
    "'a\\",
    '"a',
    "'a",
    '"a\\"',
    '""',
    '"" b',
    'a""',
    '""a""',
    'a#b',
    'a # b',
    'a ;b',
    '"#a" \';b\'',
    '"a"#b',
    '# a',
    'a\xa0b',
    'a\xc3\xa0b \xc2\xa0',
    'a\x85b',
    'a\vb\fc\rd\te',
    'a\x01b\x1fc',
    'a\0b c',
    '"a\0b"',
    '--a --',
    '<a>',
    '[inline]',
    '"a b"c \\"d e',
    'a b c d e f g h i j k l m n',
    '\r',
    `"${'x'.repeat(200)}"`,
  ])('%j', (line) => {
    expectSame(line);
  });

  test('any line', () => {
    const characters = fc.constantFrom(...Array.from('ab "\'\\#;\t\v\r\xa0\xe4-<>'));
    const lines = fc.string({ unit: characters, minLength: 1, maxLength: 14 });
    fc.assert(fc.property(lines, expectSame), { numRuns: 200 });
  });
});

/** What the daemon makes of the management directives, in the words of --management; its complaint if it refuses. */
function daemonsManagement(bytes: Buffer): unknown {
  const { refused, settings } = openvpn(bytes, [
    '--management-external-key',
    'pss',
    '--management-external-cert',
    'x',
    '--management-hold',
  ]);
  if (refused !== undefined) return refused;
  const flags = Number(settings('management_flags')[0]);
  const defined = (name: string) =>
    settings(name).flatMap((value) => (value === "'[UNDEF]'" ? [] : value.slice(1, -1)));
  return {
    address: defined('management_addr')[0],
    unix: (flags & 256) !== 0,
    port: defined('management_port')[0],
    password: defined('management_user_pass')[0],
    client: (flags & 32) !== 0,
  };
}

async function ourManagement(bytes: Buffer): Promise<unknown> {
  const path = join(folder, 'odd.conf');
  writeFileSync(path, bytes);
  try {
    const { management = [], directives } = await readOpenVpnConfig(path);
    const [address, port, password] = management;
    const unix = port === 'unix';
    return { address, unix, port, password, client: directives.has('management-client') };
  } catch (error) {
    expect(errorCode(error)).toBe('ERR_CONFIG');
    return (error as Error).message;
  }
}

const GOOD = 'management /nonexistent/a unix';
const line = (length: number) => `setenv AB ${'a'.repeat(length - 11)}\n`;

describe('configurations, as the daemon reads them', () => {
  test.each<[string, string, RegExp | undefined]>([
    ['an apostrophe in a word', `setenv NOTE it's\n${GOOD}`, undefined],
    ['no blank behind a quoted word', 'management "/nonexistent/a"unix', undefined],
    ['--management', `--${GOOD}\n--management-client`, undefined],
    ['--', `setenv -- x\n${GOOD}`, undefined],
    ['C:\\tmp', `${GOOD}\nsetenv AB C:\\tmp`, /Bad backslash/],
    ['junk behind an end tag', `<tls-auth>\n</tls-auth>junk\n${GOOD}`, undefined],
    ['blanks before an end tag', `<tls-auth>\n"\n \v\f</tls-auth>\n${GOOD}`, undefined],
    ['U+00A0 before an end tag', `<tls-auth>\n\xa0</tls-auth>\n${GOOD}`, /Endtag/],
    ['no end tag', `<tls-auth>\n${GOOD}\n`, /Endtag/],
    ['another end tag', `<tls-auth>\n</TLS-AUTH>\n${GOOD}\n`, /Endtag/],
    ['a quoted tag with a comment', `"<tls-auth>" # it\nmanagement x y\n</tls-auth>\n${GOOD}`, undefined],
    ['a tag with a blank in front', ` --<tls-auth>\nmanagement x y\n</tls-auth>\n${GOOD}`, undefined],
    ['a long line in a block', `<tls-auth>\n${'x'.repeat(1000)}\n</tls-auth>\n${GOOD}`, undefined],
    ['an end tag where a long line is cut', `<tls-auth>\n${'x'.repeat(255)}</tls-auth>\n${GOOD}`, undefined],
    ['an end tag elsewhere in a long line', `<tls-auth>\n${'x'.repeat(254)}</tls-auth>\n${GOOD}`, /Endtag/],
    ['a line of 255 bytes with its end', `${line(255)}${GOOD}`, undefined],
    ['a line of 256 bytes with its end', `${line(256)}${GOOD}`, /Maximum option/],
    ['a long comment', `#${'a'.repeat(300)}\n${GOOD}`, /Maximum option/],
    ['a long line with a NUL', `# \0${'a'.repeat(253)}${GOOD}\n`, undefined],
    ['a NUL', `${GOOD}\0 x y z\nsetenv AB B`, undefined],
    ['CR LF', `setenv AB B\r\n${GOOD}\r\n`, undefined],
    ['CR alone', `setenv AB B\r${GOOD}`, /Unrecognized|no management/],
    ['\\v and \\f', 'management\v/nonexistent/a\funix', undefined],
    ['U+00A0 is no blank', 'management /nonexistent/a\xc2\xa0b unix', undefined],
    ['a byte order mark', `\xef\xbb\xbf${GOOD}`, undefined],
    ['a byte order mark later', `setenv AB B\n\xef\xbb\xbf${GOOD}`, /Unrecognized|no management/],
    ['an open quote', `setenv AB "b\n${GOOD}`, /No closing quotation/],
    ['an open single quote', `setenv AB 'b\n${GOOD}`, /No closing single/],
    ['a backslash at the end', `setenv AB b\\\n${GOOD}`, undefined],
    ['two directives', `management 127.0.0.1 1\n${GOOD}`, undefined],
    ['unix stays', `${GOOD}\nmanagement /nonexistent/b 7`, undefined],
    ['the password file stays', `management /nonexistent/a unix odd.conf\nmanagement /nonexistent/b unix`, undefined],
    ['management-client is no last word', `${GOOD}\nmanagement-client`, undefined],
    ['setenv opt', `setenv opt ${GOOD}`, undefined],
    ['one word', 'management /nonexistent/a', /Unrecognized|takes/],
    ['four words', `${GOOD} odd.conf x`, /Unrecognized|takes/],
    ['management-client with a word', `${GOOD}\nmanagement-client x`, /Unrecognized|takes/],
    ['a tag with a word', `<tls-auth> x\n</tls-auth>\n${GOOD}`, /Unrecognized/],
    ['a tag with an empty word', `${GOOD}\n<tls-auth> ""`, /Unrecognized/],
    ['a tag with a word of its own', `${GOOD}\n<tls-auth>x`, /Unrecognized/],
    ['a tag without its end', `${GOOD}\n<tls-auth`, /Unrecognized/],
    ['a tag without a name', `${GOOD}\n<>\n</>`, /Unrecognized/],
    ['a tag with a comment', `<tls-auth> # x\n</tls-auth>\n${GOOD}`, undefined],
    ['-- alone', `${GOOD}\n--`, /Unrecognized/],
    ['-- with words', `${GOOD}\n-- management x y`, /Unrecognized/],
    ['-- in quotes', `${GOOD}\n"--"`, /Unrecognized/],
    ['nothing in quotes', `${GOOD}\n""`, /Unrecognized/],
    ['nothing in quotes, with words', `${GOOD}\n'' x`, /Unrecognized/],
    ['16 words', `${GOOD}\nignore-unknown-option${' x'.repeat(15)}`, undefined],
    ['17 words', `${GOOD}\nignore-unknown-option${' x'.repeat(16)}`, undefined],
    ['a quote that stays open behind 16 words', `${GOOD}\nignore-unknown-option${' x'.repeat(15)} "y`, undefined],
    ['17 words of management', `${GOOD}${' x'.repeat(14)}`, /Unrecognized|takes/],
    ['setenv opt with what is no option', `setenv opt <tls-auth> x\nsetenv opt --\n${GOOD}`, undefined],
    ['setenv opt alone', `setenv opt\n${GOOD}`, undefined],
    ['setenv opt with one word too few', `${GOOD}\nsetenv opt management x`, undefined],
    ['what is ignored', `ignore-unknown-option --management-client <x> ""\n<x> y\n""\n${GOOD}`, undefined],
    [
      'what is ignored, with a word',
      `ignore-unknown-option management-client\n${GOOD}\nmanagement-client x`,
      undefined,
    ],
    ['-- can’t be ignored', `ignore-unknown-option --\n--\n${GOOD}`, /Unrecognized/],
    ['an include', `config included.conf`, undefined],
    ['an include of itself', `config odd.conf`, /recursive|levels deep/],
    ['cd, then a relative path', `cd sub\nconfig ../included.conf`, undefined],
  ])('%s', async (_, text, refusal) => {
    writeFileSync(join(folder, 'included.conf'), `\xef\xbb\xbf${GOOD}\nmanagement-client\n`, 'latin1');
    spawnSync('mkdir', ['-p', join(folder, 'sub')]);
    const [theirs, ours] = [daemonsManagement(latin1(text)), await ourManagement(latin1(text))];
    if (refusal) {
      expect(theirs).toMatch(refusal);
      if (typeof ours === 'string') expect(ours).toMatch(refusal);
      else expect(ours).toMatchObject({ address: undefined });
    } else {
      const unixPort = (theirs as { unix: boolean }).unix ? { port: 'unix' } : {};
      const password = (theirs as { password?: string }).password;
      const resolved = password === undefined ? {} : { password: join(folder, password) };
      expect(ours).toEqual({
        ...(theirs as object),
        ...unixPort,
        ...resolved,
        address: decoded((theirs as { address: string }).address),
      });
    }
  });
});

const decoded = (word: string) => Buffer.from(word, 'latin1').toString('utf8');
