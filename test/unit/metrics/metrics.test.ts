import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Outcome } from '../../../src/agent/answer.ts';
import type { AgentEvent } from '../../../src/agent/events.ts';
import type { ManagementAddress } from '../../../src/management/index.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { MetricsServer } from '../../../src/metrics/server.ts';
import { AgentState } from '../../../src/status/agent-state.ts';
import { FakeClock } from '../agent/fake-clock.ts';

const ROOT = join(import.meta.dirname, '../../..');
const MONITORING = join(ROOT, 'docs/monitoring');
const START = Date.parse('2026-11-28T12:00:00Z');

let state: AgentState;
let metrics: AgentMetrics;

beforeEach(() => {
  state = new AgentState(START);
  metrics = new AgentMetrics({ state, release: '1.2.3', lostLines: () => 3, memory: () => 4096 });
});

function take(...events: AgentEvent[]): void {
  for (const event of events) {
    state.take(event, START);
    metrics.take(event);
  }
}

const opened = (tunnel: string): AgentEvent => ({
  ...{ type: 'tunnel-opened', tunnel, key: 'main', listens: false, relay: undefined },
});
const done = (tunnel: string, outcome: Outcome): AgentEvent => ({ type: 'request-done', tunnel, outcome });
const signed = (scheme: string): Outcome => ({
  ...{ outcome: 'signed', signature: Buffer.alloc(1), mechanism: 'm', scheme, durationMs: 30 },
});
const failed = (scheme: string): Outcome => ({
  ...{ outcome: 'failed', code: 'ERR_TOKEN_FAILED', error: 'no', scheme, durationMs: 5 },
});

/** Something of everything. */
function all(): void {
  take(
    opened('t'),
    { type: 'daemon-connected', tunnel: 't' },
    { type: 'daemon-state', tunnel: 't', state: 'CONNECTED', detail: undefined, since: START },
    {
      type: 'key-state',
      name: 'main',
      state: 'open',
      key: 'k',
      copies: ['a', 'b'],
      certificate: 'CN=a',
      validTo: 'Dec 24 08:00:00 2026 GMT',
    },
    { type: 'copy-failed', key: 'b', error: 'away' },
    { type: 'token-state', token: 'Office', pin: 'count low', hasKeypad: false, isLoggedIn: true },
    { type: 'module-host', event: { type: 'started', modulePath: '/m.so', pid: 7 } },
    { type: 'module-host', event: { type: 'signed', modulePath: '/m.so', waitedMs: 1, durationMs: 20, queued: 2 } },
    { type: 'relay-listening', relay: '/r', rights: 'read' },
    { type: 'daemon-rejected', tunnel: 't', code: 'ERR_MANAGEMENT_PEER', error: '', count: 4, isStranger: true },
    done('t', signed('ECDSA')),
    done('t', signed('RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest')),
    done('t', failed('ECDSA')),
  );
}

test('a tunnel whose key waits to be tried again is in trouble', async () => {
  const trouble = async (): Promise<string[]> =>
    (await lines()).filter((line) => /^pksigd_(?:tunnel_trouble|key_open)\{/.test(line));
  take(opened('t'), { type: 'key-state', name: 'main', state: 'waiting', error: 'it hangs' });
  expect(await trouble()).toEqual(['pksigd_tunnel_trouble{tunnel="t"} 1', 'pksigd_key_open{key="main"} 0']);
  take({ type: 'key-state', name: 'main', state: 'open', key: 'k' });
  expect(await trouble()).toEqual(['pksigd_tunnel_trouble{tunnel="t"} 0', 'pksigd_key_open{key="main"} 1']);
});

async function lines(): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('metrics', () => {
  test('count requests, and know all else that there is', async () => {
    all();
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'pksigd_requests_total{tunnel="t",key="main",outcome="signed",scheme="ECDSA",code="none"} 1',
        'pksigd_requests_total{tunnel="t",key="main",outcome="signed",scheme="RSA_PKCS1_PSS_PADDING",code="none"} 1',
        'pksigd_requests_total{tunnel="t",key="main",outcome="failed",scheme="ECDSA",code="ERR_TOKEN_FAILED"} 1',
        'pksigd_request_duration_seconds_count{key="main",scheme="ECDSA"} 1',
        'pksigd_request_duration_seconds_sum{key="main",scheme="ECDSA"} 0.03',
        'pksigd_module_sign_duration_seconds_sum{module="/m.so"} 0.02',
        'pksigd_module_wait_seconds_sum{module="/m.so"} 0.001',
        'pksigd_module_queue_length{module="/m.so"} 2',
        'pksigd_tunnel_connected{tunnel="t"} 1',
        'pksigd_tunnel_state{tunnel="t",state="CONNECTED"} 1',
        `pksigd_certificate_end_timestamp_seconds{key="main"} ${Date.parse('2026-12-24T08:00:00Z') / 1000}`,
        'pksigd_key_copies_working{key="main"} 1',
        'pksigd_failovers_total{copy="b"} 1',
        'pksigd_token_pin_tries{token="Office",state="count low"} 1',
        'pksigd_token_pin_tries{token="Office",state="ok"} 0',
        'pksigd_rejected_connections_total 4',
        'pksigd_lost_log_lines_total 3',
        'pksigd_info{release="1.2.3"} 1',
      ]),
    );
  });

  test('say the same each time that they are asked for', async () => {
    all();
    expect(await lines()).toEqual(await lines());
  });

  test('have few series, whatever a daemon says', async () => {
    take(opened('t'));
    const before = (await lines()).length;
    for (let index = 0; index < 1000; index++) {
      const text = `nonsense ${index},hashalg=${index}`;
      take(done('t', failed(text)), done('t', signed(text)));
      take({ type: 'daemon-state', tunnel: 't', state: `STATE ${index}`, detail: undefined, since: START });
    }
    expect((await lines()).length - before).toBeLessThan(30);
  });

  test('keep nothing of tunnels that other settings took away', async () => {
    take(opened('gone'), opened('t'), done('gone', signed('ECDSA')), done('t', signed('ECDSA')));
    take({ type: 'settings-applied', tunnels: ['t'], keys: ['main'], tokens: [] });
    const text = await metrics.text();
    expect(text).toContain('tunnel="t"');
    expect(text).not.toContain('gone');
  });
});

describe('what is served', () => {
  let folder: string;
  let served: MetricsServer | undefined;
  let clock: FakeClock;

  beforeEach(() => {
    clock = new FakeClock();
    folder = mkdtempSync(join(tmpdir(), 'pksigd-metrics-'));
  });
  afterEach(async () => {
    await served?.[Symbol.asyncDispose]();
    served = undefined;
    rmSync(folder, { recursive: true });
  });

  async function listen(address: ManagementAddress): Promise<ManagementAddress> {
    served = await MetricsServer.listen({ address, metrics, state, clock });
    return served.address;
  }

  const onLoopback = (): Promise<ManagementAddress> => listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });

  interface Got {
    readonly status: number | undefined;
    readonly body: string;
  }

  async function get(
    address: ManagementAddress,
    path: string,
    { method = 'GET', host }: { method?: string; host?: string } = {},
  ): Promise<Got> {
    const place = address.kind === 'tcp' ? { host: address.host, port: address.port } : { socketPath: address.path };
    return await new Promise((resolve, reject) => {
      const asked = request(
        { ...place, path, method, ...(host !== undefined && { headers: { host } }) },
        (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString()));
          response.on('end', () => {
            resolve({ status: response.statusCode, body });
          });
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  }

  test('are metrics and health', async () => {
    all();
    const address = await onLoopback();
    expect(await get(address, '/metrics')).toMatchObject({
      status: 200,
      body: expect.stringContaining('pksigd_info') as string,
    });
    expect(await get(address, '/healthz')).toEqual({ status: 200, body: 'ok\n' });
    expect(await get(address, '/')).toMatchObject({ status: 404 });
    expect(await get(address, '/metrics', { method: 'POST' })).toMatchObject({ status: 405 });
    expect(await get(address, '/metrics', { method: 'HEAD' })).toEqual({ status: 200, body: '' });
  });

  test('readiness is told of all tunnels, or of one', async () => {
    all();
    take(opened('other'));
    const address = await onLoopback();
    // its last request failed
    expect(await get(address, '/readyz?tunnel=t')).toMatchObject({ status: 503 });
    take(done('t', signed('ECDSA')));
    expect(await get(address, '/readyz')).toMatchObject({
      status: 503,
      body: '{"ready":false,"tunnels":{"t":true,"other":false}}\n',
    });
    expect(await get(address, '/readyz?tunnel=t')).toMatchObject({ status: 200 });
    expect(await get(address, '/readyz?tunnel=other')).toMatchObject({ status: 503 });
    expect(await get(address, '/readyz?tunnel=none')).toMatchObject({ status: 404 });
    take({ type: 'agent-locked' });
    expect(await get(address, '/readyz?tunnel=t')).toMatchObject({ status: 503 });
  });

  test('not for a browser that was led here by a name', async () => {
    const address = await onLoopback();
    expect(await get(address, '/metrics', { host: 'evil.example' })).toMatchObject({ status: 403 });
  });

  test('on a unix socket, for its user alone', async () => {
    const path = join(folder, 'metrics.sock');
    const address = await listen({ kind: 'unix', path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await get(address, '/healthz')).toMatchObject({ status: 200 });
  });

  test.each(['0.0.0.0', '192.0.2.1', '::', 'example.com'])('not on %s', async (host) => {
    const listening = MetricsServer.listen({ address: { kind: 'tcp', host, port: 0 }, metrics, state });
    await expect(listening).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test.each([
    ['//[', 404],
    ['//evil.example/metrics', 404],
    ['http://[', 400],
    ['*', 400],
  ])('a target such as %s is no fault of ours', async (path, status) => {
    expect(await get(await onLoopback(), path)).toMatchObject({ status });
  });

  /** A connection that never asks to the end. */
  async function trickle(address: ManagementAddress): Promise<{ socket: Socket; closed: Promise<unknown> }> {
    if (address.kind !== 'tcp') throw new TypeError('not TCP');
    const socket = connect({ host: address.host, port: address.port });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('GET /healthz HTTP/1.1\r\nX-Slow: ');
    return { socket, closed };
  }

  test('whatever number asks slowly: the oldest makes room', async () => {
    const address = await onLoopback();
    const slow: Awaited<ReturnType<typeof trickle>>[] = [];
    for (let index = 0; index < 16; index++) slow.push(await trickle(address));
    expect(await get(address, '/healthz')).toMatchObject({ status: 200 });
    await slow[0]?.closed;
    expect(slow[15]?.socket.destroyed).toBe(false);
    for (const { socket } of slow) socket.destroy();
  });

  test('not to who has not asked within five seconds, however many bytes come', async () => {
    const address = await onLoopback();
    const { socket, closed } = await trickle(address);
    // it has been accepted when a later one has its answer
    expect(await get(address, '/healthz')).toMatchObject({ status: 200 });
    clock.pass(4.9);
    expect(await get(address, '/healthz')).toMatchObject({ status: 200 });
    expect(socket.destroyed).toBe(false);
    socket.write('a');
    clock.pass(0.1);
    await closed;
  });

  test('one request of a connection is answered, however many come with it', async () => {
    const text = vi.spyOn(metrics, 'text');
    const address = await onLoopback();
    if (address.kind !== 'tcp') throw new TypeError('not TCP');
    const socket = connect({ host: address.host, port: address.port });
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(said.match(/HTTP\/1.1 200/g)).toHaveLength(1);
    expect(said).toContain('pksigd_info');
    expect(text).toHaveBeenCalledOnce();
  });

  test('what is no HTTP ends its connection only', async () => {
    const address = await onLoopback();
    if (address.kind !== 'tcp') throw new TypeError('not TCP');
    const socket = connect({ host: address.host, port: address.port });
    socket.on('error', () => undefined);
    socket.write('nonsense\r\n\r\n');
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await get(address, '/healthz')).toMatchObject({ status: 200 });
  });
});

describe('what comes with them', () => {
  const promtool = (args: string[], input?: string): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
    return { status, output: `${stdout}${stderr}` };
  };
  const isThere = spawnSync('promtool', ['--version']).error === undefined;
  if (!isThere) console.log("promtool is not installed (Debian's package prometheus): its checks are left out");

  const rules = join(MONITORING, 'pksigd.rules.yml');
  const dashboard = readFileSync(join(MONITORING, 'grafana-dashboard.json'), 'utf8');

  test.runIf(isThere)('promtool finds no fault with the metrics', async () => {
    all();
    expect(promtool(['check', 'metrics'], await metrics.text())).toEqual({ status: 0, output: '' });
  });

  test.runIf(isThere)('promtool finds no fault with the alert rules', () => {
    expect(promtool(['check', 'rules', rules])).toMatchObject({
      status: 0,
      output: expect.stringContaining('SUCCESS') as string,
    });
  });

  test('rules, dashboard and page name metrics that there are, and the page names all', async () => {
    all();
    const text = await metrics.text();
    const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
    const named = (from: string): string[] =>
      [...new Set(from.match(/\bpksigd_[a-z_]+/g))].map((name) => name.replace(/_(bucket|sum|count)$/, ''));
    const page = readFileSync(join(ROOT, 'docs/METRICS.md'), 'utf8');
    for (const from of [readFileSync(rules, 'utf8'), dashboard, page])
      expect(named(from).filter((name) => !names.has(name))).toEqual([]);
    expect([...names].filter((name) => !named(page).includes(name))).toEqual([]);
  });

  test("each panel of the dashboard has a place and queries of the dashboard's own data source", () => {
    interface Panel {
      readonly id: number;
      readonly title: string;
      readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
      readonly targets: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
    }
    const { panels } = JSON.parse(dashboard) as { panels: readonly Panel[] };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { title, targets, gridPos } of panels) {
      expect(title).not.toBe('');
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      expect(targets.length).toBeGreaterThan(0);
      for (const { expr, datasource } of targets)
        expect({ expr, uid: datasource.uid }).toEqual({ expr, uid: '${datasource}' });
    }
  });

  test.runIf(isThere)('promtool can read the queries of the dashboard', () => {
    const { panels } = JSON.parse(dashboard) as {
      panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
    };
    const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const own = queries.map((query, index) => ({
      record: `query:${index}`,
      expr: query.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
    }));
    // JSON is YAML
    const text = JSON.stringify({ groups: [{ name: 'dashboard', rules: own }] });
    const folder = mkdtempSync(join(tmpdir(), 'pksigd-rules-'));
    try {
      const path = join(folder, 'rules.yml');
      spawnSync('tee', [path], { input: text });
      expect(promtool(['check', 'rules', path])).toMatchObject({ status: 0 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
