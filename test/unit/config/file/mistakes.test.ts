import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfiguration } from '../../../../src/config/file/configuration.ts';
import { ConfigurationError } from '../../../../src/config/file/fault.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** The lines of all mistakes, without the folder. */
async function mistakes(text: string, files: Record<string, string> = {}): Promise<string[]> {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  writeFileSync(join(folder, 'p.toml'), text);
  const error: unknown = await readConfiguration(join(folder, 'p.toml')).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigurationError)) throw new Error('there is no mistake in it', { cause: error });
  expect(error.line).toMatch(/^\/.+\/p\.toml has (?:a mistake|\d+ mistakes)$/);
  return error.details.map((line) => line.replaceAll(`${folder}/`, ''));
}

/** Each line that has a mistake has, behind `#!`, what is said of it: `COLUMN: message`. */
const THIRTY = `
deadlin = 3                               #! 1: unknown key 'deadlin' outside all sections: did you mean 'deadline'?
deadline = 3                              #! 1: unknown key 'deadline' outside all sections: it belongs into [token]

[log]
level = "inf"                             #! 9: 'level' takes fatal, error, warn, info, debug, trace, silent: did you mean 'info'?
colour = true                             #! 1: unknown key 'colour' in [log]: known are 'level'

[lgo]                                     #! 2: unknown section 'lgo': did you mean 'log'?

[state]
directory = 7                             #! 13: 'directory' takes the path of a folder

[token]
pin = "123456"                            #! 1: 'pin': a secret is never written into this file: say where it is, by 'pin-source' in [token]
pin-source = "123456"                     #! 14: 'pin-source': there is no file of this name beside this one: a PIN source says where the PIN or passphrase is, not the PIN itself: give a file, credential:NAME, command:COMMAND, pinentry, askpass or prompt
deadline = 0                              #! 12: 'deadline' takes seconds, more than 0 and at most 3600
modul = "/usr/lib/x.so"                   #! 1: unknown key 'modul' in [token]: did you mean 'module'?
module = ""                               #! 10: 'module' takes the path of a PKCS#11 module
module-env = { "A B" = "x" }              #! 14: 'module-env' takes a table of names and strings, such as { NAME = "value" }
module-output = "yes"                     #! 17: 'module-output' takes true or false
allow_pin_command = true                  #! 1: unknown key 'allow_pin_command' in [token]: did you mean 'allow-pin-command'?

[key.office]
key = "pkcs11:token=Office;object=vpn"

[key.home]                                #! 6: [key.home] lacks 'key', which takes a file, a pkcs11: URI or exec:PROGRAM, or a list of them
pin-source = "prompt"                     #! 1: unknown key 'pin-source' in [key.home]: it belongs into [token]

[key.bad]
key = ["k.pem", 3]                        #! 7: 'key' takes a file, a pkcs11: URI or exec:PROGRAM, or a list of them
cert = "pkcs11:tokn=x"                    #! 8: bad pkcs11 URI: unknown attribute 'tokn': did you mean 'token'?

[key.pin]
key = "pkcs11:token=x?pin-value=123456"   #! 7: bad pkcs11 URI: pin-value would show the PIN to everybody: put it into a file and say pin-source=file:/path

[key.relative]
key = "pkcs11:token=x?pin-source=pin"     #! 7: a path inside a URI does not count from this file: make it absolute

[key.relative-module]
key = "pkcs11:token=x?module-path=x.so"   #! 7: a path inside a URI does not count from this file: make it absolute

[key."a b"]                               #! 6: a name of a key is made of letters, digits, and . _ @ - behind the first of them
key = "k.pem"

[tunnel.a]
key = "ofice"                             #! 7: there is no [key.ofice]: did you mean 'office'?
management = "127.0.0.1"                  #! 14: 'management' takes OpenVPN's words in one string: "ADDRESS PORT" or "SOCKET unix", and a password file if there is one

[tunnel.b]                                #! 9: [tunnel.b] lacks 'key': there are several
management = "127.0.0.1 99999"            #! 14: address "127.0.0.1 99999" can't be used: the port must be 1 to 65535, or the word unix after a path

[tunnel.c]                                #! 9: [tunnel.c] lacks 'openvpn-config' or 'management'
key = "office"
on-token-removal = "restrat"              #! 20: 'on-token-removal' takes none, restart, disconnect: did you mean 'restart'?

[tunnel.d]
key = "office"
management = "/run/d.sock unix"
max-daemons = 2                           #! 15: max-daemons is for daemons that connect: it goes with management-client

[tunnel.e]
key = "office"
management = "/run/e.sock unix"
relay-keep = true                         #! 14: relay-allow, relay-mode, relay-group and relay-keep are for relay

[tunnel.f]
key = "office"
management = "/run/f.sock unix"           #! 14: management and relay name the same address twice: /run/f.sock unix: give the relay one of its own
relay = "/run/f.sock unix"

[tunnel.f2]
key = "office"
management = "/run/f2.sock unix"
relay-mode = "rw"                         #! 14: 'relay-mode' takes an octal mode in quotes, such as "0660"

[tunnel.g]
key = "office"
management = "/run/d2.sock unix"

[tunnel.h]
key = "office"
management = "/run/d2.sock unix"          #! 14: /run/d2.sock is in use by tunnel 'g'

[tunnel.i]
key = "office"
openvpn-config = "office.conf"
management-client = true                  #! 1: 'management-client' stands in the .ovpn: leave it out, or 'openvpn-config'
management-user = true                    #! 19: 'management-user' takes a user's name or number

[tunnel.j]
key = "office"
management = "/run/j.sock unix"
answer-needok = { card = "yes" }          #! 17: 'answer-needok' takes a table of names and "ok" or "cancel", such as { token-insertion-request = "ok" }

[tunnel.j2]
key = "office"
management = "/run/j2.sock unix"
auth-user = "al"                          #! 13: auth-user goes with auth-user-pass, which gives the password

[tunnel.k]
key = "office"
management = "/run/k.sock unix"
auth-user-pass = "s3cret"                 #! 18: 'auth-user-pass': there is no file of this name beside this one: say where the password is, not the password itself: give a file, credential:NAME, command:COMMAND, pinentry, askpass or prompt

[tunnel.l]
key = "office"
management = "/run/l.sock unix"
answer-remote = "MOD vpn"                 #! 17: answer-remote takes ACCEPT, SKIP [NUMBER], or MOD HOST PORT

[[tunnels]]                               #! 3: unknown section 'tunnels': did you mean 'tunnel'?
`;

const EXPECTED = THIRTY.split('\n').flatMap((line, index) => {
  const [, told] = line.split('#! ');
  return told === undefined ? [] : [`p.toml:${index + 1}:${told}`];
});

test('thirty mistakes and more in one file are told at once, each with its place', async () => {
  expect(EXPECTED.length).toBeGreaterThan(30);
  expect(await mistakes(THIRTY)).toEqual(EXPECTED);
});

describe('mistakes of other kinds', () => {
  test.each([
    ['a = \n', 'p.toml:2:1: TOML: Unspecified values are invalid'],
    ['[log]\nlevel = "info"\nlevel = "warn"\n', 'p.toml:3:1: TOML: Defining a key multiple times is invalid'],
    ['[log\n', 'p.toml:2:1: TOML: Unterminated table-key'],
    ['tunnel = 3\n', "p.toml:1:10: 'tunnel.NAME' is a section: write [tunnel.NAME]"],
    ['[tunnel]\nkey = "x"\n', "p.toml:2:1: 'key' stands in no tunnel: write [tunnel.NAME] above it"],
    ['[[tunnel]]\nkey = "x"\n', "p.toml:1:3: 'tunnel.NAME' is a section: write [tunnel.NAME]"],
    ['log = "info"\n', "p.toml:1:7: 'log' is a section: write [log]"],
    [
      '[tunnel.constructor]\n',
      'p.toml:1:9: a name of a tunnel is made of letters, digits, and . _ @ - behind the first of them',
    ],
    ['[tunnel.a]\nmanagement = "/run/a.sock unix"\n', 'p.toml:1:9: there is no key: add a section [key.NAME]'],
    [
      '[token]\npin-source = 1979-05-27\n',
      'p.toml:2:14: \'pin-source\' takes a source: "file:PATH", "credential:NAME", "command:COMMAND", "pinentry", "askpass" or "prompt", never the secret itself',
    ],
    // what the system would refuse when it is wanted
    ['[agent]\nnotify = "a\\u0000b"\n', "p.toml:2:10: 'notify': a NUL stands in no path, command or word"],
    [
      '[token]\nmodule-env = { A = "\\u0000" }\n',
      "p.toml:2:20: 'module-env': a NUL stands in no path, command or word",
    ],
    ['[key.a]\nkey = ["a", "b\\u0000"]\n', "p.toml:2:13: 'key': a NUL stands in no path, command or word"],
    [
      '[agent]\ncontrol = "none"\ncontrol-group = 0\n',
      'p.toml:3:17: control-group is for a control socket: control none has none',
    ],
    ['[agent]\nmetrics-group = 0\n', 'p.toml:2:17: metrics-group is for metrics on a unix socket: see metrics'],
    [
      '[agent]\nmetrics = "0.0.0.0 9187"\n',
      'p.toml:2:11: metrics takes loopback addresses and unix sockets only: they name tunnels and tokens: put a proxy with TLS and a password before them',
    ],
    [
      '[key.a]\nkey = "k"\n[tunnel.a]\nmanagement = "a unix"\nrelay = "0.0.0.0 7505"\n',
      'p.toml:5:9: relay on 0.0.0.0:7505 needs a password: name a password file behind the port, or use a unix socket or a loopback address',
    ],
  ])('%j', async (text, told) => {
    expect(await mistakes(text)).toEqual([told]);
  });

  test.each(['[]', '["a"]', '1979-05-27', '07:32:00', '{ __proto__ = "x" }', '{ constructor = "x" }'])(
    'what is no table, or has names that would be lost: %s',
    async (value) => {
      const [told, ...others] = await mistakes(`[token]\nmodule-env = ${value}\n`);
      expect(told).toBe('p.toml:2:14: \'module-env\' takes a table of names and strings, such as { NAME = "value" }');
      expect(others).toEqual([]);
    },
  );

  test("a control socket's path that is too long", async () => {
    const [told] = await mistakes(`[agent]\ncontrol = "/${'x'.repeat(120)}"\n`);
    expect(told).toMatch(/^p\.toml:2:11: control can't be used: a socket's path may have \d+ bytes, this one has 121$/);
  });

  test('of several files stand in the order of the files, those of syntax among them', async () => {
    const drop = { 'p.toml.d/a.toml': '[log]\nlevl = "info"\n', 'p.toml.d/b.toml': '[log\n' };
    expect(await mistakes('[stat]\n', drop)).toEqual([
      "p.toml:1:2: unknown section 'stat': did you mean 'state'?",
      "p.toml.d/a.toml:2:1: unknown key 'levl' in [log]: did you mean 'level'?",
      'p.toml.d/b.toml:2:1: TOML: Unterminated table-key',
    ]);
  });

  test('repeat no secret that was given in the place of its source', async () => {
    const lines = await mistakes(
      '[token]\npin-source = "hunter2"\npassword = "hunter2"\n[key.a]\nkey = "k.pem"\n[tunnel.a]\nmanagement = "/run/a unix hunter2"\n',
    );
    expect(lines).toHaveLength(3);
    expect(lines.join('\n')).not.toContain('hunter2');
  });

  test.each(['pin-source = hunter2', 'pin-source = "x" hunter2', "pin-source = 'hunter2", 'pin-source hunter2'])(
    'of syntax repeat no secret either: %s',
    async (line) => {
      const [told = ''] = await mistakes(`[token]\n${line}\n`);
      expect(told).toMatch(/^p\.toml:[23]:\d+: TOML: /);
      expect(told).not.toContain('hunter2');
    },
  );

  test('a file that is not there may come', async () => {
    writeFileSync(join(folder, 'file'), '');
    for (const name of ['none.toml', 'none/p.toml', 'file/p.toml']) {
      await expect(readConfiguration(join(folder, name))).rejects.toMatchObject({ code: 'ERR_CONFIG_NOT_FOUND' });
    }
  });
});

describe("the agent's own addresses are no tunnel's, and no two are the same", () => {
  const key = '[key.k]\nkey = "k.pem"\n';
  test.for<[text: string, told: string]>([
    [
      '[agent]\ncontrol = "/run/a.sock"\nmetrics = "/run/../run/a.sock unix"\n',
      'p.toml:3:11: /run/a.sock is in use by control',
    ],
    [
      `[agent]\ncontrol = "/run/a.sock"\n${key}[tunnel.a]\nmanagement = "/run/a.sock unix"\nmanagement-client = true\n`,
      'p.toml:6:14: /run/a.sock is in use by control',
    ],
    [
      `${key}[tunnel.a]\nmanagement = "/run/a.sock unix"\nrelay = "127.0.0.1 9000"\n[agent]\nmetrics = "127.0.0.1 9000"\n`,
      'p.toml:5:9: 127.0.0.1:9000 is in use by metrics',
    ],
    [
      `${key}[tunnel.a]\nmanagement = "/run/a.sock unix"\nrelay = "/run/r.sock unix"\n[agent]\ncontrol = "/run/r.sock"\n`,
      'p.toml:5:9: /run/r.sock is in use by control',
    ],
  ])('%j', async ([text, told]) => {
    expect(await mistakes(text)).toEqual([told]);
  });
});
