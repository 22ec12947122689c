import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYSTEM_CLOCK } from '../../../src/clock.ts';
import type { AskAbout } from '../../../src/config/asking.ts';
import { parseSecretSource, readSecret } from '../../../src/config/secret-source.ts';
import { Secret } from '../../../src/secret.ts';
import { runCommand } from '../../../src/shell-command.ts';

/** Speaks Assuan as pinentry does, writes down what it is told, and answers GETPIN with what $ANSWER says. */
const PINENTRY = `#!/bin/sh
echo 'OK Pleased to meet you'
while IFS= read -r line; do
  printf '%s\\n' "$line" >>"$HEARD"
  case $line in
  GETPIN) printf "$ANSWER" ;;
  BYE) echo 'OK closing connection'; exit 0 ;;
  *) echo OK ;;
  esac
done
`;

let folder: string;
const at = (name: string): string => join(folder, name);

async function ask(
  source: string,
  what: string,
  environment: Record<string, string>,
  about: AskAbout = {},
): Promise<string> {
  const surroundings = {
    credentialsDirectory: undefined,
    prompt: () => Promise.resolve(new Secret('typed at the terminal')),
    warn: () => undefined,
    run: (command: string, options = {}) =>
      runCommand(command, options, { clock: SYSTEM_CLOCK, environment: { ...process.env, ...environment } }),
  };
  return (await readSecret(parseSecretSource(source), what, surroundings, 'PIN', about)).reveal();
}

/** All that a person should know. */
const ABOUT: AskAbout = { why: 'for tunnel office', wrong: 'the token refused the PIN', tries: 'this is the last try' };

const pinentry = (answer: string, what = "PIN of token 'x'", about?: AskAbout): Promise<string> =>
  ask('pinentry', what, { PINENTRY: at('pinentry'), HEARD: at('heard'), ANSWER: answer, GPG_TTY: '/dev/tty7' }, about);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-dialog-'));
  writeFileSync(at('pinentry'), PINENTRY);
  writeFileSync(at('askpass'), '#!/bin/sh\nprintf "%s" "$1" >"$HEARD"\necho "12 34"\n');
  for (const name of ['pinentry', 'askpass']) chmodSync(at(name), 0o755);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('pinentry', () => {
  test('is told what for and where, and gives the PIN', async () => {
    writeFileSync(at('heard'), '');
    expect(await pinentry('D 123456\\nOK\\n')).toBe('123456');
    expect(readFileSync(at('heard'), 'utf8').split('\n')).toEqual([
      'OPTION ttyname=/dev/tty7',
      'SETTITLE pksigd',
      "SETDESC pksigd needs the PIN of token 'x'",
      'SETPROMPT PIN:',
      'GETPIN',
      'BYE',
      '',
    ]);
  });

  test('says why it asks, what was wrong, and how few tries are left', async () => {
    writeFileSync(at('heard'), '');
    await pinentry('D 1\\nOK\\n', "PIN of token 'x'", ABOUT);
    expect(readFileSync(at('heard'), 'utf8').split('\n')).toEqual([
      'OPTION ttyname=/dev/tty7',
      'SETTITLE pksigd',
      "SETDESC pksigd needs the PIN of token 'x' for tunnel office%0AThis is the last try.",
      'SETPROMPT PIN:',
      'SETERROR The token refused the PIN.',
      'GETPIN',
      'BYE',
      '',
    ]);
  });

  test.for([
    ['passphrase of /k.pem', 'Passphrase:'],
    ["login 'Auth' of tunnel 'a'", 'Password:'],
  ] as const)('the field for the %s is called %s', async ([what, label]) => {
    writeFileSync(at('heard'), '');
    await pinentry('D 1\\nOK\\n', what);
    expect(readFileSync(at('heard'), 'utf8')).toContain(`SETPROMPT ${label}\n`);
  });

  test('what is encoded in its line is decoded, bytes beyond ASCII stay', async () => {
    expect(await pinentry('D 1%%25%%0Dé\\nOK\\n')).toBe('1%\ré');
    expect(await pinentry('D 12\\nD 34\\nOK\\n')).toBe('1234');
  });

  test('a name that would be a command of its own is none', async () => {
    writeFileSync(at('heard'), '');
    await pinentry('D 1\\nOK\\n', "PIN of token 'x\nGETPIN%'");
    expect(readFileSync(at('heard'), 'utf8')).toContain("SETDESC pksigd needs the PIN of token 'x%0AGETPIN%25'\n");
  });

  test.for([
    ['ERR 83886179 Operation cancelled <Pinentry>\\n', 'cancelled'],
    ['OK\\n', 'nothing was typed'],
    ['', 'nothing was typed'],
  ] as const)('%j is no PIN', async ([answer, why]) => {
    await expect(pinentry(answer)).rejects.toMatchObject({
      code: 'ERR_PIN_SOURCE',
      message: expect.stringContaining(why),
    });
  });

  test('one that is not there is told of', async () => {
    const environment = { PINENTRY: at('nothing') };
    await expect(ask('pinentry', 'PIN', environment)).rejects.toMatchObject({ code: 'ERR_PIN_SOURCE' });
  });
});

describe('askpass', () => {
  const environment = (): Record<string, string> => ({ SSH_ASKPASS: at('askpass'), HEARD: at('heard') });

  test('is told what for, and gives the PIN', async () => {
    expect(await ask('askpass', "PIN of token '$(x)'", environment())).toBe('12 34');
    expect(readFileSync(at('heard'), 'utf8')).toBe("pksigd needs the PIN of token '$(x)'");
  });

  test('says why it asks, what was wrong, and how few tries are left', async () => {
    await ask('askpass', "PIN of token 'x'", environment(), ABOUT);
    expect(readFileSync(at('heard'), 'utf8')).toBe(
      "The token refused the PIN.\npksigd needs the PIN of token 'x' for tunnel office\nThis is the last try.",
    );
  });

  test('one that was cancelled is told of', async () => {
    await expect(ask('askpass', 'PIN', { SSH_ASKPASS: 'false' })).rejects.toMatchObject({
      code: 'ERR_PIN_SOURCE',
      hint: expect.stringContaining('$SSH_ASKPASS'),
    });
  });
});
