import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  authPendingTimeout,
  connectManagement,
  type DynamicChallenge,
  dynamicChallengeOf,
  dynamicChallengeResponse,
  encodeDynamicChallenge,
  type ManagementClient,
  type Notification,
  staticChallengeResponse,
} from '../../../src/management/index.ts';
import { Lab, release, whyNoTun } from './real-daemon.ts';

const CONFIG = ['push "route 10.1.0.0 255.255.0.0"', 'push "auth-token SESS_ID_1"', 'iroute 10.77.0.0 255.255.0.0'];

const why = whyNoTun();
if (why !== undefined) process.stderr.write(`server mode is not tried: ${why}\n`);

/** Notifications of one daemon, in order: each `take` gives the first that fits and forgets it. */
class Inbox {
  readonly #kept: Notification[] = [];
  #wake: () => void = () => undefined;

  constructor(client: ManagementClient) {
    client.on('*', (notification) => {
      this.#kept.push(notification);
      this.#wake();
    });
  }

  async take<T extends Notification>(fits: (notification: Notification) => notification is T): Promise<T> {
    for (;;) {
      const found = this.#kept.find(fits);
      if (found !== undefined) {
        this.#kept.splice(this.#kept.indexOf(found), 1);
        return found;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get stray(): Notification[] {
    return this.#kept.filter(({ type }) => type === 'STRAY' || type === 'UNKNOWN' || type === 'TRUNCATED');
  }
}

type OfClient<M> = Extract<Notification, { type: 'CLIENT'; mode: M }>;
type Mode = Extract<Notification, { type: 'CLIENT' }>['mode'];
/** @param cid of this client alone: on a slow machine one before it may have renegotiated meanwhile */
const client =
  <M extends Mode>(mode: M, cid?: number) =>
  (it: Notification): it is OfClient<M> =>
    it.type === 'CLIENT' && it.mode === mode && (cid === undefined || it.cid === cid);
const a =
  <T extends Notification['type']>(type: T) =>
  (it: Notification): it is Extract<Notification, { type: T }> =>
    it.type === type;
const state =
  (name: string) =>
  (it: Notification): it is Extract<Notification, { type: 'STATE' }> =>
    it.type === 'STATE' && it.name === name;
const password =
  <F extends string>(form: F) =>
  (it: Notification): it is Extract<Notification, { type: 'PASSWORD'; form: F }> =>
    it.type === 'PASSWORD' && it.form === form;

describe.skipIf(why !== undefined)('a server and its client, each behind a management client', () => {
  const namespace = `pksigd-${process.pid}`;
  let lab: Lab;
  let server: ManagementClient;
  let peer: ManagementClient;
  let atServer: Inbox;
  let atPeer: Inbox;

  beforeAll(async () => {
    lab = new Lab();
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up']);
    const inside = ['ip', 'netns', 'exec', namespace];
    const common = ['--proto', 'udp', '--ca', 'ca.crt', '--data-ciphers', 'AES-256-GCM', '--hand-window', '20'];
    const serving = lab.start(
      [
        ...[
          ...common,
          '--mode',
          'server',
          '--tls-server',
          '--dev',
          'tun0',
          '--dev-type',
          'tun',
          '--topology',
          'subnet',
        ],
        ...['--local', '127.0.0.1', '--port', '1194', '--server', '10.99.0.0', '255.255.255.0', '--disable-dco'],
        ...['--cert', 'server.crt', '--key', 'server.key', '--dh', 'none', '--reneg-sec', '0'],
        ...['--management', lab.path('server.sock'), 'unix', '--management-hold', '--management-client-auth'],
        ...['--push', 'echo forget-passwords'],
      ],
      inside,
    );
    const calling = lab.start(
      [
        ...[...common, '--client', '--dev', 'null', '--remote', '127.0.0.1', '1194', '--nobind', '--ifconfig-noexec'],
        ...['--cert', 'client.crt', '--key', 'client.key', '--route-noexec', '--auth-user-pass', '--push-peer-info'],
        ...['--auth-retry', 'interact', '--static-challenge', 'Token PIN', '1', '--setenv', 'IV_SSO', 'webauth,crtext'],
        ...['--management', lab.path('client.sock'), 'unix', '--management-hold', '--management-query-passwords'],
        ...['--management-query-remote', '--connect-retry', '1', '1', '--reneg-sec', '6'],
      ],
      inside,
    );
    await Promise.all([serving.logged('listening on'), calling.logged('listening on')]);
    server = await connectManagement({ kind: 'unix', path: lab.path('server.sock') }, { clientVersion: 3 });
    atServer = new Inbox(server);
    peer = await connectManagement({ kind: 'unix', path: lab.path('client.sock') }, { clientVersion: 3 });
    atPeer = new Inbox(peer);
    // whatever else it asks is answered as it comes: the first remote is skipped, the second named by us
    peer.on('HOLD', () => void peer.holdRelease());
    peer.on('REMOTE', () => {
      remotes += 1;
      if (remotes === 1) void peer.remoteSkip();
      else if (remotes === 2) void peer.remoteModify('127.0.0.1', 1194);
      else void peer.remoteAccept();
    });
  });

  afterAll(async () => {
    await lab.remove();
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  /** Answers the client's next question for its password. */
  async function logIn(username: string, secret: string): Promise<Notification> {
    const need = await atPeer.take(password('need'));
    await peer.username('Auth', username);
    await peer.password('Auth', secret);
    return need;
  }

  let remotes = 0;
  let cid = 0;

  test('hold, a static challenge', async () => {
    await atServer.take(a('HOLD'));
    await server.stateNotifications(true);
    await server.holdRelease();
    await atServer.take(state('CONNECTED'));
    await peer.stateNotifications(true);
    await peer.echo(true);
    const need = await logIn('al "ice"\\', staticChallengeResponse('pass word', '1234'));
    expect(need).toMatchObject({
      name: 'Auth',
      wants: 'username/password',
      staticChallenge: { echo: true, concat: false, text: 'Token PIN' },
    });
  });

  test('which remote', async () => {
    const remote = { type: 'REMOTE', host: '127.0.0.1', port: '1194', protocol: 'udp' };
    expect(await atPeer.take(a('REMOTE'))).toEqual(remote);
    expect(await atPeer.take(a('REMOTE'))).toEqual(remote);
  });

  test('CONNECT, pending by WEB_AUTH, then authorised with directives', async () => {
    const connect = await atServer.take(client('CONNECT'));
    cid = connect.cid;
    expect(connect.env).toMatchObject({
      common_name: 'test-client',
      username: 'al "ice"\\',
      password: staticChallengeResponse('pass word', '1234'),
      IV_SSO: 'webauth,crtext',
      untrusted_ip: '127.0.0.1',
    });
    const url = 'https://sso.example/auth?session=1';
    await server.clientPendingAuth(
      cid,
      connect.kid,
      { kind: 'WEB_AUTH', flags: ['external'], proxy: undefined, url },
      15,
    );
    const pending = await atPeer.take(state('AUTH_PENDING'));
    expect(authPendingTimeout(pending)).toBeGreaterThan(0);
    expect((await atPeer.take(a('INFOMSG'))).message).toEqual({
      kind: 'WEB_AUTH',
      flags: ['external'],
      proxy: undefined,
      url,
    });
    await server.clientAuth(cid, connect.kid, CONFIG);
    const established = await atServer.take(client('ESTABLISHED'));
    expect(established).toMatchObject({ cid, env: { trusted_ip: '127.0.0.1' } });
    expect(await atServer.take(client('ADDRESS'))).toMatchObject({ cid, address: '10.99.0.2', primary: true });
    expect(await atServer.take(client('ADDRESS'))).toMatchObject({
      cid,
      address: '10.77.0.0/255.255.0.0',
      primary: false,
    });
    expect(await atPeer.take(state('CONNECTED'))).toMatchObject({ detail: 'SUCCESS', tunIPv4: '10.99.0.2' });
    expect(await atPeer.take(a('ECHO'))).toMatchObject({ text: 'forget-passwords' });
    expect((await atPeer.take(password('auth-token'))).token.reveal()).toBe('SESS_ID_1');
  });

  test('status in each format, counters', async () => {
    for (const format of [1, 2, 3] as const) {
      const status = await server.status(format);
      if (status.kind !== 'server') throw new Error('a server, surely');
      expect(status.clients).toHaveLength(1);
      expect(status.clients[0]).toMatchObject({ commonName: 'test-client' });
      if (format !== 1) {
        expect(status.clients[0]).toMatchObject({ cid, virtualAddress: '10.99.0.2', dataChannelCipher: 'AES-256-GCM' });
      }
      expect(status.routes.map(({ virtualAddress }) => virtualAddress)).toEqual(
        expect.arrayContaining(['10.99.0.2', '10.77.0.0/16']),
      );
    }
    await expect(server.raw('status 9')).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    expect(await server.nclients()).toBe(1);
    expect(await server.loadStats()).toMatchObject({ clients: 1 });
    await server.bytecount(1);
    expect(await atServer.take(a('BYTECOUNT_CLI'))).toMatchObject({ cid });
    await server.bytecount(0);
  });

  let challenge: DynamicChallenge | undefined;

  test('killed by ID; refused with a dynamic challenge', async () => {
    await peer.forgetPasswords();
    await server.clientKill(cid, 'RESTART');
    expect(await atServer.take(client('DISCONNECT', cid))).toMatchObject({ cid, env: { common_name: 'test-client' } });
    expect(await atPeer.take(state('RECONNECTING'))).toMatchObject({ detail: 'server-pushed-connection-reset' });
    expect(await atPeer.take(a('NOTIFY'))).toMatchObject({ severity: 'info' });
    await logIn('alice', 'first try');
    const connect = await atServer.take(client('CONNECT'));
    expect(connect.cid).toBeGreaterThan(cid);
    const asked: DynamicChallenge = {
      echo: true,
      responseRequired: true,
      stateId: 'c3RhdGU=',
      username: 'alice',
      text: 'Which colour, "red" or blue?',
    };
    await server.clientDeny(connect.cid, connect.kid, 'a challenge first', encodeDynamicChallenge(asked));
    const failed = await atPeer.take(password('failed'));
    challenge = dynamicChallengeOf(failed);
    expect(challenge).toEqual(asked);
  });

  test('the challenge answered; CR_TEXT there and back; authorised', async () => {
    if (challenge === undefined) throw new Error('no challenge came');
    await logIn(challenge.username, dynamicChallengeResponse(challenge, 'red'));
    const connect = await atServer.take(client('CONNECT'));
    cid = connect.cid;
    expect(connect.env).toMatchObject({ username: 'alice', password: 'CRV1::c3RhdGU=::red' });
    const text = { kind: 'CR_TEXT', echo: false, responseRequired: true, text: 'Your TOTP: now' } as const;
    await server.clientPendingAuth(cid, connect.kid, text, 15);
    expect((await atPeer.take(a('INFOMSG'))).message).toEqual(text);
    await peer.crResponse('123 456');
    const response = await atServer.take(client('CR_RESPONSE'));
    expect(response).toMatchObject({ cid, kid: connect.kid, env: { common_name: 'test-client' } });
    expect(Buffer.from(response.response, 'base64').toString()).toBe('123 456');
    await server.clientAuthNt(cid, connect.kid);
    await atServer.take(client('ESTABLISHED', cid));
    await atPeer.take(state('CONNECTED'));
  });

  test.skipIf(release !== '2.7')('2.7: options changed without a reconnect', async () => {
    expect(await server.pushUpdateCid(cid, 'route 10.2.0.0 255.255.0.0')).toEqual(['SUCCESS: 1 client(s) updated']);
    expect(await server.pushUpdateBroad('-route')).toEqual(['SUCCESS: 1 client(s) updated']);
    await expect(server.pushUpdateCid(999, 'route 10.3.0.0 255.255.0.0')).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_COMMAND',
    });
  });

  test('a renegotiation', async () => {
    const reauth = await atServer.take(client('REAUTH', cid));
    expect(reauth).toMatchObject({ env: { common_name: 'test-client' } });
    await server.clientAuthNt(cid, reauth.kid);
  });

  test('killed by address and by name', async () => {
    const status = await server.status(3);
    const address = status.kind === 'server' ? status.clients[0]?.realAddress : undefined;
    const [, port] = /:(\d+)$/.exec(address ?? '') ?? [];
    await expect(server.killAddress('udp', '127.0.0.1', 9)).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    await expect(server.clientKill(999)).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    await expect(server.clientDeny(999, 0, 'nobody')).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    await expect(server.killCommonName('nobody')).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_COMMAND' });
    expect(await server.killAddress('udp', '127.0.0.1', Number(port))).toBe(1);
    await atServer.take(client('DISCONNECT', cid));
    // the client wasn't told: by name it is found again once it has come back
    const back = logIn('alice', 'again');
    await peer.forgetPasswords();
    await peer.signal('SIGUSR1');
    await back;
    const connect = await atServer.take(client('CONNECT'));
    await server.clientAuthNt(connect.cid, connect.kid);
    await atServer.take(client('ESTABLISHED'));
    expect(await server.killCommonName('test-client')).toBe(1);
    await atServer.take(client('DISCONNECT', connect.cid));
    expect(atServer.stray).toEqual([]);
    expect(atPeer.stray).toEqual([]);
    await Promise.all([server.close(), peer.close()]);
  });
});
