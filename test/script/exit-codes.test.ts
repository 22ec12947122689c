import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ownAddress, test, type Bench } from '../support/bench.ts';
import type { Pksigd } from '../support/pksigd.ts';

const DONE = 0;
const FAILED = 1;
const USAGE = 2;
const ABSENT = 3;
const PIN = 4;

/** What `run` says in its log, where everything is JSON, and the others in a line of their own; nothing is on stdout. */
function lineOf(pksigd: Pksigd): string {
  expect(pksigd.stdout).toEqual([]);
  const fatal = pksigd.log.filter(({ level }) => level === 'fatal');
  if (fatal.length > 0) {
    expect(fatal).toEqual([expect.objectContaining({ code: expect.stringMatching(/^ERR_/), msg: 'pksigd ends' })]);
    expect(pksigd.stderr).toHaveLength(pksigd.log.length);
    return `pksigd: ${fatal[0]?.['error'] as string}`;
  }
  const lines = pksigd.stderr.filter((line) => !line.startsWith('{'));
  expect(lines).toHaveLength(1);
  return lines.join();
}

interface Failure {
  what: string;
  key: (bench: Bench) => string | Promise<string>;
  args?: readonly string[];
  code: number;
  line: RegExp;
  /** What the second command says, where it is not the same. */
  again?: RegExp;
}

/** What is wrong with the key, its token or its PIN: `run` and `sign` say the same. */
const failures: Failure[] = [
  {
    what: 'a wrong PIN',
    key: async (bench) => bench.key('p256', 'SoftHSM', { 'pin-source': `file:${await bench.write('pin', '4711\n')}` }),
    code: PIN,
    line: /^pksigd: token 'pksigd' refused the PIN .*CKR_PIN_INCORRECT/,
    // the token is not asked a second time
    again: /^pksigd: token 'pksigd' refused this PIN before/,
  },
  {
    what: 'a PIN file that is not there',
    key: (bench) => bench.key('p256', 'SoftHSM', { 'pin-source': 'file:/no/such/file' }),
    code: ABSENT,
    line: /^pksigd: .*PIN.*\/no\/such\/file/,
  },
  {
    what: 'no PIN source and no terminal',
    key: (bench) => bench.key('p256', 'SoftHSM').replace(/&pin-source=.*/, ''),
    code: PIN,
    line: /^pksigd: .*PIN.*--pin-source/,
  },
  {
    what: 'a credential where there are none',
    key: (bench) => bench.key('p256', 'SoftHSM').replace(/&pin-source=.*/, ''),
    args: ['--pin-source', 'credential:pin'],
    code: ABSENT,
    line: /^pksigd: .*CREDENTIALS_DIRECTORY/,
  },
  {
    what: 'a PIN command that fails',
    key: (bench) => bench.key('p256', 'SoftHSM').replace(/&pin-source=.*/, ''),
    args: ['--pin-source', 'command:exit 7'],
    code: ABSENT,
    line: /^pksigd: .*PIN/,
  },
  {
    what: 'no such token',
    key: (bench) => bench.key('p256', 'SoftHSM').replace('token=pksigd', 'token=another'),
    code: ABSENT,
    line: /^pksigd: no token 'another'/,
  },
  {
    what: 'no such key',
    key: (bench) => bench.key('p256', 'SoftHSM').replace('object=p256', 'object=another'),
    code: ABSENT,
    line: /^pksigd: no private key/,
  },
  {
    what: 'no such module',
    key: (bench) => bench.key('p256', 'SoftHSM', { 'module-path': '/no/such/module.so' }),
    code: ABSENT,
    line: /^pksigd: .*\/no\/such\/module\.so/,
  },
  {
    what: 'a module that is none',
    key: (bench) => bench.key('p256', 'SoftHSM', { 'module-path': bench.recipe('ca.crt') }),
    code: USAGE,
    line: /^pksigd: .*ca\.crt/,
  },
  { what: 'a broken URI', key: () => 'pkcs11:token=%zz', code: USAGE, line: /^pksigd: bad pkcs11 URI/ },
  {
    what: 'an unknown attribute in a URI',
    key: (bench) => bench.key('p256', 'SoftHSM').replace('object', 'objekt'),
    code: USAGE,
    line: /^pksigd: .*'objekt'/,
  },
  {
    what: 'a PIN in the URI',
    key: (bench) => bench.key('p256', 'SoftHSM', { 'pin-value': '31415926' }),
    code: USAGE,
    line: /^pksigd: (?!.*31415926).*pin-value.*pin-source=/,
  },
  { what: 'no such key file', key: () => '/no/such/key.pem', code: ABSENT, line: /^pksigd: .*\/no\/such\/key\.pem/ },
  {
    what: 'a key file that is none',
    key: (bench) => bench.write('key.pem', 'no key\n'),
    code: USAGE,
    line: /^pksigd: .*key\.pem/,
  },
  {
    what: "a certificate in the key's place",
    key: (bench) => bench.recipe('p256.crt'),
    code: USAGE,
    line: /^pksigd: .*p256\.crt is a certificate.*--cert/,
  },
  {
    what: 'an id in hex digits',
    key: (bench) => bench.key('p256', 'SoftHSM').replace('object=p256', 'id=01'),
    code: ABSENT,
    line: /^pksigd: no private key .*write id=%01;/,
  },
  {
    what: 'a URI that fits several keys',
    key: (bench) => bench.key('p256', 'SoftHSM').replace(';object=p256', ''),
    code: USAGE,
    line: /^pksigd: .*fits 8 private keys: say which: .*object=p256;id=%[0-9A-F]{2}/,
  },
  {
    what: 'a key file that others can read',
    key: async (bench) => {
      await copyFile(bench.recipe('p256.pem'), bench.path('key.pem'));
      await chmod(bench.path('key.pem'), 0o644);
      return bench.path('key.pem');
    },
    code: USAGE,
    line: /^pksigd: .*key\.pem.*(0?644|chmod)/,
  },
];

describe.concurrent('run and sign end alike', () => {
  test.for(failures)('for $what: $code', async ({ key, args = [], code, line, again = line }, { bench }) => {
    const options = ['--key', await key(bench), ...args];
    const run = await bench.pksigd(['run', '--management', bench.path('management'), 'unix', ...options]);
    expect(await run.exited).toBe(code);
    expect(lineOf(run)).toMatch(line);
    const sign = await bench.pksigd(['sign', ...options], { input: 'AAAA' });
    expect(await sign.exited).toBe(code);
    expect(lineOf(sign)).toMatch(again);
  });
});

describe.concurrent('sign', () => {
  const refused: { what: string; input: string; args: string[] }[] = [
    { what: 'data that is not base64', input: 'not*base64', args: ['--algorithm', 'ECDSA'] },
    { what: 'no data', input: '', args: ['--algorithm', 'ECDSA'] },
    { what: 'an unknown algorithm', input: 'AAAA', args: ['--algorithm', 'DSA'] },
    { what: "another key type's algorithm", input: 'AAAA', args: ['--algorithm', 'ED25519,data=message'] },
    { what: 'a digest of the wrong length', input: 'AAAA', args: ['--algorithm', 'ECDSA'] },
    { what: 'a shape that fits nothing', input: 'AAAA', args: [] },
  ];

  test.for(refused)('refuses $what', async ({ input, args }, { bench }) => {
    const pksigd = await bench.pksigd(['sign', '--key', bench.key('p256', 'file'), ...args], { input });
    expect(await pksigd.exited).toBe(FAILED);
    expect(lineOf(pksigd)).toMatch(/^pksigd: /);
  });

  test('prints base64 and nothing else', async ({ bench }) => {
    const args = [
      'sign',
      '--key',
      bench.key('rsa2048', 'file'),
      '--algorithm',
      'RSA_PKCS1_PADDING,hashalg=SHA256,data=message',
    ];
    const pksigd = await bench.pksigd(args, { input: 'AAAA\n' });
    expect(await pksigd.exited).toBe(DONE);
    expect(pksigd.stderr).toEqual([]);
    // 256 bytes in lines of 64 characters
    expect(pksigd.stdout.map((line) => line.length)).toEqual([64, 64, 64, 64, 64, 24]);
  });
});

describe.concurrent('usage', () => {
  const KEY = ['--key', 'x'];
  const CLIENT = ['run', ...KEY, '--management-client', '--management'];
  const wrong: [string, string[]][] = [
    ['an unknown command', ['sing']],
    ['an unknown option', ['sign', '--kye', 'x']],
    ['no key', ['run', '--management', '127.0.0.1', '7505']],
    ['no management interface', ['run', '--key', 'x']],
    ['a bad port', ['run', '--management', '127.0.0.1', '123456', '--key', 'x']],
    ['half a management interface', ['run', '--management', '127.0.0.1', '--key', 'x']],
    ['a relay where daemons connect', [...CLIENT, '/no/such/m', 'unix', '--relay', '/no/../no/such/m', 'unix']],
    ['a relay where OpenVPN is', ['run', ...KEY, '--management', '/no/m', 'unix', '--relay', '/no/m', 'unix']],
    ['a relay at the port of daemons', [...CLIENT, '127.0.0.1', '7505', '--relay', '127.0.0.1', '07505']],
    ['an unknown log level', ['run', '--management', '127.0.0.1', '7505', '--key', 'x', '--log-level', 'loud']],
  ];

  test.for(wrong)('%s', async ([, args], { bench }) => {
    const pksigd = await bench.pksigd(args);
    expect(await pksigd.exited).toBe(USAGE);
    expect(lineOf(pksigd)).toMatch(/^pksigd: /);
  });

  test.for([['--help'], ['run', '--help'], ['sign', '--help'], ['--version']])('%s', async (args, { bench }) => {
    const pksigd = await bench.pksigd(args);
    expect(await pksigd.exited).toBe(DONE);
    expect(pksigd.stdout).not.toEqual([]);
    expect(pksigd.stderr).toEqual([]);
  });
});

test('a port that is in use', async ({ bench }) => {
  const address = ownAddress();
  const other = createServer();
  const port = await new Promise<number>((resolve) => {
    other.listen(0, address, () => {
      resolve((other.address() as { port: number }).port);
    });
  });
  const management = ['--management', address, `${port}`, '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'SoftHSM')]);
  expect(await pksigd.exited).toBe(FAILED);
  expect(lineOf(pksigd)).toMatch(new RegExp(`^pksigd: .*${address}:${port}.*in use`));
  other.close();
});

test.for([
  ['management', '--management-client'],
  ['relay', '--relay'],
] as const)(
  'a file where the socket of %s is to be: it stays, and the code keeps run down',
  async ([name, how], { bench }) => {
    const path = await bench.write('precious', 'precious');
    const words = [path, 'unix'];
    const args =
      name === 'relay' ? ['--management', bench.path('none'), 'unix', how, ...words] : ['--management', ...words, how];
    const pksigd = await bench.pksigd(['run', ...args, '--key', bench.key('p256', 'file')]);
    expect(await pksigd.exited).toBe(USAGE);
    expect(lineOf(pksigd)).toMatch(/^pksigd: can't listen .*precious: there is something that is not a socket/);
    expect(readFileSync(path, 'utf8')).toBe('precious');
  },
);

test('a configuration that is not there, and one that is included', async ({ bench }) => {
  const including = await bench.write('including.ovpn', 'config missing.ovpn\n');
  for (const path of [bench.path('missing.ovpn'), including]) {
    const pksigd = await bench.pksigd(['run', '--openvpn-config', path, '--key', 'x']);
    expect(await pksigd.exited).toBe(ABSENT);
    expect(lineOf(pksigd)).toMatch(/^pksigd: can't read the OpenVPN configuration: .*missing\.ovpn/);
  }
});

/** Waits until there is no process of that number; the test's deadline ends the wait. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}/exe`)) await sleep(20);
}

test('SIGKILL leaves no module host behind', async ({ bench }) => {
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'SoftHSM')]);
  await pksigd.message('key ready');
  const [host = 0] = pksigd.children;
  pksigd.kill('SIGKILL');
  await pksigd.exited;
  await ended(host);
});

test.for(['SIGTERM', 'SIGINT'] as const)('%s ends run, and its module host', async (signal, { bench }) => {
  const management = ['--management', bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', ...management, '--key', bench.key('p256', 'SoftHSM')]);
  await pksigd.message('key ready');
  const [host = 0] = pksigd.children;
  pksigd.kill(signal);
  expect(await pksigd.exited).toBe(DONE);
  await ended(host);
});
