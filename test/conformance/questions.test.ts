import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import {
  connectManagement,
  type DynamicChallenge,
  encodeDynamicChallenge,
  type ManagementClient,
  type Notification,
} from '../../src/management/index.ts';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import type { Pksigd } from '../support/pksigd.ts';
import { Lab, type RealDaemon, whyNoTun } from './management/real-daemon.ts';

const why = whyNoTun();
if (why !== undefined) process.stderr.write(`questions of real daemons are not tried: ${why}\n`);

/** Each is looked for in all that pksigd says, and in its arguments and environment. */
const SECRETS = { password: 'S3cret "pass\\word', wrong: 'wr0ng-pass', code: '748392', link: 'session=aa55aa55' };

type Connect = Extract<Notification, { type: 'CLIENT'; mode: 'CONNECT' }>;

/** A server whose logins the test decides: by its management interface, one after the other. */
class Server {
  readonly client: ManagementClient;
  readonly connects: Connect[] = [];
  #wake: () => void = () => undefined;

  private constructor(client: ManagementClient) {
    this.client = client;
    client.on('CLIENT', (it) => {
      if (it.mode !== 'CONNECT') return;
      this.connects.push(it);
      this.#wake();
    });
  }

  static async start(lab: Lab, inside: readonly string[]): Promise<Server> {
    const path = lab.path('server.sock');
    const daemon = lab.start(
      [...serverArgs('tun0', '10.99.0.0', 1194), '--management', path, 'unix', '--management-client-auth'],
      inside,
    );
    await daemon.logged('Initialization Sequence Completed');
    return new Server(await connectManagement({ kind: 'unix', path }, { clientVersion: 3 }));
  }

  /** The next login. */
  async login(): Promise<Connect> {
    for (;;) {
      const next = this.connects.shift();
      if (next) return next;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async accept({ cid, kid }: Connect): Promise<void> {
    await this.client.clientAuthNt(cid, kid);
  }

  async deny({ cid, kid }: Connect, reason?: string): Promise<void> {
    await this.client.clientDeny(cid, kid, 'no', reason);
  }
}

/** An HTTP proxy that wants a login, and tells what it gets. */
const PROXY = `
  require('net').createServer((socket) => socket.on('data', (chunk) => {
    const text = String(chunk);
    console.log(text);
    const wants = 'HTTP/1.0 407 Proxy Authentication Required\\r\\nProxy-Authenticate: Basic realm="x"\\r\\n\\r\\n';
    socket.end(text.includes('Proxy-Authorization') ? 'HTTP/1.0 503 No\\r\\n\\r\\n' : wants);
  }).on('error', () => {})).listen(3128, '127.0.0.1', () => console.log('listening'));
`;

interface PairOptions {
  readonly port?: number;
  readonly proto?: 'udp' | 'tcp';
  readonly args?: readonly string[];
  readonly hasOwnKey?: boolean;
  /** Writes a configuration file for this socket, in place of options. */
  readonly config?: (socket: string) => string;
}

function serverArgs(device: string, subnet: string, port: number): string[] {
  return [
    ...['--mode', 'server', '--tls-server', '--dev', device, '--dev-type', 'tun', '--topology', 'subnet'],
    ...['--proto', 'udp', '--local', '127.0.0.1', '--port', String(port), '--server', subnet, '255.255.255.0'],
    ...['--ca', 'ca.crt', '--cert', 'server.crt', '--key', 'server.key', '--dh', 'none', '--disable-dco'],
    ...['--data-ciphers', 'AES-256-GCM', '--duplicate-cn'],
  ];
}

describe.skipIf(why !== undefined)('a real daemon, its server and pksigd alone with it', () => {
  const namespace = `pksigd-q-${process.pid}`;
  const inside = ['ip', 'netns', 'exec', namespace];
  let lab: Lab;
  let server: Server;
  let clients = 0;

  beforeAll(async () => {
    lab = new Lab();
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up']);
    server = await Server.start(lab, inside);
  });

  afterAll(async () => {
    await server.client.close();
    await lab.remove();
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  /** A client of the server, with pksigd beside it. */
  async function pair(
    bench: Bench,
    answers: readonly string[],
    { port = 1194, proto = 'udp', args = ['--auth-user-pass'], hasOwnKey = false, config }: PairOptions = {},
  ): Promise<{ readonly daemon: RealDaemon; readonly pksigd: Pksigd }> {
    clients += 1;
    const path = lab.path(`client-${clients}.sock`);
    const daemon = lab.start(
      [
        ...['--client', '--dev', 'null', '--remote', '127.0.0.1', String(port), '--nobind'],
        ...['--proto', proto === 'udp' ? 'udp' : 'tcp-client', '--cert', 'client.crt', '--ca', 'ca.crt'],
        ...['--ifconfig-noexec', '--route-noexec', '--connect-retry', '1', '1', '--data-ciphers', 'AES-256-GCM'],
        ...['--setenv', 'IV_SSO', 'webauth,crtext', '--management', path, 'unix', '--management-hold'],
        ...['--management-query-passwords', ...(hasOwnKey ? [] : ['--management-external-key', 'digest']), ...args],
      ],
      inside,
    );
    await daemon.logged('listening on');
    const given = config
      ? ['--config', config(path)]
      : ['--management', path, 'unix', '--key', lab.path('client.key'), ...answers];
    const pksigd = await bench.pksigd(['run', ...given, '--log-level', 'trace'], {
      env: { PATH: process.env['PATH'] ?? '' },
    });
    return { daemon, pksigd };
  }

  function expectNoSecrets(pksigd: Pksigd): void {
    const places = [
      pksigd.transcript,
      ...['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pksigd.pid}/${file}`, 'utf8')),
    ];
    for (const secret of Object.values(SECRETS)) {
      for (const text of [secret, JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString('base64')])
        for (const place of places) expect(place.includes(text), `${text} in ${place}`).toBe(false);
    }
  }

  /** A command of its own: in pksigd's arguments stands its path alone. */
  const script = async (bench: Bench, text: string): Promise<string> =>
    await bench.write(`command-${text.length}`, `#!/bin/sh\n${text}\n`, 0o700);

  const userPass = (bench: Bench, password: string, name = 'login'): Promise<string> =>
    bench.write(name, `alice\n${password}\n`);

  test('username and password from a file of two lines', async ({ bench }) => {
    const { daemon, pksigd } = await pair(bench, ['--auth-user-pass', await userPass(bench, SECRETS.password)]);
    const connect = await server.login();
    expect(connect.env).toMatchObject({ username: 'alice', password: SECRETS.password });
    await server.accept(connect);
    await daemon.logged('Initialization Sequence Completed');
    expect(await pksigd.message("answered the daemon's question")).toMatchObject({ name: 'Auth' });
    expectNoSecrets(pksigd);
  });

  test('a refused password is not sent again until it changes at its source', async ({ bench }) => {
    const path = await userPass(bench, SECRETS.wrong);
    const { daemon, pksigd } = await pair(bench, ['--auth-user-pass', path]);
    const first = await server.login();
    expect(first.env).toMatchObject({ password: SECRETS.wrong });
    await server.deny(first, 'who are you?');
    expect(await pksigd.message('a password was refused')).toMatchObject({ reason: 'who are you?' });
    // the daemon is told to ask again, and does
    const held = await pksigd.message(
      'the daemon asks, and the answer was refused before: it is not sent again by itself',
    );
    expect(held).toMatchObject({ code: 'ERR_ANSWER_REFUSED', name: 'Auth' });
    // once more, after a look at the source
    await pksigd.message('the daemon asks, and the answer was refused before: it is not sent again by itself', 2);
    expect(server.connects).toEqual([]);
    writeFileSync(path, `alice\n${SECRETS.password}\n`);
    const second = await server.login();
    expect(second.env).toMatchObject({ password: SECRETS.password });
    await server.accept(second);
    await daemon.logged('Initialization Sequence Completed');
    expectNoSecrets(pksigd);
  });

  test('a static challenge', async ({ bench }) => {
    const seen = bench.path('challenge');
    const command = `cat > ${seen}; echo "$PKSIGD_QUESTION $PKSIGD_ECHO" >> ${seen}; echo ${SECRETS.code}`;
    const { daemon, pksigd } = await pair(
      bench,
      [
        '--auth-user',
        'bob',
        '--auth-user-pass',
        `command:echo '${SECRETS.password}'`,
        '--challenge-command',
        await script(bench, command),
      ],
      { args: ['--auth-user-pass', '--static-challenge', 'Token PIN', '1'] },
    );
    const connect = await server.login();
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    expect(connect.env).toMatchObject({
      username: 'bob',
      password: `SCRV1:${base64(SECRETS.password)}:${base64(SECRETS.code)}`,
    });
    expect(readFileSync(seen, 'utf8')).toBe('Token PIN\nstatic-challenge 1\n');
    await server.accept(connect);
    await daemon.logged('Initialization Sequence Completed');
    expect(pksigd.transcript).not.toContain(SECRETS.code);
  });

  const CHALLENGE: DynamicChallenge = {
    ...{ echo: false, responseRequired: true, stateId: 'c3RhdGU=', username: 'alice', text: 'Which code?' },
  };

  test('a dynamic challenge, and a code that the server asks for while the login is pending', async ({ bench }) => {
    const seen = bench.path('challenges');
    const command = `{ cat; echo "$PKSIGD_QUESTION"; } >> ${seen}; echo ${SECRETS.code}`;
    const { daemon, pksigd } = await pair(bench, [
      ...['--auth-user-pass', await userPass(bench, SECRETS.password)],
      ...['--challenge-command', await script(bench, command)],
    ]);
    await server.deny(await server.login(), encodeDynamicChallenge(CHALLENGE));
    const answered = await server.login();
    expect(answered.env).toMatchObject({ username: 'alice', password: `CRV1::c3RhdGU=::${SECRETS.code}` });
    const text = { kind: 'CR_TEXT', echo: false, responseRequired: true, text: 'Your TOTP: now' } as const;
    const response = new Promise<string>((resolve) => {
      server.client.on('CLIENT', (it) => {
        if (it.mode === 'CR_RESPONSE') resolve(it.response);
      });
    });
    await server.client.clientPendingAuth(answered.cid, answered.kid, text, 30);
    expect(Buffer.from(await response, 'base64').toString()).toBe(SECRETS.code);
    await server.accept(answered);
    await daemon.logged('Initialization Sequence Completed');
    expect(readFileSync(seen, 'utf8')).toBe('Which code?\ndynamic-challenge\nYour TOTP: now\ncr-text\n');
    expectNoSecrets(pksigd);
  });

  test('a link by which a person logs in', async ({ bench }) => {
    const seen = bench.path('links');
    const { daemon, pksigd } = await pair(bench, [
      ...['--auth-user-pass', await userPass(bench, SECRETS.password)],
      ...[
        '--open-url-command',
        `{ cat; echo "$PKSIGD_QUESTION $PKSIGD_FLAGS"; } > ${seen}.new; mv ${seen}.new ${seen}`,
      ],
    ]);
    const connect = await server.login();
    const url = `https://sso.example/auth?${SECRETS.link}`;
    await server.client.clientPendingAuth(
      connect.cid,
      connect.kid,
      { kind: 'WEB_AUTH', flags: ['external'], proxy: undefined, url },
      30,
    );
    await pksigd.until('the link', () => pksigd.log.find(({ name }) => name === 'WEB_AUTH'));
    expect(readFileSync(seen, 'utf8')).toBe(`${url}\nweb-auth external\n`);
    await server.accept(connect);
    await daemon.logged('Initialization Sequence Completed');
    expectNoSecrets(pksigd);
  });

  test('a refused password is sent again at a reload', async ({ bench }) => {
    const told = 'the daemon asks, and the answer was refused before: it is not sent again by itself';
    const login = await script(bench, `cat '${await userPass(bench, SECRETS.wrong)}'`);
    const path = await bench.write('p.toml', '');
    const { daemon, pksigd } = await pair(bench, [], {
      config: (socket) => {
        const tunnel = `management = "${socket} unix"\nauth-user-pass = "command:${login}"\n`;
        writeFileSync(path, `[key.a]\nkey = "${lab.path('client.key')}"\n[tunnel.office]\n${tunnel}`);
        return path;
      },
    });
    await server.deny(await server.login());
    await pksigd.message(told);
    expect(server.connects).toEqual([]);
    pksigd.kill('SIGHUP');
    await server.accept(await server.login());
    await daemon.logged('Initialization Sequence Completed');
    expect(pksigd.messages('tunnel changed')).toEqual([]);
    expectNoSecrets(pksigd);
  });

  test("the password of the daemon's own private key; a wrong one once", async ({ bench }) => {
    lab.openssl('pkey', '-in', 'client.key', '-aes256', '-passout', `pass:${SECRETS.password}`, '-out', 'locked.key');
    const own = { args: ['--key', 'locked.key', '--auth-user-pass'], hasOwnKey: true };
    const login = ['--auth-user-pass', await userPass(bench, SECRETS.password)];
    const right = await pair(bench, [...login, '--askpass', await bench.write('right', SECRETS.password)], own);
    await server.accept(await server.login());
    await right.daemon.logged('Initialization Sequence Completed');
    const wrong = await pair(bench, [...login, '--askpass', await bench.write('wrong', SECRETS.wrong)], own);
    expect(await wrong.pksigd.message('a password was refused')).toMatchObject({ name: 'Private Key' });
    await wrong.pksigd.message('the daemon asks, and the answer was refused before: it is not sent again by itself');
    expectNoSecrets(right.pksigd);
    expectNoSecrets(wrong.pksigd);
  });

  test('username and password for an HTTP proxy', async ({ bench }) => {
    const proxy = bench.adopt(new Child('proxy', 'ip', [...inside.slice(1), process.execPath, '-e', PROXY]));
    await proxy.logged(/listening/);
    const { pksigd } = await pair(
      bench,
      [
        '--http-proxy-user-pass',
        await userPass(bench, SECRETS.password),
        ...['--answer-proxy', 'HTTP', '127.0.0.1', '3128'],
      ],
      { proto: 'tcp', args: ['--management-query-proxy', '--http-proxy', '127.0.0.1', '3128', 'auto'] },
    );
    const basic = Buffer.from(`alice:${SECRETS.password}`).toString('base64');
    await proxy.logged(new RegExp(`Proxy-Authorization: Basic ${basic.replaceAll('+', '\\+')}`));
    await pksigd.until('its line', () => pksigd.log.find(({ name }) => name === 'HTTP Proxy'));
    expectNoSecrets(pksigd);
  });

  test('which remote, and by which proxy', async ({ bench }) => {
    const { daemon } = await pair(
      bench,
      [
        '--answer-remote',
        'MOD',
        '127.0.0.1',
        '1194',
        '--answer-proxy',
        'NONE',
        '--auth-user-pass',
        await userPass(bench, SECRETS.password),
      ],
      { port: 9, args: ['--auth-user-pass', '--management-query-remote', '--management-query-proxy'] },
    );
    await server.accept(await server.login());
    await daemon.logged('Initialization Sequence Completed');
  });

  test("a server's own script looks at the password", async ({ bench }) => {
    const attempts = bench.path('attempts');
    const verify = await script(
      bench,
      `echo x >> '${attempts}'; printf '%s\\n' alice '${SECRETS.password.replaceAll("'", '')}' | cmp -s - "$1"`,
    );
    const daemon = lab.start(
      [
        ...serverArgs('tun1', '10.98.0.0', 1195),
        '--script-security',
        '2',
        '--auth-user-pass-verify',
        verify,
        'via-file',
      ],
      inside,
    );
    await daemon.logged('Initialization Sequence Completed');
    const right = await pair(bench, ['--auth-user-pass', await userPass(bench, SECRETS.password)], { port: 1195 });
    await right.daemon.logged('Initialization Sequence Completed');
    const wrong = await pair(bench, ['--auth-user-pass', await userPass(bench, SECRETS.wrong, 'wrong')], {
      port: 1195,
    });
    await wrong.pksigd.message('the daemon asks, and the answer was refused before: it is not sent again by itself');
    expect(readFileSync(attempts, 'utf8')).toBe('x\nx\n');
    expectNoSecrets(right.pksigd);
    expectNoSecrets(wrong.pksigd);
  });
});
