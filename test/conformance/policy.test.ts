import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, vi } from 'vitest';
import type { WrittenEntry } from '../../src/audit/line.ts';
import { KEYS, test, type Bench, type KeyName } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { openssl } from '../support/openssl.ts';
import { OPENVPN, type OpenVpnClient, type ServerOptions } from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';
import { Tap } from '../support/tap.ts';

/** OpenVPN got an answer that is none, and gave this handshake up. */
const GAVE_UP = /SIGUSR1\[soft,tls-error\]/;
/** What the agent answers where it signs nothing. */
const EMPTY_BLOCK = 'pk-sig\nEND\n';
const COMPLETED = /Initialization Sequence Completed/;

const VERSIONS = ['1.2', '1.3'] as const;

interface Setup {
  readonly tls?: ServerOptions['tls'];
  readonly key?: KeyName;
  /** The daemon sends whole messages. */
  readonly digest?: boolean;
  readonly server?: readonly string[];
  readonly client?: readonly string[];
  /** The options of pksigd that are tried. */
  readonly policy: readonly string[];
}

/** A real daemon, and pksigd with a policy, an audit log and metrics. What the two say passes a tap. */
interface Tunnel {
  readonly bench: Bench;
  readonly client: OpenVpnClient;
  readonly pksigd: Pksigd;
  readonly tap: Tap;
}

/** pksigd for a daemon that listens at `management`. */
async function tapped(bench: Bench, key: string, policy: readonly string[]): Promise<[Pksigd, Tap]> {
  const tap = await Tap.open(bench.path('tap'), bench.path('management'));
  bench.onEnd(() => tap.close());
  const seen = ['--audit', bench.path('audit.jsonl'), '--metrics', bench.path('metrics'), 'unix'];
  const pksigd = await bench.pksigd([
    'run',
    '--management',
    bench.path('tap'),
    'unix',
    '--key',
    key,
    ...seen,
    ...policy,
  ]);
  return [pksigd, tap];
}

async function tunnel(bench: Bench, setup: Setup): Promise<Tunnel> {
  const { tls, key = 'p256', digest = true, policy } = setup;
  const server = await bench.server({ tls, args: setup.server ?? [] });
  const client = bench.client(server, {
    management: { address: bench.path('management'), port: 'unix' },
    certificate: { file: key },
    externalKey: `nopadding pkcs1 pss${digest ? ' digest' : ''}`,
    args: setup.client ?? [],
  });
  const [pksigd, tap] = await tapped(bench, bench.key(key, 'file'), policy);
  return { bench, client, pksigd, tap };
}

function entriesOf(bench: Bench): WrittenEntry[] {
  const lines = readFileSync(bench.path('audit.jsonl'), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as WrittenEntry);
}

/** What the metrics count of requests that ended so. */
async function counted(bench: Bench, outcome: string, code: string): Promise<number> {
  const socket = connect(bench.path('metrics'));
  socket.write('GET /metrics HTTP/1.0\r\n\r\n');
  const lines = (await textOf(socket)).split('\n').filter((line) => line.startsWith('pksigd_requests_total{'));
  const fits = lines.filter((line) => line.includes(`outcome="${outcome}"`) && line.includes(`code="${code}"`));
  return fits.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** The tunnel is up, and its signature is in all the books. @returns what the audit log says of it */
async function connects({ bench, client, pksigd, tap }: Tunnel): Promise<WrittenEntry & { type: 'outcome' }> {
  await client.connected();
  await pksigd.signed(1);
  expect(tap.heard).not.toContain(EMPTY_BLOCK);
  expect(await counted(bench, 'signed', 'none')).toBe(1);
  const [entry] = entriesOf(bench).filter((one) => one.type === 'outcome');
  if (!entry) throw new Error('no entry of the signature');
  expect(entry.outcome).toBe('signed');
  return entry;
}

/** A request was refused at once, for a reason that is in all the books. */
async function hasRefusal(
  { bench, pksigd, tap }: Pick<Tunnel, 'bench' | 'pksigd' | 'tap'>,
  code: string,
): Promise<void> {
  expect(await pksigd.message('refused')).toMatchObject({ code, level: 'error' });
  await vi.waitFor(
    () => {
      expect(tap.heard).toContain(EMPTY_BLOCK);
    },
    { timeout: 60_000 },
  );
  expect(await counted(bench, 'refused', code)).toBeGreaterThan(0);
  // no signature waits for this entry, so it need not be there yet
  const entry = expect.objectContaining({ type: 'request', verdict: 'refused', code }) as unknown;
  await vi.waitFor(
    () => {
      expect(entriesOf(bench)).toContainEqual(entry);
    },
    { timeout: 60_000 },
  );
}

/** Nothing is signed, and the daemon gives up. */
async function isRefused(tunnel: Tunnel, code: string): Promise<void> {
  const { bench, client, tap } = tunnel;
  await client.logged(GAVE_UP);
  await hasRefusal(tunnel, code);
  expect(client.count(COMPLETED)).toBe(0);
  expect(tap.heard).not.toMatch(/pk-sig\n(?!END\n)/);
  expect(entriesOf(bench).filter(({ type }) => type === 'outcome')).toEqual([]);
}

describe.concurrent('--require-context tls-client, with messages', () => {
  const cells = KEYS.filter((key) => !/^(?:rsa[34]|p[35])/.test(key)).flatMap((key) =>
    VERSIONS.map((tls) => ({ key, tls })),
  );
  test.for(cells)('connects: $key, TLS $tls; the audit log has what was seen', async ({ key, tls }, { bench }) => {
    const entry = await connects(await tunnel(bench, { tls, key, policy: ['--require-context', 'tls-client'] }));
    // TLS 1.3 does not show the server
    const seen = { server: 'CN=pksigd server', verified: false };
    expect(entry.context).toEqual({ tls, ...(tls === '1.2' ? seen : { server: null, verified: null }) });
    const requests = entriesOf(bench).filter(({ type }) => type === 'request');
    expect(requests).toMatchObject([{ verdict: 'accepted', context: entry.context }]);
  });
});

describe.concurrent('--context, where the daemon sends hashes', () => {
  const cells = VERSIONS.flatMap((tls) => (['off', 'when-visible', 'require'] as const).map((rule) => ({ tls, rule })));
  test.for(cells)('$rule, TLS $tls', async ({ tls, rule }, { bench }) => {
    const up = await tunnel(bench, { tls, digest: false, policy: ['--context', rule] });
    if (rule === 'require') await isRefused(up, 'ERR_POLICY_CONTEXT');
    else expect(await connects(up)).toMatchObject({ context: null });
  });
});

describe.concurrent("--context, where the daemon is a server: its messages are no client's", () => {
  const cells = VERSIONS.flatMap((tls) => (['off', 'when-visible', 'require'] as const).map((rule) => ({ tls, rule })));
  test.for(cells)('$rule, TLS $tls', async ({ tls, rule }, { bench }) => {
    const [pksigd, tap] = await tapped(bench, bench.recipe('server.pem'), ['--context', rule]);
    const management = { address: bench.path('management'), port: 'unix' };
    const externalKey = { management, words: 'nopadding digest' };
    const server = await bench.server({ tls, externalKey, args: ['--management-hold'] });
    const files = ['ca ca.crt', 'cert p256.crt', 'key p256.pem'].flatMap((line) => {
      const [option, file = ''] = line.split(' ');
      return [`--${option}`, bench.recipe(file)];
    });
    const remote = ['--remote', server.address, `${server.port}`, 'udp', '--nobind'];
    const args = ['--tls-client', '--dev', 'null', '--ifconfig-noexec', ...remote, ...files];
    bench.adopt(new Child('openvpn client', OPENVPN, args));
    if (rule === 'off') {
      await server.handshakes(1);
      expect(await pksigd.signed(1)).toHaveLength(1);
      return;
    }
    await server.logged(/TLS handshake failed/);
    await hasRefusal({ bench, pksigd, tap }, 'ERR_POLICY_CONTEXT');
    expect(pksigd.messages('signed')).toEqual([]);
  });
});

/** A CA of its own, and a server's certificate of it that has the name of the right one. */
async function impostor(bench: Bench): Promise<{ readonly ca: string; readonly server: readonly string[] }> {
  const [key, ca, certificate] = ['other.pem', 'other-ca.crt', 'other.crt'].map((name) => bench.path(name)) as [
    string,
    string,
    string,
  ];
  await openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key]);
  await openssl(['req', '-x509', '-key', key, '-subj', '/CN=pksigd test CA', '-out', ca]);
  const request = ['req', '-x509', '-key', key, '-subj', '/CN=pksigd server', '-CA', ca, '-CAkey', key];
  await openssl([
    ...request,
    '-addext',
    'basicConstraints=CA:FALSE',
    '-addext',
    'extendedKeyUsage=serverAuth',
    '-out',
    certificate,
  ]);
  return { ca, server: ['--cert', certificate, '--key', key] };
}

describe.concurrent('--require-server-ca and --require-server-name', () => {
  test.for(['pksigd server', 'CN=pksigd server'])('the right server connects: %s', async (name, { bench }) => {
    const policy = ['--require-server-ca', bench.recipe('ca.crt'), '--require-server-name', name];
    await connects(await tunnel(bench, { tls: '1.2', policy }));
  });

  test('another name', async ({ bench }) => {
    const policy = ['--require-server-name', 'another server'];
    await isRefused(await tunnel(bench, { tls: '1.2', policy }), 'ERR_POLICY_SERVER');
  });

  test("a server of another CA, which the daemon trusts, with the right one's name", async ({ bench }) => {
    const { ca, server } = await impostor(bench);
    const policy = ['--require-server-ca', bench.recipe('ca.crt')];
    await isRefused(await tunnel(bench, { tls: '1.2', server, client: ['--ca', ca], policy }), 'ERR_POLICY_SERVER');
    const [refused] = entriesOf(bench).filter(({ type }) => type === 'request');
    // by its name alone nobody could tell
    expect(refused).toMatchObject({ context: { tls: '1.2', server: 'CN=pksigd server' } });
  });

  test('the same where its CA is the one that is required', async ({ bench }) => {
    const { ca, server } = await impostor(bench);
    await connects(
      await tunnel(bench, { tls: '1.2', server, client: ['--ca', ca], policy: ['--require-server-ca', ca] }),
    );
  });

  test.for([
    { what: 'with TLS 1.3', tls: '1.3', digest: true },
    { what: 'in a hash', tls: '1.2', digest: false },
  ] as const)('no server is seen $what', async ({ tls, digest }, { bench }) => {
    const policy = ['--require-server-ca', bench.recipe('ca.crt')];
    await isRefused(await tunnel(bench, { tls, digest, policy }), 'ERR_POLICY_SERVER');
  });
});

describe.concurrent('--confirm', () => {
  test('a command that says yes, and is told what for', async ({ bench }) => {
    const asked = bench.path('asked');
    await connects(await tunnel(bench, { tls: '1.2', policy: ['--confirm', `env | grep ^PKSIGD_ >'${asked}'`] }));
    expect(readFileSync(asked, 'utf8').split('\n')).toEqual(
      expect.arrayContaining([
        'PKSIGD_CONTEXT=client-certificate-verify',
        'PKSIGD_TLS=1.2',
        'PKSIGD_SERVER=CN=pksigd server',
      ]),
    );
  });

  test('a command that says no', async ({ bench }) => {
    await isRefused(await tunnel(bench, { policy: ['--confirm', 'exit 1'] }), 'ERR_POLICY_CONFIRM');
  });

  test('nobody says anything: at the deadline that is a no', async ({ bench }) => {
    const policy = ['--deadline', '10', '--confirm', 'exec sleep 1000'];
    await isRefused(await tunnel(bench, { policy }), 'ERR_POLICY_CONFIRM');
  });

  test('is not asked for what the policy refuses anyway', async ({ bench }) => {
    const asked = bench.path('asked');
    const policy = ['--context', 'require', '--confirm', `: >'${asked}'`];
    await isRefused(await tunnel(bench, { digest: false, policy }), 'ERR_POLICY_CONTEXT');
    expect(existsSync(asked)).toBe(false);
  });
});

describe.concurrent('how often', () => {
  test('--uses-per-connect 1: each new connection has its signature', async ({ bench }) => {
    const { client, pksigd } = await tunnel(bench, { policy: ['--uses-per-connect', '1'] });
    for (let times = 1; times <= 3; times += 1) {
      await client.connected(times);
      await pksigd.signed(times);
      if (times < 3) client.kill('SIGUSR1');
    }
    expect(pksigd.messages('refused')).toEqual([]);
  });

  test('--uses-per-connect 1: of a connection that renegotiates the second one is refused', async ({ bench }) => {
    const args = ['--reneg-sec', '2'];
    const up = await tunnel(bench, { policy: ['--uses-per-connect', '1'], client: args, server: args });
    await hasRefusal(up, 'ERR_POLICY_USES');
    // usually a request, CONNECTED, a request, and another one
    const told = up.tap.said.match(/^(?:>PK_SIGN:|(?:>STATE:)?\d+,(?:CONNECTING|RECONNECTING|CONNECTED),)/gm) ?? [];
    const story = told.map((word) => (word === '>PK_SIGN:' ? 'request ' : 'state ')).join('');
    const signed = story.slice(0, story.indexOf('request request')).split('request').length;
    const outcomes = up.pksigd.log.map(({ msg }) => msg).filter((msg) => msg === 'signed' || msg === 'refused');
    expect(outcomes.slice(0, signed + 1)).toEqual([...Array.from({ length: signed }, () => 'signed'), 'refused']);
  });

  test('--rate: more than so many are refused', async ({ bench }) => {
    const up = await tunnel(bench, { policy: ['--rate', '1', '--burst', '2'] });
    const { client, pksigd } = up;
    const refused = pksigd.message('refused');
    for (let times = 1; pksigd.messages('refused').length === 0; times += 1) {
      await Promise.race([client.connected(times), refused]);
      client.kill('SIGUSR1');
    }
    await hasRefusal(up, 'ERR_POLICY_RATE');
    expect(pksigd.messages('signed').length).toBeGreaterThanOrEqual(2);
  });
});
